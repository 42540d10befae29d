# SPDX-License-Identifier: MIT
"""From rules to the table of 64-bit words that core/filter.c walks; core/filter.h says how it is laid out."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Sequence

from isthmus.filter.addresses import Interval, mac_number
from isthmus.filter.rule import FIELDS, Direction, Ends, Rule

__all__ = ["SPANS_MAX", "compile_table"]

SPANS_MAX = 256  # IST_FILTER_SPANS: eight halvings
_NS = 1_000_000_000


def compile_table(
    rules: Sequence[Rule],
    ends: Ends,
    direction: Direction = "in",
    broadcast_per_second: int = 0,
    broadcast_burst: int = 1,
    lane: str = "bulk",
    rates: bool = True,
) -> list[int]:
    """The words for one direction and lane. `ends` is of the direction "in". The rules have passed check().
    Without `rates` the table says what may go by the lane, however often: what a sender chooses by."""
    side = ends if direction == "in" else ends.turned()
    chosen = [r for r in rules if r.direction == direction]
    admitted = [r.intervals(side) for r in chosen]
    by_lane = sum(1 << i for i, r in enumerate(chosen) if r.lane == lane)
    groups = _limit(broadcast_per_second if rates else 0, broadcast_burst)
    words = [len(chosen), mac_number(side.peer_mac), by_lane, *groups]
    limits = [word for r in chosen for word in _limit(r.frames_per_second if rates else 0, r.burst_frames)]
    at = len(words) + len(FIELDS) + len(limits)
    spans: list[int] = []
    for name, bits in FIELDS.items():
        pairs = _spans([a[name] for a in admitted], 1 << bits)
        words.append((at + len(spans)) << 32 | len(pairs))
        spans += [word for pair in pairs for word in pair]
    return [*words, *limits, *spans]


def _limit(per_second: int, burst: int) -> tuple[int, int]:
    """GCRA interval and tolerance in nanoseconds, rounded so that nothing is given away; 0, 0: no limit."""
    interval = -(-_NS // per_second) if per_second else 0
    return interval, interval * (burst - 1)


def _spans(admitted: Sequence[Sequence[Interval]], limit: int) -> list[tuple[int, int]]:
    """(first value, mask of rules), ascending from 0; a power of two of them, those left over last."""
    edges = sorted({0, *(e for a in admitted for low, high in a for e in (low, high + 1) if e < limit)})
    masks = [0] * len(edges)
    for bit, intervals in enumerate(admitted):
        for low, high in intervals:
            for i in range(bisect_right(edges, low) - 1, bisect_right(edges, high)):
                masks[i] |= 1 << bit
    pairs = [(e, m) for i, (e, m) in enumerate(zip(edges, masks, strict=True)) if i == 0 or m != masks[i - 1]]
    spare = (1 << (len(pairs) - 1).bit_length()) - len(pairs)
    return pairs + [((1 << 64) - 1, pairs[-1][1])] * spare
