# SPDX-License-Identifier: MIT
"""TCP throughput over the channel, beside the same stack without one, in interleaved rounds of one run."""

from __future__ import annotations

from collections.abc import Iterator
from statistics import median
from typing import Literal

from isthmus.check.program import Failed, answer
from isthmus.check.rows import Row, missing, row
from isthmus.host import HostMachine

__all__ = ["DIRECTIONS", "compared", "throughput"]

ROUNDS = 3
MILLISECONDS = 300
RATIO_MIN = 0.5
PORT = 5001

Direction = Literal["to", "from"]
DIRECTIONS: tuple[tuple[str, Direction], ...] = (("tcp.to_secure", "to"), ("tcp.to_normal", "from"))


def stream(machine: HostMachine, direction: Direction) -> float:
    """Mbit/s of TCP payload. Raises Failed."""
    address = machine.board.secure.address
    got = answer(machine, "stream", direction, address, PORT, MILLISECONDS, limit=MILLISECONDS / 1000 + 12)
    return float(got["bytes"] * 8 / got["seconds"] / 1e6)


def throughput(machine: HostMachine, baseline: HostMachine) -> Iterator[Row]:
    """Both rows. `baseline`: the same stack on a machine without a channel (HostMachine(plain=True))."""
    rates: dict[tuple[str, HostMachine], list[float]] = {
        (ident, m): [] for ident, _ in DIRECTIONS for m in (machine, baseline)
    }
    troubles: dict[str, str] = {}
    for number in range(ROUNDS):
        for ident, direction in DIRECTIONS:
            pair = (machine, baseline) if number % 2 == 0 else (baseline, machine)
            for m in pair:
                if ident in troubles:
                    continue
                try:
                    rates[ident, m].append(stream(m, direction))
                except Failed as problem:
                    troubles[ident] = f"{'without the channel: ' if m is baseline else ''}{problem}"
    beside = "a plain TAP" if baseline.interface_kind == "tap" else "veth and AF_PACKET, for want of a TAP"
    for ident, _ in DIRECTIONS:
        if ident in troubles:
            yield missing(ident, troubles[ident])
        else:
            yield compared(ident, rates[ident, machine], rates[ident, baseline], beside)


def compared(ident: str, ours: list[float], plain: list[float], beside: str) -> Row:
    """From the rates of the same rounds, in Mbit/s. The median of the rounds' ratios decides."""
    ratio = median(a / b if b else 0.0 for a, b in zip(ours, plain, strict=True))
    detail = f"{ratio:.2f} of the same stack on {beside} ({median(plain):,.0f}); at least {RATIO_MIN}"
    return row(ident, ratio >= RATIO_MIN, median(ours), detail)
