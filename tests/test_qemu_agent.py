# SPDX-License-Identifier: MIT
"""The agent's answers are those of a guest that may be hostile: a wrong one ends the conversation with a
reason, and one that never reads holds nobody up."""

from __future__ import annotations

import contextlib
import socket
import threading
from collections.abc import Iterator

import pytest

from isthmus.errors import ClosedError
from isthmus.qemu import agent as agents
from isthmus.qemu.agent import Agent


@pytest.fixture
def guest(monkeypatch: pytest.MonkeyPatch) -> Iterator[tuple[Agent, socket.socket, list[BaseException]]]:
    """An agent that is served, the guest's end of its link, and what serving it raised."""
    raised = list[BaseException]()

    def hook(args: threading.ExceptHookArgs) -> None:
        assert args.exc_value is not None
        raised.append(args.exc_value)

    monkeypatch.setattr(threading, "excepthook", hook)
    monkeypatch.setattr(agents, "SEND_S", 1)
    ours, theirs = socket.socketpair()
    agent = Agent(ours, lambda: "the machine is gone")
    thread = threading.Thread(target=agent.serve)
    thread.start()
    with theirs:
        yield agent, theirs, raised
    thread.join()


def answering(theirs: socket.socket, answer: bytes) -> threading.Thread:
    """A guest that answers the first script so."""

    def answers() -> None:
        key = theirs.recv(4096).split()[0]
        theirs.sendall(answer.replace(b"KEY", key))

    thread = threading.Thread(target=answers)
    thread.start()
    return thread


@pytest.mark.parametrize("answer", [b"KEY 0 =!! = .\n", b"KEY x = = .\n", b"KEY 0 =YQ = .\n"])
def test_an_answer_that_is_none_is_named(
    guest: tuple[Agent, socket.socket, list[BaseException]], answer: bytes
) -> None:
    agent, theirs, raised = guest
    thread = answering(theirs, answer)
    for _ in range(2):  # who waited, and who asks later
        with pytest.raises(ClosedError, match="the guest's agent speaks another protocol"):
            agent.run("true", 600)
    thread.join()
    assert (raised, agent.closed) == ([], True)


def test_a_guest_that_never_reads_holds_nobody_up(
    guest: tuple[Agent, socket.socket, list[BaseException]],
) -> None:
    agent, _, raised = guest
    with pytest.raises(ClosedError, match="has not read what it was told for 1 s"):
        agent.run("true\n" * (1 << 20), 600)
    with pytest.raises(ClosedError, match="has not read"):
        agent.run("true", 600)
    assert raised == []


def test_a_guest_that_is_ready_without_end_and_never_reads_ends_alone(
    guest: tuple[Agent, socket.socket, list[BaseException]],
) -> None:
    """Each one is greeted, until the greetings fill the link."""
    agent, theirs, raised = guest
    with contextlib.suppress(BrokenPipeError, ConnectionResetError):
        while True:
            theirs.sendall(b"ready " + b"x" * 60000 + b"\n")
    with pytest.raises(ClosedError, match="has not read"):
        agent.run("true", 600)
    assert raised == []


def test_a_machine_that_is_gone_says_so(guest: tuple[Agent, socket.socket, list[BaseException]]) -> None:
    agent, theirs, raised = guest
    theirs.shutdown(socket.SHUT_RDWR)
    with pytest.raises(ClosedError, match="the machine is gone"):
        agent.run("true", 600)
    assert raised == []
