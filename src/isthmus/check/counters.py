# SPDX-License-Identifier: MIT
"""Every frame that a world has handed to the channel is delivered, refused by name, or still in the ring.

Both worlds' counters run on through sessions, so an account covers one session: between two looks at rest. Of
a channel with lanes it is all lanes' together.
"""

from __future__ import annotations

import mmap
import os
import re
import struct
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from isthmus.check.program import Machine
from isthmus.check.rows import Row, missing, row
from isthmus.errors import LinkDown
from isthmus.host import HostMachine, World
from isthmus.qemu.linked import SLOWER, LinkedMachine

__all__ = ["Balance", "Ledger", "Rest", "at_rest", "balance", "frames_between"]

# core/abi.h: verdicts on a received frame that consume it.
REFUSALS = (
    "LENGTH_SHORT", "LENGTH_LONG", "LENGTH_OVERRUN", "FLAGS", "OFFLOAD", "REPLAY", "GAP", "TAG", "FILTER",
    "HEADER", "FRAGMENT", "IP_OPTIONS", "VLAN", "SOURCE", "BROADCAST", "RATE", "LANE", "NO_BUFFER",
)  # fmt: skip
CTL_HEAD, CTL_TAIL, CONTROL = 0x080, 0x100, 0x200
RECORD_HEADER, ALIGN, TRAILER = 16, 16, 16
REST_LIMIT_S = 3.0
REST_LOOK_S = 0.02

DIRECTIONS: tuple[tuple[World, World], ...] = (("normal", "secure"), ("secure", "normal"))


@dataclass(frozen=True)
class Rest:
    """Both worlds' reports while nothing moved, and the frames that lay in each world's ring."""

    epoch: int
    reports: Mapping[World, Mapping[str, Any]]
    in_flight: Mapping[World, int]

    def accepted(self, sender: World) -> int:
        return of_all_lanes(self.reports[sender])["sent"]

    def delivered(self, receiver: World) -> int:
        return of_all_lanes(self.reports[receiver])["OK"]

    def refused(self, receiver: World) -> dict[str, int]:
        found = of_all_lanes(self.reports[receiver])
        return {name: found[name] for name in REFUSALS}


def of_all_lanes(report: Mapping[str, Any]) -> dict[str, int]:
    """Verdicts by name, and "sent". What stands at the top of a report is the bulk lane's; the others follow
    by number, in a list or under names with the number in front."""
    found = {"sent": int(report["sent"]), **report["counters"]}
    lanes = report.get("lanes", ())
    for lane in lanes.values() if isinstance(lanes, Mapping) else lanes:
        for name, n in {"sent": lane["sent"], **lane["counters"]}.items():
            found[name] += n
    for key, n in report.items():
        if of_a_lane := re.fullmatch(r"lane\d+_(sent|verdict_(\w+))", key):
            found[of_a_lane[2] or "sent"] += n
    return found


def frames_between(buffer: bytes, ring_bytes: int, tail: int, head: int, trailer: int, at: int = 0) -> int:
    """Records from `tail` up to `head` of the lane at `at` in a buffer. ValueError if they do not end there,
    or the cursors are of two moments: further apart than the ring is long."""
    frames = 0
    if (head - tail) & 0xFFFFFFFF > ring_bytes:
        raise ValueError("the cursors are further apart than the ring is long")
    while tail != head:
        (length,) = struct.unpack_from("<I", buffer, at + CONTROL + (tail & (ring_bytes - 1)))
        record = (RECORD_HEADER + length + ALIGN - 1) // ALIGN * ALIGN + trailer
        if record > (head - tail) & 0xFFFFFFFF:
            raise ValueError("the ring's records do not end at its head")
        tail = (tail + record) & 0xFFFFFFFF
        frames += 1
    return frames


def snapshot(machine: Machine, world: World) -> bytes:
    if isinstance(machine, LinkedMachine):
        return bytes(machine.buffer(world))
    fd = machine.buffer(world)
    try:
        with mmap.mmap(fd, 0, mmap.MAP_SHARED, mmap.PROT_READ) as view:
            return bytes(view)
    finally:
        os.close(fd)


def in_flight(machine: Machine, sender: World, receiver: World) -> int:
    """Frames in the sender's ring that the receiver has not consumed, read from both control blocks."""
    buffer, consumer = snapshot(machine, sender), snapshot(machine, receiver)
    board, found = machine.board, 0
    trailer = TRAILER if board.channel.tag != "none" else 0
    lanes = zip(board.lane_places(sender), board.lane_places(receiver), strict=True)
    for (at, ring_bytes), (of_receiver, _) in lanes:
        (head,) = struct.unpack_from("<I", buffer, at + CTL_HEAD)
        (tail,) = struct.unpack_from("<I", consumer, of_receiver + CTL_TAIL)
        found += frames_between(buffer, ring_bytes, tail, head, trailer, at)
    return found


