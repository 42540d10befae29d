# SPDX-License-Identifier: MIT
"""An endpoint of this process in the Normal world's place. Its peer is in this process too, or it is the
Secure world of the TrustZone machine, and both buffers are mapped here from the machine's memory.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from typing import Protocol

import pytest

from host_tools import NORMAL_MAC, SECURE_MAC, eventually, raw_frame, raw_identity
from isthmus import Endpoint, LinkDown, LinkState, memory_link
from isthmus.qemu.machine import QemuMachine
from smc_calls import Normal, module

HEAD = 0x080  # IST_CTL_HEAD


class Peer(Protocol):
    """Whoever answers raw frames with their addresses swapped."""

    endpoint: Endpoint  # ours

    def begin(self) -> None:
        """A new session, the one before ended."""

    def close(self) -> None: ...


class Here:
    """In a thread of this process."""

    def __init__(self) -> None:
        self.endpoint, self.secure = memory_link()
        self.over = threading.Event()
        self.thread = threading.Thread(target=self.echo)
        self.thread.start()
        self.epoch = self.endpoint.statistics.epoch

    def echo(self) -> None:
        while not self.over.is_set():
            try:
                frame = self.secure.receive(0.01)
                self.secure.send(NORMAL_MAC + SECURE_MAC + frame[12:], 1)
            except (TimeoutError, BlockingIOError, LinkDown):
                continue

    def begin(self) -> None:
        self.epoch += 1
        for end in (self.endpoint, self.secure):
            end.begin(self.epoch, bytes(16))

    def close(self) -> None:
        self.over.set()
        self.thread.join()
        self.endpoint.close()
        self.secure.close()


class There:
    """In the machine: the monitor seals each session, and lwIP's neighbour answers."""

    def __init__(self) -> None:
        self.machine = QemuMachine(modules=[module()])
        self.machine.start()
        self.normal = Normal(self.machine)
        self.endpoint = self.machine.endpoint()
        self.begin()

    def begin(self) -> None:
        self.normal.detach()
        result, epoch, *key = self.normal.call("REGISTER", *self.normal.claim)
        assert result == 0
        self.endpoint.begin(epoch, b"".join(word.to_bytes(8, "little") for word in key))

    def close(self) -> None:
        self.endpoint.close()
        self.machine.close()


@pytest.fixture(
    scope="module",
    params=[pytest.param(Here, marks=pytest.mark.memory), pytest.param(There, marks=pytest.mark.qemu)],
)
def open_peer(request: pytest.FixtureRequest) -> Iterator[Peer]:
    found: Peer = request.param()
    yield found
    found.close()


@pytest.fixture
def peer(open_peer: Peer) -> Peer:
    open_peer.begin()
    assert eventually(lambda: running(open_peer.endpoint))
    return open_peer


def running(endpoint: Endpoint) -> bool:
    endpoint.poll()
    return endpoint.state is LinkState.RUN


def answers(endpoint: Endpoint, incarnation: int, count: int) -> list[int]:
    """Sequences of the raw frames that come back whole; others' frames are passed over. Ends at the last."""
    found: list[int] = []

    def look() -> bool:
        try:
            frames = endpoint.receive_batch(64, 0)
        except BlockingIOError:
            endpoint.poll()
            return False
        except LinkDown:  # that a session ended is said once
            return False
        for frame in frames:
            if frame[12:14] == b"\x88\xb5":
                identity = raw_identity(frame)
                assert identity is not None, "torn"
                assert identity[0] == incarnation
                found.append(identity[1])
        return len(found) >= count

    eventually(look)
    return found


def test_frames_of_every_kind_of_size_come_back(peer: Peer) -> None:
    incarnation = time.time_ns()
    sizes = [*range(40), *range(40, 1400, 61), *range(1440, 1477)]
    for sequence, size in enumerate(sizes, 1):
        peer.endpoint.send(raw_frame(incarnation, sequence, size), 5)
    assert answers(peer.endpoint, incarnation, len(sizes)) == [*range(1, len(sizes) + 1)]


def test_more_than_both_rings_hold(peer: Peer) -> None:
    """In the order in which it was sent, round and round."""
    incarnation, config = time.time_ns(), peer.endpoint.config
    count = (config.ring_normal + config.ring_secure) // 1400
    for first in range(1, count + 1, 64):
        batch = [raw_frame(incarnation, n, 1400) for n in range(first, min(first + 64, count + 1))]
        assert peer.endpoint.send_batch(batch, 5) == len(batch)
        last = answers(peer.endpoint, incarnation, len(batch))
        assert last == [*range(first, first + len(batch))]
    assert peer.endpoint.statistics.lost == 0


def test_a_new_session_carries_nothing_of_the_last(peer: Peer) -> None:
    before = peer.endpoint.statistics.epoch
    for sequence in range(1, 30):
        peer.endpoint.send(raw_frame(7, sequence, 100), 5)
    peer.begin()
    assert eventually(lambda: running(peer.endpoint))
    assert peer.endpoint.statistics.epoch != before
    incarnation = time.time_ns()
    peer.endpoint.send(raw_frame(incarnation, 1, 100), 5)
    assert answers(peer.endpoint, incarnation, 1) == [1]


@pytest.mark.parametrize("open_peer", [pytest.param(There, marks=pytest.mark.qemu)], indirect=True)
def test_an_impossible_head_is_the_end_of_the_session_alone(open_peer: There) -> None:
    """What anybody with this window might write. The Secure world refuses it by name, and takes the next."""
    machine, endpoint = open_peer.machine, open_peer.endpoint
    assert machine.console is not None
    before = machine.console.status(60)  # not later: meanwhile this end would be silent
    open_peer.begin()
    assert eventually(lambda: running(endpoint))
    machine.buffer("normal")[HEAD : HEAD + 4] = (3 << 30).to_bytes(4, "little")
    assert eventually(lambda: machine.console.status(60)["state"] == "DEAD")  # type: ignore[union-attr]
    after = machine.console.status(60)
    assert after["counters"]["HEAD_RANGE"] == before["counters"]["HEAD_RANGE"] + 1
    assert after["critical"]["periods"] > before["critical"]["periods"]
    test_a_new_session_carries_nothing_of_the_last(open_peer)
