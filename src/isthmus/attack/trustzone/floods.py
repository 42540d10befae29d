# SPDX-License-Identifier: MIT
"""Floods of frames, straight into the ring: as many as fit, one doorbell, and again."""

from __future__ import annotations

import random
import struct
from collections.abc import Collection, Sequence
from typing import Any

from isthmus.attack import frames
from isthmus.attack.catalogue import Control, Outcome, attack
from isthmus.attack.trustzone.records import ALL, LENGTH
from isthmus.attack.trustzone.rig import PERIODS, Rig
from isthmus.attack.trustzone.seen import arrived, full

QEMU: Any = ("qemu",)
# What is judged in a period is limited twice: by frames and bytes, and by the network work's processor time.
BUDGETS = "processor time + budget"
# Where these keep the deadlines, another control does without them, too: one build, without lane and filter.
BARE = Control(f"{BUDGETS} + filter", {"lane": False})
ANSWER = 80  # at least, of the ring, to an ARP request
BURST, SETPOINTS = 64, 40  # questions that come together; setpoints while nobody listens
RAW_OVERHEAD = 24  # of a raw frame: worlds/secure/apps/raw.h


def flood(
    s: Rig, wanted: Sequence[bytes], accepts: Collection[str] = (), *, pause: int = 0, times: int = 1
) -> Outcome:
    """The tasks keep their deadlines, and no window holds more work than the budget. `times`: as long."""
    return s.watch(
        lambda: s.records(wanted, burst=0, rounds=0, us=s.us * times, pause=pause),
        accepts=accepts,
        loses=s.shares,
    )


def port_of(s: Rig) -> int:
    """The setpoints'."""
    return next(flow.port for flow in s.board.flow if flow.name == "setpoints")


def costly(size: int, dice: random.Random) -> bytes:
    """A raw frame of `size` bytes whose pattern is right to its end and whose checksum is not: each byte is
    copied, compared and summed up before the last word shows that it was for nothing. No service makes more
    of a byte."""
    first, pattern = dice.randrange(256), size - 14 - RAW_OVERHEAD
    body = bytes((first + i) % 256 for i in range(pattern))
    return frames.raw(struct.pack("!QQI", 0, first, pattern) + body + bytes(4))


@attack("dos-05", "ring kept full", machines=QEMU, off=BUDGETS)
def ring_kept_full(s: Rig, dice: random.Random) -> Outcome:
    return flood(s, [costly(dice.randrange(200, 800), dice) for _ in range(8)])


@attack("dos-08", "tiny-frame flood", machines=QEMU, off=BUDGETS)
def tiny_frames(s: Rig, dice: random.Random) -> Outcome:
    return flood(s, [frames.raw(dice.randbytes(1))])


@attack("dos-09", "maximum-size flood", machines=QEMU, off=BUDGETS)
def largest_frames(s: Rig, dice: random.Random) -> Outcome:
    return flood(s, [costly(14 + s.board.channel.mtu, dice)])


@attack("dos-10", "flood of frames that are refused", machines=QEMU, off=BUDGETS)
def refused_frames(s: Rig, dice: random.Random) -> Outcome:
    kinds = [
        frames.ipv4(17, frames.udp(9)),
        frames.ipv4(17, frames.udp(7), source="10.77.0.9"),
        frames.ipv4(17, frames.udp(7), fragment=0x2000),
        frames.ipv4(6, frames.tcp(7, 0x3F)),
    ]
    return flood(s, kinds, ("FILTER", "SOURCE", "FRAGMENT", "HEADER"))


@attack("dos-10a", "flood of records whose length lies", machines=QEMU, off="length limit")
def lying_records(s: Rig, dice: random.Random) -> Outcome:
    """Each costs the receiver a judgement, and skips whatever was published with it."""
    return s.watch(
        lambda: s.records(
            [frames.raw()], rounds=0, us=s.us, pause=10, alter=(LENGTH, ALL, 1 << dice.randrange(20, 32))
        ),
        accepts=("LENGTH_LONG",),
        loses=s.shares,
    )


