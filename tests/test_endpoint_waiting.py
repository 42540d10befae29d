# SPDX-License-Identifier: MIT
"""How calls wait: signals, other threads, close, fork, select and asyncio.

Limits here are those that would be a defect at any speed of the machine: a call that never ends, or one that
ends only by its own time limit.
"""

from __future__ import annotations

import asyncio
import ctypes
import os
import resource
import select
import signal
import subprocess
import sys
import textwrap
import time
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import suppress
from types import FrameType
from typing import Any

import pytest

from isthmus import ChannelConfig, ClosedError, ConcurrentUseError, Endpoint, LinkDown, PeerDead, memory_link
from isthmus.links import begin_epoch

pytestmark = pytest.mark.memory

Ends = tuple[Endpoint, Endpoint]
SOON = 10.0  # seconds after which something that should have happened will not


@pytest.fixture
def ends() -> Iterator[Ends]:
    normal, secure = memory_link(ChannelConfig(ring_normal=16384, ring_secure=16384))
    with normal, secure:
        yield normal, secure


@pytest.fixture
def threads() -> Iterator[ThreadPoolExecutor]:
    with ThreadPoolExecutor(4) as pool:
        yield pool


def fill(endpoint: Endpoint) -> int:
    return endpoint.send_batch([bytes(1500)] * 100, 0)


#: Calls that wait for ever, with what makes them wait.
BLOCKING: dict[str, Callable[[Endpoint], object]] = {
    "receive": lambda e: e.receive(),
    "receive_into": lambda e: e.receive_into(bytearray(2000)),
    "receive_batch": lambda e: e.receive_batch(),
    "receive_batch_into": lambda e: e.receive_batch_into(
        bytearray(2000), memoryview(bytearray(64)).cast("I")
    ),
    "send": lambda e: fill(e) * 0 + e.send_batch([bytes(1500)]),
    "send_batch": lambda e: (fill(e), e.send_batch([bytes(1500)])),
    "reserve": lambda e: (fill(e), e.reserve(1500)),
}


def waiting(endpoint: Endpoint, future: Future[Any]) -> None:
    """Returns when the call sleeps."""
    before, end = endpoint.statistics.sleeps, time.monotonic() + SOON
    while endpoint.statistics.sleeps == before and not future.done():
        assert time.monotonic() < end
        time.sleep(0.001)


# ---- other threads -----------------------------------------------------------------------------


@pytest.mark.parametrize("call", BLOCKING)
def test_close_wakes_a_call(ends: Ends, threads: ThreadPoolExecutor, call: str) -> None:
    future = threads.submit(BLOCKING[call], ends[0])
    waiting(ends[0], future)
    ends[0].close()
    with pytest.raises(ClosedError):
        future.result(SOON)


@pytest.mark.parametrize("call", BLOCKING)
def test_the_peers_close_wakes_a_call(ends: Ends, threads: ThreadPoolExecutor, call: str) -> None:
    future = threads.submit(BLOCKING[call], ends[0])
    waiting(ends[0], future)
    ends[1].close()
    with pytest.raises(PeerDead):
        future.result(SOON)


@pytest.mark.parametrize("call", BLOCKING)
def test_a_new_epoch_wakes_a_call(ends: Ends, threads: ThreadPoolExecutor, call: str) -> None:
    """A receiver hears of it; a sender that waited for room has it now."""
    future = threads.submit(BLOCKING[call], ends[0])
    waiting(ends[0], future)
    begin_epoch(*ends)
    with pytest.raises(LinkDown) if call.startswith("receive") else suppress(LinkDown):
        future.result(SOON)


def test_a_second_receiver_is_refused_and_the_first_goes_on(ends: Ends, threads: ThreadPoolExecutor) -> None:
    future = threads.submit(ends[0].receive)
    waiting(ends[0], future)
    for call in (ends[0].receive, lambda: ends[0].receive(0), ends[0].receive_batch, ends[0].wait_up):
        with pytest.raises(ConcurrentUseError):
            call()
    ends[0].send(bytes(60))  # a sender beside it is welcome
    ends[1].send(b"for the first".ljust(60))
    assert future.result(SOON) == b"for the first".ljust(60)


