# SPDX-License-Identifier: MIT
"""ZeroMQ from Python: a PAIR over ipc, blocking or asked over and over.

It has no batch calls; its I/O thread makes batches by itself.
"""

from __future__ import annotations

import contextlib
import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager

from isthmus.bench.ports import SPIN, Make, Missing, Port


@contextmanager
def ends() -> Iterator[Make]:
    try:
        import zmq
    except ImportError:
        raise Missing("no pyzmq here; install isthmus[bench]") from None

    with tempfile.TemporaryDirectory(prefix="isthmus-bench-") as folder:
        address = f"ipc://{folder}/pair"
        have_all, all_arrived = os.pipe()

        def make(end: int, settings: dict[str, int]) -> Port:
            context = zmq.Context()
            pair = context.socket(zmq.PAIR)

            def finish() -> None:
                if end == 0:  # what is on its way would be lost with the connection, now and then
                    os.read(have_all, 1)
                else:
                    os.write(all_arrived, b"\0")
                pair.close()
                context.term()

            if end == 0:
                pair.bind(address)
            else:
                pair.connect(address)  # waits for the other by itself
            if settings["wait"] != SPIN:
                return Port(pair.send, pair.recv, finish=finish)

            def receive(again: type[Exception] = zmq.Again, flags: int = zmq.NOBLOCK) -> bytes:
                while True:
                    with contextlib.suppress(again):
                        frame: bytes = pair.recv(flags)
                        return frame
                    os.sched_yield()  # to its I/O thread, which has our processor

            return Port(pair.send, receive, finish=finish)

        try:
            yield make
        finally:
            os.close(have_all)
            os.close(all_arrived)