@attack("dos-11", "burst across the replenishment boundary", machines=QEMU, off=BUDGETS)
def bursts(s: Rig, dice: random.Random) -> Outcome:
    """Silence, then all at once, at any phase."""
    return flood(s, [frames.raw(dice.randbytes(50))], pause=dice.randrange(2000, 5000))


@attack("dos-14", "ARP and broadcast storm", machines=QEMU, off="budget for groups", bare=BARE)
def broadcast_storm(s: Rig, dice: random.Random) -> Outcome:
    """What reaches the stack is what frames to groups may cost: the rest is refused before it."""
    return flood(s, [frames.arp()], ("BROADCAST",))


@attack("dos-15", "SYN flood", machines=QEMU, off=BUDGETS)
def syn_flood(s: Rig, dice: random.Random) -> Outcome:
    """To the status page, from any port: lwIP's table of half-open connections is fixed."""
    syns = [frames.ipv4(6, frames.tcp(80, 2, source=dice.randrange(1024, 65536))) for _ in range(64)]
    return flood(s, syns)


@attack("dos-17", "IP fragment bomb", machines=QEMU, off="filter", bare=BARE)
def fragment_bomb(s: Rig, dice: random.Random) -> Outcome:
    """Even the stack drops them soon: without any defence a ring of them is not much longer than the slack of
    the task below, and has to meet its release."""
    parts = [
        frames.ipv4(17, bytes(8), fragment=0x2000 if i % 2 else dice.randrange(1, 0x2000)) for i in range(16)
    ]
    return flood(s, parts, ("FRAGMENT",), times=2)


@attack("dos-18", "flood of the critical flow's own lane", machines=QEMU, off=BUDGETS, bare=BARE)
def setpoints(s: Rig, dice: random.Random) -> Outcome:
    """Well-formed, from the peer, in their own lane: the task inside answers one in each of its periods, and
    who means well has to share."""
    wanted = [frames.ipv4(17, frames.udp(port_of(s), b"ISP1" + dice.randbytes(8))) for _ in range(8)]
    return s.watch(
        lambda: s.records(wanted, burst=0, rounds=0, us=s.us, lane=len(s.board.lanes) - 1),
        loses=True,
    )


@attack("dos-19", "bulk lane kept full beside a critical flow", machines=QEMU, off={"lane": False}, bare=BARE)
def bulk_flood(s: Rig, dice: random.Random) -> Outcome:
    """With so many small frames that its budget takes many periods to get through them. The control has the
    setpoints in the bulk lane, too, behind them."""
    return flood(s, [costly(dice.randrange(60, 160), dice) for _ in range(8)])


@attack("dos-06", "peer never consumes what it is sent", machines=QEMU, off="no wait for room")
def never_consumes(s: Rig, dice: random.Random) -> Outcome:
    """A driver that takes no answer, and questions in the setpoints' lane until its ring is full of answers:
    the Secure world drops and counts, and waits for nobody. Setpoints put into the lane still reach the task
    inside, which would have to wait for room itself. The driver listens again before its silence ends the
    session."""
    lane, setpoint = len(s.board.lanes) - 1, frames.ipv4(17, frames.udp(port_of(s), b"ISP1" + bytes(8)))
    ring = s.board.lane_places("secure")[lane][1]

    def turn() -> str:
        was = full(s.status())
        s.order("deaf", 1)
        try:
            s.records(
                [frames.arp(mac=frames.OWN)],
                burst=BURST,
                rounds=ring // (ANSWER * BURST) + 2,
                pause=2000,
                lane=lane,
            )
            before = s.status()
            s.records([setpoint], rounds=SETPOINTS, pause=4000, lane=lane)
            after = s.status()
        finally:
            s.order("deaf", 0)
        if full(before) == was:
            return "its ring was never full"
        return "" if arrived(after) - arrived(before) >= SETPOINTS else "it took no setpoints meanwhile"

    def act() -> str:
        return next(filter(None, (turn() for _ in range(s.periods // PERIODS))), "")

    return s.watch(act, session=None, answers=False, loses=s.shares)