def test_a_second_sender_is_refused_and_the_first_goes_on(ends: Ends, threads: ThreadPoolExecutor) -> None:
    count = fill(ends[0])
    future = threads.submit(ends[0].send, bytes(1500))
    waiting(ends[0], future)
    for call in (
        lambda: ends[0].send(bytes(60), 0),
        lambda: ends[0].reserve(60),
        lambda: ends[0].send_batch([]),
    ):
        with pytest.raises(ConcurrentUseError):
            call()
    with pytest.raises(TimeoutError):
        ends[0].receive(0.01)  # a receiver beside it is welcome
    received = 0
    while received <= count:
        received += len(ends[1].receive_batch())
    future.result(SOON)


def test_both_halves_wait_and_neither_loses_its_bell(ends: Ends, threads: ThreadPoolExecutor) -> None:
    """One bell serves a sender and a receiver that sleep at once; each waits for its own reason."""
    near, far = ends
    rounds, size = 200, 1400

    def pump(endpoint: Endpoint, frames: int) -> None:
        for n in range(frames):
            endpoint.send(n.to_bytes(4, "big") * (size // 4), SOON)

    def drain(endpoint: Endpoint, frames: int) -> list[int]:
        return [int.from_bytes(endpoint.receive(SOON)[:4], "big") for _ in range(frames)]

    sends = [threads.submit(pump, end, rounds) for end in (near, far)]
    receives = [threads.submit(drain, end, rounds) for end in (near, far)]
    for future in sends:
        future.result(60)
    for result in receives:
        assert result.result(60) == list(range(rounds))


def test_a_batch_longer_than_the_ring(ends: Ends, threads: ThreadPoolExecutor) -> None:
    """What is committed is shown before the call waits: else nobody could make room."""
    future = threads.submit(ends[0].send_batch, [n.to_bytes(2, "big") * 700 for n in range(100)], SOON)
    received = [int.from_bytes(ends[1].receive(SOON)[:2], "big") for _ in range(100)]
    assert received == list(range(100))
    assert future.result(SOON) == 100


def test_others_run_while_a_call_waits(ends: Ends, threads: ThreadPoolExecutor) -> None:
    future = threads.submit(ends[0].receive, SOON)
    waiting(ends[0], future)
    for _ in range(100):
        assert not future.done()
    ends[1].send(bytes(60))
    assert future.result(SOON) == bytes(60)


def test_a_spin_without_end_lets_others_run(threads: ThreadPoolExecutor) -> None:
    """It gets a frame that is sent while it spins, before it ever sleeps. A neighbour may take the time of a
    whole spin, but hardly of five."""
    normal, secure = memory_link(spin=1.0)

    def served_while_it_spins() -> bool:
        before = normal.statistics.sleeps
        future = threads.submit(normal.receive, SOON)
        time.sleep(0.02)  # so that it spins by now
        secure.send(bytes(60))
        assert future.result(SOON) == bytes(60)
        return normal.statistics.sleeps == before

    with normal, secure:
        assert any(served_while_it_spins() for _ in range(5))


CALLS_THAT_SPIN: dict[str, Callable[[Endpoint, float], object]] = {
    "receive": Endpoint.receive,
    "send": lambda e, timeout: e.send(bytes(1500), timeout),
}


@pytest.mark.parametrize("call", CALLS_THAT_SPIN)
def test_a_call_that_spins_keeps_its_processor(threads: ThreadPoolExecutor, call: str) -> None:
    normal, secure = memory_link(ChannelConfig(ring_normal=16384, ring_secure=16384), spin=1.0)

    def given_away() -> int:
        before = resource.getrusage(resource.RUSAGE_THREAD).ru_nvcsw
        with pytest.raises(TimeoutError):
            CALLS_THAT_SPIN[call](normal, 0.2)
        return resource.getrusage(resource.RUSAGE_THREAD).ru_nvcsw - before

    with normal, secure:
        fill(normal)
        # Each 10 ms it takes the interpreter's lock again. Naps between two looks would be hundreds.
        assert threads.submit(given_away).result(SOON) <= 50


# ---- signals ---------------------------------------------------------------------------------------

INTERRUPTED = """
    import os, signal, sys, threading, time, isthmus
    ends = isthmus.memory_link(isthmus.ChannelConfig(ring_normal=16384), spin={spin})
    normal, secure = ends
    def interrupt():
        while normal.statistics.sleeps == 0 and {spin} < 0.5:
            time.sleep(0.001)
        time.sleep(0.02)
        os.kill(os.getpid(), signal.SIGINT)
        sent.extend(spent())
    def spent():
        return normal.statistics.sleeps, time.process_time()
    sent = []
    {prepare}
    interrupter = threading.Thread(target=interrupt)
    interrupter.start()
    try:
        {call}
    except KeyboardInterrupt:
        sleeps, busy = spent()
        interrupter.join()
        print("interrupted", sleeps - sent[0], busy - sent[1])
    normal.close(); secure.close()
"""


@pytest.mark.parametrize("spin", [50e-6, 0, 1.0])
@pytest.mark.parametrize(
    ("prepare", "call"),
    [
        ("pass", "normal.receive()"),
        ("normal.send_batch([bytes(1500)] * 100, 0)", "normal.send(bytes(1500))"),
        ("secure.end()", "normal.begin(5); normal.wait_up()"),
    ],
    ids=["receive", "send", "wait_up"],
)
def test_ctrl_c_ends_a_call(prepare: str, call: str, spin: float) -> None:
    """However busy this computer is: before it has slept again, for a sleep takes up to 100 ms; and in less
    than half of the processor time that its longest spin takes."""
    script = textwrap.dedent(INTERRUPTED).format(prepare=prepare, call=call, spin=spin)
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, timeout=30, check=True
    )
    word, sleeps, busy = done.stdout.split()
    assert word == "interrupted"
    assert int(sleeps) <= 1  # the one that it is in
    assert float(busy) < 0.5


def test_a_handled_signal_resumes_the_call(ends: Ends) -> None:
    """PEP 475: the handler runs, the call goes on and keeps its time limit."""
    seen: list[int] = []

    def handler(number: int, frame: FrameType | None) -> None:
        seen.append(number)

    before = signal.signal(signal.SIGALRM, handler)
    try:
        signal.setitimer(signal.ITIMER_REAL, 0.01, 0.01)
        start = time.monotonic()
        with pytest.raises(TimeoutError):
            ends[0].receive(0.2)
        elapsed = time.monotonic() - start
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)
    assert elapsed >= 0.2
    assert len(seen) >= 2


