# SPDX-License-Identifier: MIT
"""How a call on Channels waits and ends: doorbells, time limits, signals, other threads, close, fork.

Limits here are those that would be a defect at any speed of the machine.
"""

from __future__ import annotations

import array
import os
import signal
import subprocess
import sys
import textwrap
import time
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import ExitStack, suppress
from types import FrameType
from typing import Any

import pytest

from isthmus import ChannelConfig, Channels, ClosedError, ConcurrentUseError
from test_endpoint_waiting import FORKS, SOON, in_child, open_descriptors, waiting
from test_receive_many import FRAME, Links

pytestmark = pytest.mark.memory


@pytest.fixture
def links() -> Iterator[Links]:
    with ExitStack() as stack:
        yield Links(stack)


@pytest.fixture
def threads() -> Iterator[ThreadPoolExecutor]:
    with ThreadPoolExecutor(4) as pool:
        yield pool


# ---- waiting -----------------------------------------------------------------------------------------------


def test_time_limits(links: Links) -> None:
    with Channels(links(2)) as channels:
        with pytest.raises(BlockingIOError):
            channels.receive(0)
        start = time.monotonic()
        with pytest.raises(TimeoutError):
            channels.receive_batch(timeout=0.05)
        assert time.monotonic() - start >= 0.05
        for wrong in (-1, float("nan")):
            with pytest.raises(ValueError, match="timeout"):
                channels.receive(wrong)
        for limit in (0, 257):
            with pytest.raises(ValueError, match="limit"):
                channels.receive_batch(limit)


@pytest.mark.parametrize("features", [0, ChannelConfig().features])
@pytest.mark.parametrize("spin", [0, 50e-6, 1.0])
def test_a_call_that_waits_is_rung(threads: ThreadPoolExecutor, features: int, spin: float) -> None:
    """By any of them; who sleeps has asked each one for its doorbell."""
    with ExitStack() as stack:
        links = Links(stack)
        near = links(3, ChannelConfig(ring_normal=16384, ring_secure=4096, features=features))
        channels = stack.enter_context(Channels(near, spin=spin))
        for far in links.far:  # what is taken in asks for its first doorbell
            far.send(FRAME)
        assert len(channels.receive_batch()) == 3
        for n in (2, 0, 1):
            future = threads.submit(channels.receive, SOON)
            if spin < 1:
                waiting(near[n], future)
            else:
                time.sleep(0.01)
            before = links.far[n].statistics.rings
            links.far[n].send(FRAME)
            assert links.far[n].statistics.rings == before + (spin < 1)
            assert future.result(SOON) == (near[n], FRAME)


def test_who_does_not_sleep_is_not_rung(links: Links) -> None:
    with Channels(links(2)) as channels:
        before = links.far[0].statistics.rings
        for _ in range(50):
            links.far[0].send(FRAME)
            channels.receive(0)
        assert links.far[0].statistics.rings <= before + 1


def test_what_rang_is_heard_and_silent_then(links: Links, threads: ThreadPoolExecutor) -> None:
    """Else a call would find its doorbell rung for ever, and never sleep for long."""
    near = links(2)
    with Channels(near) as channels:
        future = threads.submit(channels.receive, SOON)
        waiting(near[1], future)
        links.far[1].send(FRAME)
        future.result(SOON)
        before = near[1].statistics.sleeps
        with pytest.raises(TimeoutError):
            channels.receive(0.1)
        assert near[1].statistics.sleeps <= before + 30  # one for each 10 ms, and those that were cut short


def test_a_sender_that_waits_for_room_is_told(links: Links) -> None:
    near = links(2)
    with Channels(near) as channels:
        links.far[1].room_fileno()
        with suppress(BlockingIOError):
            while True:
                links.far[1].send(bytes(1500), 0)
        before = near[1].statistics.rings
        with suppress(BlockingIOError):
            while True:
                channels.receive_batch(timeout=0)
        assert near[1].statistics.rings == before + 1
        assert near[0].statistics.rings <= 4  # of its handshake


CALLS: dict[str, Callable[[Channels], object]] = {
    "receive": lambda c: c.receive(),
    "receive_batch": lambda c: c.receive_batch(),
    "receive_batch_into": lambda c: c.receive_batch_into(
        bytearray(2000), array.array("I", [0]), array.array("I", [0])
    ),
}


@pytest.mark.parametrize("call", CALLS)
def test_close_wakes_a_call_and_leaves_the_endpoints(
    links: Links, threads: ThreadPoolExecutor, call: str
) -> None:
    near = links(2)
    channels = Channels(near)
    future = threads.submit(CALLS[call], channels)
    waiting(near[0], future)
    channels.close()
    with pytest.raises(ClosedError):
        future.result(SOON)
    assert channels.closed
    assert len(channels) == 0
    channels.close()
    with pytest.raises(ClosedError):
        CALLS[call](channels)
    for far, end in zip(links.far, near, strict=True):
        far.send(FRAME)
        assert end.receive(0) == FRAME


def test_an_endpoint_that_is_closed_leaves(links: Links, threads: ThreadPoolExecutor) -> None:
    near = links(2)
    with Channels(near) as channels:
        future = threads.submit(channels.receive, SOON)
        waiting(near[0], future)
        near[0].close()
        links.far[1].send(FRAME)
        assert future.result(SOON) == (near[1], FRAME)
        with pytest.raises(BlockingIOError):
            channels.receive(0)
        deadline = time.monotonic() + SOON
        while len(channels) > 1 and time.monotonic() < deadline:
            with suppress(BlockingIOError):
                channels.receive(0)
        assert list(channels) == [near[1]]


