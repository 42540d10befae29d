# SPDX-License-Identifier: MIT
"""What one writes over multiprocessing.shared_memory: a ring of slots each way, cursors on lines of their
own, the peer's cursor cached, both ends spinning. It relies on x86's order of stores, as such programs do.

    8 B head, at 0 | 8 B tail, at 64 | from 128: SLOTS times 8 B length, frame
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from multiprocessing.shared_memory import SharedMemory

from isthmus.bench.ports import SLOTS, Make, Port

SLOT = 2048
WORDS = SLOT // 8
HEAD, TAIL, FIRST = 0, 8, 16  # in words of 8 bytes
SIZE = FIRST * 8 + SLOTS * SLOT


@contextmanager
def ends() -> Iterator[Make]:
    rings = [SharedMemory(create=True, size=SIZE) for _ in range(2)]
    for ring in rings:
        memory(ring)[:SIZE] = bytes(SIZE)  # touched before anything is measured
    try:
        yield lambda end, settings: Port(sender(rings[end]), receiver(rings[1 - end]))
    finally:
        for ring in rings:
            ring.close()
            ring.unlink()


def memory(ring: SharedMemory) -> memoryview:
    assert ring.buf is not None  # until it is closed
    return ring.buf


def sender(ring: SharedMemory) -> Callable[[bytes], None]:
    data = memory(ring)
    words = data.cast("Q")
    head = tail = 0

    def send(frame: bytes) -> None:
        nonlocal head, tail
        while head - tail == SLOTS:
            tail = words[TAIL]
        slot = FIRST + head % SLOTS * WORDS
        size = len(frame)
        words[slot] = size
        at = slot * 8 + 8
        data[at : at + size] = frame
        head += 1
        words[HEAD] = head

    return send


def receiver(ring: SharedMemory) -> Callable[[], bytes]:
    data = memory(ring)
    words = data.cast("Q")
    head = tail = 0

    def receive() -> bytes:
        nonlocal head, tail
        while head == tail:
            head = words[HEAD]
        slot = FIRST + tail % SLOTS * WORDS
        at = slot * 8 + 8
        frame = bytes(data[at : at + words[slot]])
        tail += 1
        words[TAIL] = tail
        return frame

    return receive