def test_what_a_handler_raises_ends_the_call(ends: Ends) -> None:
    def handler(number: int, frame: FrameType | None) -> None:
        raise LookupError

    before = signal.signal(signal.SIGALRM, handler)
    try:
        signal.setitimer(signal.ITIMER_REAL, 0.02)
        with pytest.raises(LookupError):
            ends[0].receive(SOON)
    finally:
        signal.signal(signal.SIGALRM, before)
    ends[1].send(bytes(60))
    assert ends[0].receive() == bytes(60)


def test_a_handler_may_close_the_endpoint(ends: Ends) -> None:
    before = signal.signal(signal.SIGALRM, lambda *_: ends[0].close())
    try:
        signal.setitimer(signal.ITIMER_REAL, 0.02)
        with pytest.raises(ClosedError):
            ends[0].receive(SOON)
    finally:
        signal.signal(signal.SIGALRM, before)


# ---- fork --------------------------------------------------------------------------------------------


def open_descriptors() -> set[int]:
    """Without the one that lists them."""
    return {fd for fd in map(int, os.listdir("/proc/self/fd")) if os.path.exists(f"/proc/self/fd/{fd}")}


def in_child(fork: Callable[[], int], check: Callable[[], None]) -> None:
    pid = fork()
    if pid == 0:
        status = 1
        try:
            check()
            status = 0
        finally:
            os._exit(status)
    assert os.waitpid(pid, 0)[1] == 0


