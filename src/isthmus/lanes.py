# SPDX-License-Identifier: MIT
"""The lanes of a channel, as a board file names them.

Beside the bulk lane a board may name up to three `[[lane]]`s, each with a ring, a budget and receive buffers
of its own; a rule of the allow-list says which flow goes by which (`lane = "critical"`). The last one named
comes first. What they get is taken out of the board's budget; the bulk lane has the rest.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

import msgspec

from isthmus.filter import Rule

__all__ = ["BULK", "LANES_MAX", "SHIFT", "Lane", "mirrored"]

BULK = "bulk"
LANES_MAX = 4  # IST_LANES_MAX of core/abi.h, the bulk lane included
SHIFT = 62  # IST_LANE_SHIFT
_NAME = re.compile(r"[a-z][a-z0-9_-]{0,15}")


class Lane(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A lane beside the bulk lane. `frames` and `bytes` are per period of the board's budget."""

    name: str
    ring_bytes: int = 262144  # of either world's ring
    frames: int = 32
    bytes: int = 131072
    broadcasts_per_second: int = 50  # of frames to any group, within the rest; 0 = no rate
    broadcast_burst: int = 8

    @property
    def named_well(self) -> bool:
        return _NAME.fullmatch(self.name) is not None and self.name != BULK


def mirrored(rules: Sequence[Rule]) -> tuple[Rule, ...]:
    """What answers to the flows would need: ends and ports changed over, to one receiver, no rates."""
    found = []
    for r in rules:
        if r.direction == "out":
            continue
        found.append(
            msgspec.structs.replace(
                r,
                direction="out",
                group=r.group if r.ethertype in ("arp", 0x0806) else None,
                source=None,
                destination=r.source,
                icmp=None,
                port=r.source_port,
                source_port=r.port,
                frames_per_second=0,
                burst_frames=1,
            )
        )
    return tuple(found)