def look(machine: Machine) -> dict[World, dict[str, Any]]:
    return {"normal": machine.status("normal"), "secure": machine.status("secure")}


def moving(report: Mapping[str, Any]) -> tuple[object, ...]:
    return report["epoch"], of_all_lanes(report)


def at_rest(machine: Machine) -> Rest:
    """Waits until no counter moves. Raises LinkDown if that does not happen.

    The rings are looked at between two looks at the counters that find the same: whatever moved meanwhile, a
    segment sent again for one, would have moved a counter.
    """
    limit = REST_LIMIT_S * (SLOWER if isinstance(machine, LinkedMachine) else 1)
    deadline = time.monotonic() + limit
    reports = look(machine)
    while time.monotonic() < deadline:
        time.sleep(REST_LOOK_S)
        try:
            lying = {sender: in_flight(machine, sender, receiver) for sender, receiver in DIRECTIONS}
        except ValueError:  # cursors of two moments
            lying = None
        again = look(machine)
        if lying is not None and all(moving(again[world]) == moving(reports[world]) for world in reports):
            return Rest(machine.epoch, again, lying)
        reports = again
    raise LinkDown(f"the link did not come to rest within {limit:g} s")


def falls(machine: Machine) -> list[str]:
    """Why sessions ended so far, as the host's supervisor saw it."""
    return [fall.cause for fall in machine.restarts] if isinstance(machine, HostMachine) else []


@dataclass
class Balance:
    """One direction's account in frames."""

    accepted: int = 0
    delivered: int = 0
    refused: Mapping[str, int] = field(default_factory=dict)  # by verdict, those that moved
    in_flight: int = 0

    @property
    def unexplained(self) -> int:
        return abs(self.accepted - self.delivered - sum(self.refused.values()) - self.in_flight)

    def __str__(self) -> str:
        named = "".join(f", {n:,} {name}" for name, n in self.refused.items())
        lying = f", {self.in_flight:,} in flight" if self.in_flight else ""
        return f"{self.delivered:,} of {self.accepted:,} delivered{named}{lying}"


def balance(since: Rest | None, until: Rest) -> dict[World, Balance]:
    """By receiver. `since` None: from both worlds' start, when every counter was 0."""
    if since is not None and since.epoch != until.epoch:
        raise LinkDown("the session ended between two looks at the counters")
    found = {}
    for sender, receiver in DIRECTIONS:
        before = since.refused(receiver) if since else dict.fromkeys(REFUSALS, 0)
        refused = {name: n - before[name] for name, n in until.refused(receiver).items() if n != before[name]}
        found[receiver] = Balance(
            until.accepted(sender) - (since.accepted(sender) if since else 0),
            until.delivered(receiver) - (since.delivered(receiver) if since else 0),
            refused,
            until.in_flight[sender] - (since.in_flight[sender] if since else 0),
        )
    return found


@dataclass
class Ledger:
    """Watches sessions from rest to rest. The first begins with both worlds' start."""

    entries: list[tuple[Rest | None, Rest]] = field(default_factory=list)
    since: Rest | None = None
    trouble: str = ""
    fallen: int = 0

    def open(self, machine: Machine) -> None:
        self.fallen = len(falls(machine))
        try:
            self.since = at_rest(machine)
        except LinkDown as problem:
            self.trouble = str(problem)

    def close(self, machine: Machine) -> None:
        try:
            self.entries.append((self.since, at_rest(machine)))
        except LinkDown as problem:
            self.trouble = str(problem)
        for cause in falls(machine)[self.fallen :]:  # until it rested; and this is why it did not, if so
            self.trouble = f"the session ended while it was watched: {cause}"

    def row(self) -> Row:
        try:
            if self.trouble or not self.entries:
                raise LinkDown(self.trouble or "no session was watched")
            balances = [b for since, until in self.entries for b in balance(since, until).items()]
        except LinkDown as problem:
            return missing("counters.unexplained", str(problem))
        total = sum(b.unexplained for _, b in balances)
        words = {world: [str(b) for w, b in balances if w == world] for _, world in DIRECTIONS}
        detail = "; ".join(f"to the {w.capitalize()} world {', '.join(said)}" for w, said in words.items())
        return row("counters.unexplained", total == 0, total, detail)