FORKS: dict[str, Callable[[], int]] = {"os.fork": os.fork, "fork(2) behind our back": ctypes.CDLL(None).fork}


@pytest.mark.parametrize("fork", FORKS)
def test_a_childs_endpoint_is_closed_and_the_parents_lives(ends: Ends, fork: str) -> None:
    def check() -> None:
        for call in (lambda: ends[0].send(bytes(60)), lambda: ends[0].receive(0), ends[0].fileno):
            with pytest.raises(ClosedError):
                call()
        assert ends[0].closed
        ends[0].close()
        with pytest.raises(ClosedError):
            ends[1].receive(0)

    in_child(FORKS[fork], check)
    ends[0].send(bytes(60))
    assert ends[1].receive(0) == bytes(60)
    with pytest.raises(BlockingIOError):
        ends[1].receive(0)


def test_a_child_keeps_no_descriptor() -> None:
    """Else the peer of a dead parent would wait for the child's end of the bell."""
    before = open_descriptors()
    normal, secure = memory_link()
    with normal, secure:
        normal.fileno()

        def check() -> None:
            assert open_descriptors() == before

        in_child(os.fork, check)


def test_a_fork_while_another_thread_waits(ends: Ends, threads: ThreadPoolExecutor) -> None:
    future = threads.submit(ends[0].receive)
    waiting(ends[0], future)

    def check() -> None:
        with pytest.raises(ClosedError):
            ends[0].receive()

    in_child(os.fork, check)
    ends[1].send(bytes(60))
    assert future.result(SOON) == bytes(60)


def test_descriptors_are_close_on_exec(ends: Ends) -> None:
    before = open_descriptors()
    normal, secure = memory_link()
    with normal, secure:
        normal.fileno()
        normal.room_fileno()
        opened = open_descriptors() - before
        assert len(opened) == 8  # per end a bell and two eventfds; two epolls
        assert not any(os.get_inheritable(fd) for fd in opened)
    assert open_descriptors() == before


# ---- select ------------------------------------------------------------------------------------------


def readable(endpoint: Endpoint, seconds: float = 0) -> bool:
    return bool(select.select([endpoint], [], [], seconds)[0])


def test_readable_exactly_while_frames_are_there(ends: Ends) -> None:
    assert not readable(ends[1])
    ends[0].send(b"before fileno() was asked for")
    ends[1].receive()
    for count in (1, 3, 2):
        ends[0].send_batch([bytes(60)] * count)
        for _ in range(count):
            assert readable(ends[1])
            ends[1].receive(0)
        assert not readable(ends[1])


def test_readable_for_frames_that_came_before_anybody_asked(ends: Ends) -> None:
    ends[0].send_batch([bytes(60)] * 2)
    assert readable(ends[1])
    ends[1].receive(0)
    assert readable(ends[1])
    ends[1].receive(0)
    assert not readable(ends[1])


def test_readable_after_a_call_that_slept_took_the_ring(ends: Ends, threads: ThreadPoolExecutor) -> None:
    """It emptied the bell for three frames and returned with one."""
    ends[1].fileno()
    future = threads.submit(ends[1].receive)
    waiting(ends[1], future)
    ends[0].send_batch([bytes(60)] * 3)
    future.result(SOON)
    assert readable(ends[1])
    assert len(ends[1].receive_batch(256, 0)) == 2
    assert not readable(ends[1])


def test_readable_however_calls_are_mixed(ends: Ends) -> None:
    sender, receiver = ends
    receiver.fileno()
    sender.send_batch([bytes(60)] * 5)
    assert len(receiver.receive_batch(2)) == 2
    assert readable(receiver)
    assert receiver.receive_into(bytearray(100)) == 60
    assert readable(receiver)
    with pytest.raises(ValueError, match="60 bytes"):
        receiver.receive_into(bytearray(10))
    assert readable(receiver)
    assert len(receiver.receive_batch()) == 2
    assert not readable(receiver)
    with pytest.raises(TimeoutError):
        receiver.receive(0.02)
    assert not readable(receiver)
    sender.send(bytes(60))
    assert readable(receiver, SOON)
    receiver.send(bytes(60))
    receiver.poll()
    assert readable(receiver)
    receiver.receive(0)
    assert not readable(receiver)


