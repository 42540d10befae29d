#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""What a 64-byte frame costs to receive in Python from one of many channels, in nanoseconds, by ways in turn.

    .venv/bin/python tools/channels_cost.py [--rounds N]

    Channels        Channels.receive_batch(256), which says whose each frame is
    loop            receive_batch(64, 0) of each endpoint in turn
    epoll           the same of each whose descriptor is readable
    Channels into   Channels.receive_batch_into
    loop into       receive_batch_into of each endpoint in turn

One thread, memory links of 16 KiB; sending is not timed. Each figure is the median of all rounds.
"""

from __future__ import annotations

import argparse
import array
import select
import statistics
import sys
import time
from collections.abc import Callable
from contextlib import ExitStack

from isthmus import ChannelConfig, Channels, Endpoint, memory_link

FRAME = bytes(64)
MOST = 256
#: Channels, those that are busy, frames of a batch in each.
SHAPES = ((1, 1, 32), (4, 4, 32), (16, 16, 32), (64, 64, 32), (64, 1, 32), (64, 64, 1), (64, 1, 1))

Way = Callable[[], int]  # receives what is there; how many frames


def ways(near: dict[str, list[Endpoint]], stack: ExitStack) -> dict[str, Way]:
    many = stack.enter_context(Channels(near["Channels"]))
    many_into = stack.enter_context(Channels(near["Channels into"]))
    poll = stack.enter_context(select.epoll())
    by_descriptor = {endpoint.fileno(): endpoint for endpoint in near["epoll"]}
    for descriptor in by_descriptor:
        poll.register(descriptor, select.EPOLLIN)
    buffer = bytearray(MOST * many[0].frame_max)
    lengths, numbers = (array.array("I", [0] * MOST) for _ in range(2))

    def ask(endpoints: list[Endpoint]) -> int:
        got = 0
        for endpoint in endpoints:
            try:
                got += len(endpoint.receive_batch(64, 0))
            except BlockingIOError:
                continue
        return got

    def ask_into() -> int:
        got = 0
        for endpoint in near["loop into"]:
            try:
                got += endpoint.receive_batch_into(buffer, lengths, 0)
            except BlockingIOError:
                continue
        return got

    return {
        "Channels": lambda: len(many.receive_batch(MOST, 0)),
        "loop": lambda: ask(near["loop"]),
        "epoll": lambda: ask([by_descriptor[fd] for fd, _ in poll.poll(0)]),
        "Channels into": lambda: many_into.receive_batch_into(buffer, lengths, numbers, 0),
        "loop into": ask_into,
    }


NAMES = ("Channels", "loop", "epoll", "Channels into", "loop into")


def measure(shape: tuple[int, int, int], rounds: int) -> dict[str, float]:
    channels, busy, batch = shape
    config = ChannelConfig(ring_normal=16384, ring_secure=4096)
    taken: dict[str, list[float]] = {name: [] for name in NAMES}
    with ExitStack() as stack:
        links = {name: [memory_link(config) for _ in range(channels)] for name in NAMES}
        for pairs in links.values():
            for pair in pairs:
                for end in pair:
                    stack.enter_context(end)
        prepared = ways({name: [near for _, near in pairs] for name, pairs in links.items()}, stack)
        for _ in range(rounds):
            for name, receive in prepared.items():
                for far, _ in links[name][:busy]:
                    far.send_batch([FRAME] * batch)
                left = busy * batch
                start = time.perf_counter_ns()
                while left:
                    left -= receive()
                taken[name].append((time.perf_counter_ns() - start) / (busy * batch))
    return {name: statistics.median(values) for name, values in taken.items()}


def main() -> int:
    parser = argparse.ArgumentParser(description="what a frame costs to receive from one of many channels")
    parser.add_argument("--rounds", type=int, default=300)
    rounds = parser.parse_args().rounds
    print("ns a frame".ljust(28), *(name.rjust(13) for name in NAMES))
    for shape in SHAPES:
        costs = measure(shape, rounds)
        title = f"{shape[0]} channels, {shape[1]} busy, by {shape[2]}"
        print(title.ljust(28), *(f"{costs[name]:13.0f}" for name in NAMES), flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
