#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""What one call of the native endpoint costs, in nanoseconds, on a memory link in one thread.

    .venv/bin/python tools/call_cost.py [--rounds N]

The cost of the cheapest C call is measured in the same rounds and printed beside it: only the ratio to it
travels to another machine. Each figure is the best of all rounds, the loop taken off. A batch is 32 frames,
its cost is per frame.
"""

from __future__ import annotations

import argparse
import array
import sys
import time
from collections.abc import Callable

from isthmus import ChannelConfig, memory_link

FRAMES = 128  # in flight at most
BATCH = 32

Case = Callable[[], None]


def cases(size: int) -> dict[str, tuple[Case, Case | None]]:
    """name -> (what is timed: FRAMES operations, what makes room or frames for it beforehand)."""
    normal, secure = memory_link(ChannelConfig(ring_normal=1 << 19, ring_secure=1 << 19))
    frame = bytes(size)
    batch = [frame] * BATCH
    send, receive, receive_into = normal.send, secure.receive, secure.receive_into
    buffer, lengths = bytearray(BATCH * size), array.array("I", [0] * BATCH)
    sizes = array.array("I", [size] * BATCH)
    times = range(FRAMES)
    batches = range(FRAMES // BATCH)

    def fill() -> None:
        drain()
        for _ in batches:
            normal.send_batch(batch)

    def drain() -> None:
        while True:
            try:
                secure.receive_batch(256, 0)
            except BlockingIOError:
                return

    def loop() -> None:
        for _ in times:
            pass

    def cheapest() -> None:
        for _ in times:
            len(frame)

    def do_send() -> None:
        for _ in times:
            send(frame)

    def do_receive() -> None:
        for _ in times:
            receive()

    def do_receive_into() -> None:
        for _ in times:
            receive_into(buffer)

    def do_reserve() -> None:
        for _ in times:
            with normal.reserve(size):
                pass

    def do_send_batch() -> None:
        for _ in batches:
            normal.send_batch(batch)

    def do_send_batch_from() -> None:
        for _ in batches:
            normal.send_batch_from(buffer, sizes)

    def do_receive_batch() -> None:
        for _ in batches:
            secure.receive_batch(BATCH)

    def do_receive_batch_into() -> None:
        for _ in batches:
            secure.receive_batch_into(buffer, lengths)

    return {
        "(empty loop)": (loop, None),
        "(len)": (cheapest, None),
        "send": (do_send, drain),
        "receive": (do_receive, fill),
        "receive_into": (do_receive_into, fill),
        "reserve": (do_reserve, drain),
        "send_batch": (do_send_batch, drain),
        "send_batch_from": (do_send_batch_from, drain),
        "receive_batch": (do_receive_batch, fill),
        "receive_batch_into": (do_receive_batch_into, fill),
    }


def measure(size: int, rounds: int) -> dict[str, float]:
    """Best nanoseconds per operation, the empty loop taken off."""
    best: dict[str, float] = {}
    prepared = cases(size)
    for _ in range(rounds):
        for name, (work, before) in prepared.items():
            if before:
                before()
            start = time.perf_counter_ns()
            work()
            cost = (time.perf_counter_ns() - start) / FRAMES
            best[name] = min(cost, best.get(name, cost))
    loop = best.pop("(empty loop)")
    return {name: cost - loop * ("batch" not in name) for name, cost in best.items()}


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--rounds", type=int, default=500)
    rounds = parser.parse_args().rounds
    results = {size: measure(size, rounds) for size in (64, 1500)}
    print(f"{'ns':20}" + "".join(f"{size:>8} B" for size in results))
    for name in results[64]:
        print(f"{name:20}" + "".join(f"{costs[name]:10.1f}" for costs in results.values()))
    return 0


if __name__ == "__main__":
    sys.exit(main())