def test_readable_when_there_is_something_to_say(ends: Ends) -> None:
    assert not readable(ends[1])
    begin_epoch(*ends)
    assert readable(ends[1])
    with pytest.raises(LinkDown):
        ends[1].receive(0)
    assert not readable(ends[1])
    ends[0].close()
    assert readable(ends[1], SOON)
    with pytest.raises(PeerDead):
        ends[1].receive(0)
    assert readable(ends[1])  # every call says so from now on


def test_a_sender_does_not_take_the_receivers_bell(ends: Ends, threads: ThreadPoolExecutor) -> None:
    """A sender that sleeps empties the bell that was rung for frames; select() must see them all the same."""
    near, far = ends
    assert not readable(near)
    fill(near)
    future = threads.submit(near.send, bytes(1500), SOON)
    waiting(near, future)
    far.send(bytes(60))
    assert readable(near, SOON)
    while not future.done():
        far.receive_batch(timeout=SOON)
    assert readable(near)
    assert near.receive(0) == bytes(60)


def test_room_is_announced(ends: Ends) -> None:
    near, far = ends
    room = near.room_fileno()
    fill(near)
    with pytest.raises(BlockingIOError):
        near.send(bytes(1500), 0)
    assert not select.select([room], [], [], 0)[0]
    far.receive_batch(256)
    with pytest.raises(BlockingIOError):
        far.receive(0)  # running empty tells the sender
    assert select.select([room], [], [], SOON)[0]
    near.send(bytes(1500), 0)


# ---- asyncio -----------------------------------------------------------------------------------------


def test_await_receive_and_send(ends: Ends) -> None:
    near, far = ends
    frames = [n.to_bytes(2, "big") * 700 for n in range(500)]

    async def pump() -> None:
        for frame in frames:
            await near.aio.send(frame)

    async def drain() -> list[bytes]:
        return [await far.aio.receive() for _ in frames]

    async def both() -> list[bytes]:
        async with asyncio.timeout(60), asyncio.TaskGroup() as group:
            group.create_task(pump())
            result = group.create_task(drain())
        return result.result()

    assert asyncio.run(both()) == frames


def test_async_for_ends_with_the_peer(ends: Ends) -> None:
    ends[0].send_batch([bytes([n]) * 60 for n in range(100)])
    ends[0].close()

    async def collect() -> list[int]:
        return [frame[0] async for frame in ends[1]]

    assert asyncio.run(collect()) == list(range(100))


def test_async_for_ends_with_a_close(ends: Ends) -> None:
    async def main() -> list[bytes]:
        async def collect() -> list[bytes]:
            return [frame async for frame in ends[1]]

        task = asyncio.create_task(collect())
        await asyncio.sleep(0.02)
        ends[1].close()
        return await asyncio.wait_for(task, SOON)

    assert asyncio.run(main()) == []


def test_a_task_that_is_cancelled_leaves_nothing_behind(ends: Ends) -> None:
    async def main() -> bytes:
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.02):
                await ends[1].aio.receive()
        ends[0].send(bytes(60))
        return await ends[1].aio.receive()

    assert asyncio.run(main()) == bytes(60)


def test_an_idle_loop_sleeps(ends: Ends) -> None:
    """A descriptor that stayed readable would keep the loop busy."""

    async def main() -> float:
        task = asyncio.create_task(ends[1].aio.receive())
        before = time.process_time()
        await asyncio.sleep(0.3)
        ends[0].send_batch([bytes(60)] * 3)
        await asyncio.wait_for(task, SOON)
        await asyncio.sleep(0.3)  # with frames that nobody waits for
        return time.process_time() - before

    assert asyncio.run(main()) < 0.1
