# SPDX-License-Identifier: MIT
"""multiprocessing.Pipe, blocking or asked over and over. It has no batch calls."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from multiprocessing import Pipe
from multiprocessing.connection import Connection

from isthmus.bench.ports import SPIN, Make, Port


@contextmanager
def ends() -> Iterator[Make]:
    pair = Pipe()
    yield lambda end, settings: Port(pair[end].send_bytes, receiver(pair[end], settings["wait"] == SPIN))


def receiver(end: Connection[bytes, bytes], spin: bool) -> Callable[[], bytes]:
    if not spin:
        return end.recv_bytes
    poll, receive = end.poll, end.recv_bytes

    def receive_spinning() -> bytes:
        while not poll(0):
            pass
        return receive()

    return receive_spinning