def test_one_receiver_at_a_time(links: Links, threads: ThreadPoolExecutor) -> None:
    """Of the channels, and of each endpoint in them; senders are welcome."""
    near = links(2)
    with Channels(near) as channels:
        calls: list[Callable[[], object]] = [near[0].receive, near[0].wait_up, lambda: Channels(near)]
        for call in calls:
            with pytest.raises(ConcurrentUseError):
                call()
        future = threads.submit(channels.receive, SOON)
        waiting(near[0], future)
        calls = [channels.receive, lambda: channels.add(near[0]), lambda: channels.remove(near[0])]
        for call in calls:
            with pytest.raises(ConcurrentUseError):
                call()
        near[0].send(FRAME)
        assert links.far[0].receive(SOON) == FRAME
        links.far[0].send(FRAME)
        assert future.result(SOON) == (near[0], FRAME)
        channels.remove(*near)
        assert len(channels) == 0
        with pytest.raises(KeyError):
            channels.remove(near[0])


def test_a_channel_is_added_whole_or_not_at_all(links: Links) -> None:
    near = links(2)
    near[1].close()
    with Channels() as channels:
        with pytest.raises(ClosedError):
            channels.add(*near)
        assert len(channels) == 0
        assert channels.add(near[0]) == 0
        assert near[0] in channels
        assert near[1] not in channels
        with pytest.raises(KeyError):
            channels[1]


def test_frames_that_were_there_before(links: Links) -> None:
    near = links(1)
    links.far[0].send(bytes(100))
    with pytest.raises(ValueError, match="100 bytes"):
        near[0].receive_into(bytearray(60), 0)
    with Channels() as channels:
        with pytest.raises(ValueError, match="still to be received"):
            channels.add(near[0])
        assert near[0].receive(0) == bytes(100)
        links.far[0].send(FRAME)
        channels.add(near[0])
        assert channels.receive(0) == (near[0], FRAME)


INTERRUPTED = """
    import os, signal, threading, time, isthmus
    links = [isthmus.memory_link() for _ in range(3)]
    channels = isthmus.Channels((secure for _, secure in links), spin={spin})
    def interrupt():
        while links[0][1].statistics.sleeps == 0 and {spin} < 0.5:
            time.sleep(0.001)
        time.sleep(0.02)
        os.kill(os.getpid(), signal.SIGINT)
    threading.Thread(target=interrupt).start()
    try:
        channels.receive()
    except KeyboardInterrupt:
        print("interrupted")
    links[1][0].send(bytes(60))
    assert channels.receive(10) == (links[1][1], bytes(60))
    channels.close()
    for normal, secure in links:
        normal.close(), secure.close()
"""


@pytest.mark.parametrize("spin", [50e-6, 1.0])
def test_ctrl_c_ends_a_call_and_the_next_goes_on(spin: float) -> None:
    script = textwrap.dedent(INTERRUPTED).format(spin=spin)
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", script], capture_output=True, text=True, timeout=30, check=False
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, "interrupted\n", "")


def test_a_handler_may_close_the_channels(links: Links) -> None:
    with Channels(links(2)) as channels:

        def handler(number: int, frame: FrameType | None) -> None:
            channels.close()

        before = signal.signal(signal.SIGALRM, handler)
        try:
            signal.setitimer(signal.ITIMER_REAL, 0.02)
            with pytest.raises(ClosedError):
                channels.receive(SOON)
        finally:
            signal.signal(signal.SIGALRM, before)


@pytest.mark.parametrize("fork", FORKS)
def test_a_childs_channels_are_closed_and_the_parents_live(
    links: Links, threads: ThreadPoolExecutor, fork: str
) -> None:
    near = links(2)
    with Channels(near) as channels:

        def check() -> None:
            with pytest.raises(ClosedError, match="fork"):
                channels.receive(0)
            assert channels.closed
            channels.close()
            with pytest.raises(ClosedError):
                near[0].receive(0)

        in_child(FORKS[fork], check)
        future: Future[Any] = threads.submit(channels.receive, SOON)
        waiting(near[0], future)
        in_child(FORKS[fork], check)
        links.far[1].send(FRAME)
        assert future.result(SOON) == (near[1], FRAME)


def test_nothing_is_left_behind() -> None:
    before = open_descriptors()
    with ExitStack() as stack:
        channels = Channels(Links(stack)(3))
        opened = open_descriptors() - before
        assert len(opened) == 3 * 6 + 3 + 1  # two ends of three each, an epoll per member, and one
        assert not any(os.get_inheritable(fd) for fd in opened)
        with suppress(TimeoutError):
            channels.receive(0.01)
        in_child(os.fork, lambda: None)
        del channels
    assert open_descriptors() == before


def test_wrong_arguments(links: Links) -> None:
    for turn in (0, 257):
        with pytest.raises(ValueError, match="turn"):
            Channels(turn=turn)
    with pytest.raises(ValueError, match="spin"):
        Channels(spin=2)
    with Channels() as channels, pytest.raises(TypeError):
        channels.add(7)  # type: ignore[arg-type]
