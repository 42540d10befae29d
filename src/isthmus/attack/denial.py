# SPDX-License-Identifier: MIT
"""Denial of service: floods against the budget, on a virtual clock.

A period is 1,000 units and admits 20 frames, so no window of a period may hold more than 40. Each frame costs
8 units and stands above a task, "logger", that needs 600 of each period: with 40 frames it is done at 920,
with more than 50 it misses its deadline.
"""

from __future__ import annotations

import random
from collections import deque
from collections.abc import Callable
from typing import Any

from isthmus.attack import frames
from isthmus.attack.catalogue import Outcome, attack, elsewhere
from isthmus.attack.stage import VALID, Stage
from isthmus.filter import Rule

PERIOD, FRAMES = 1000, 20
BOUND = 2 * FRAMES
FRAME_COST, LOGGER_COST = 8, 600
PERIODS = 200
MISSES_ENOUGH = 5  # for a control: it need not go on
STEP = 50  # units between two looks of the Secure end

TINY = frames.raw(b"tiny")
LARGE = frames.ipv4(17, frames.udp(7, bytes(1458)))


def flood(s: Stage, fill: Callable[[int], None], *, accepts: tuple[str, ...], quiet: int = 0) -> Outcome:
    """`fill(now)` before each look for PERIODS periods; every frame judged is work, whatever its verdict.
    `quiet`: periods of silence in the middle, to earn what a limiter might save up. Outcome by the window."""
    begun, window = s.now, deque[int]()
    work_max = missed = total = 0
    in_period = 0
    before = s.counters()
    for turn in range(PERIODS * PERIOD // STEP):
        now = begun + turn * STEP
        s.time(now)
        period = turn * STEP // PERIOD
        if turn * STEP % PERIOD == 0:
            missed += in_period * FRAME_COST + LOGGER_COST > PERIOD
            in_period = 0
            if missed == MISSES_ENOUGH:
                break
        if not PERIODS // 2 <= period < PERIODS // 2 + quiet:
            fill(turn)
        for verdict, _ in s.drain():
            if verdict in ("EMPTY", "DOWN", "BUDGET"):
                continue
            window.append(now)
            in_period += 1
            total += 1
            while window[0] <= now - PERIOD:
                window.popleft()
            work_max = max(work_max, len(window))
    moved = {n: c - before[n] for n, c in s.counters().items() if c != before[n] and n not in ("OK", "FULL")}
    recovered = drained(s)
    wrong = [f"{work_max} frames in a period"] if work_max > BOUND else []
    wrong += [f"logger missed {missed} deadlines"] if missed else []
    wrong += [f"counted {sorted(set(moved) - set(accepts))}"] if set(moved) - set(accepts) else []
    wrong += [] if recovered else ["the next valid frame did not come"]
    wrong += ["nothing was judged"] if not total else []
    return Outcome(
        not wrong,
        "; ".join(wrong) or f"{total} frames judged in {PERIODS} periods",
        moved,
        missed,
        work_max,
        BOUND,
        0.0 if recovered else None,
    )


def drained(s: Stage) -> bool:
    """Whether a valid frame still comes, once the flood has stopped and what it left was judged."""
    for _ in range(PERIODS):
        s.time(s.now + 10 * PERIOD)
        if s.drain()[-1][0] == "EMPTY":
            break
    return s.recovers()


def until_full(s: Stage, frame: bytes) -> None:
    while s.send(frame) == "OK":
        pass


BUDGET: dict[str, Any] = {"period": PERIOD, "frames": FRAMES}


@attack("dos-05", "ring kept full", off="budget", **BUDGET)
def ring_kept_full(s: Stage, dice: random.Random) -> Outcome:
    return flood(s, lambda turn: until_full(s, VALID), accepts=("BUDGET",))


@attack("dos-06", "peer never consumes what it is sent", off="full ring")
def never_consumes(s: Stage, dice: random.Random) -> Outcome:
    sent = 0
    for _ in range(1000):
        said = s.answer(VALID)
        sent += said == "OK"
        if s.c.stage_in_flight() > s.settings.ring:
            return Outcome(False, f"{s.c.stage_in_flight()} bytes in flight in a ring of {s.settings.ring}")
    full = s.counters()["FULL"]
    good = sent + full == 1000 and s.recovers() and s.hear() == ("OK", VALID)
    return Outcome(good, f"{sent} sent, {full} dropped, none waited for", {"FULL": full})


@attack("dos-08", "tiny-frame flood", off="budget", **BUDGET)
def tiny_frames(s: Stage, dice: random.Random) -> Outcome:
    return flood(s, lambda turn: until_full(s, TINY), accepts=("BUDGET",))


@attack("dos-09", "maximum-size flood", off="budget", ring=262144, **BUDGET)
def largest_frames(s: Stage, dice: random.Random) -> Outcome:
    return flood(s, lambda turn: until_full(s, LARGE), accepts=("BUDGET",))


@attack("dos-10", "flood of frames that are refused", off="budget", **BUDGET)
def refused_frames(s: Stage, dice: random.Random) -> Outcome:
    kinds = [
        frames.ipv4(17, frames.udp(9)),
        frames.ipv4(17, frames.udp(7), source="10.77.0.9"),
        frames.ipv4(17, frames.udp(7), fragment=0x2000),
        frames.ipv4(6, frames.tcp(7, 0x3F)),
    ]
    refusals = ("BUDGET", "FILTER", "SOURCE", "FRAGMENT", "HEADER")
    return flood(s, lambda turn: until_full(s, dice.choice(kinds)), accepts=refusals)


@attack("dos-10a", "flood of records whose length lies", off="budget", **BUDGET)
def lying_records(s: Stage, dice: random.Random) -> Outcome:
    """Each costs the receiver a judgement and skips whatever was published with it."""

    judged = deque[int]()
    most, begun = 0, s.now
    before = s.counters()
    for turn in range(PERIODS * PERIOD // STEP):
        s.time(begun + turn * STEP)
        for _ in range(8):
            s.send()
            s.poke(s.record(), dice.choice([0, 1, 59, 0xFFFFFFFF]))
            if s.receive()[0] in ("LENGTH_SHORT", "LENGTH_LONG"):
                judged.append(s.now)
        while judged and judged[0] <= s.now - PERIOD:
            judged.popleft()
        most = max(most, len(judged))
    moved = {n: c - before[n] for n, c in s.counters().items() if c != before[n]}
    good = most <= BOUND and drained(s)
    return Outcome(good, f"{most} judged in a period at most", moved, 0, most, BOUND)


@attack("dos-11", "burst across the replenishment boundary", off="budget", **BUDGET)
def burst_at_the_boundary(s: Stage, dice: random.Random) -> Outcome:
    """Silence, then all at once, at any phase: what a limiter that saves idle time would let through."""
    phase = dice.randrange(1, PERIOD // STEP)

    def fill(turn: int) -> None:
        if turn % (3 * PERIOD // STEP) in (phase, phase + PERIOD // STEP - 1, phase + PERIOD // STEP):
            until_full(s, VALID)

    return flood(s, fill, accepts=("BUDGET",), quiet=50)


@attack("dos-14", "ARP and broadcast storm", off={"broadcasts": (0, 1)}, broadcasts=(1_000_000, 5))
def broadcast_storm(s: Stage, dice: random.Random) -> Outcome:
    """Groups have one frame per 1,000 units, five at once; in between a datagram must come each time."""
    reached = datagrams = 0
    begun, turns = s.now, 2000
    for turn in range(turns):
        s.time(begun + turn * 100)
        for _ in range(20):
            s.send(frames.arp())
        s.send(VALID)
        for verdict, frame in s.drain():
            reached += verdict == "OK" and frame != VALID
            datagrams += verdict == "OK" and frame == VALID
    bound = turns * 100 // PERIOD + 5
    good = reached <= bound and datagrams == turns
    detail = f"{reached} of {20 * turns} broadcasts reached the stack, {datagrams} of {turns} datagrams"
    return Outcome(good, detail, {"BROADCAST": s.counters()["BROADCAST"]}, 0, reached, bound)


RESERVED = Rule("critical", "ipv4", protocol="udp", port=7)
OPEN = Rule("syn", "ipv4", protocol="tcp", port=80)
LIMITED = Rule("syn", "ipv4", protocol="tcp", port=80, frames_per_second=2_000_000, burst_frames=4)


@attack(
    "dos-15",
    "SYN flood beside a flow that is reserved",
    off={"rules": (RESERVED, OPEN)},
    rules=(RESERVED, LIMITED),
)
def syn_flood(s: Stage, dice: random.Random) -> Outcome:
    """The rule for the port has two frames per 1,000 units; the datagrams have a rule of their own."""
    syns = datagrams = 0
    begun, turns = s.now, 1000
    for turn in range(turns):
        s.time(begun + turn * 100)
        for _ in range(20):
            s.send(frames.ipv4(6, frames.tcp(80, 2, source=dice.randrange(1024, 65536))))
        s.send(VALID)
        for verdict, frame in s.drain():
            syns += verdict == "OK" and frame != VALID
            datagrams += verdict == "OK" and frame == VALID
    bound = 2 * turns * 100 // PERIOD + 4
    good = syns <= bound and datagrams == turns
    detail = f"{syns} of {20 * turns} SYNs reached the stack, {datagrams} of {turns} datagrams"
    return Outcome(good, detail, {"RATE": s.counters()["RATE"]}, 0, syns, bound)


@attack("dos-17", "IP fragment bomb", off={"filtered": False})
def fragment_bomb(s: Stage, dice: random.Random) -> Outcome:
    def act() -> None:
        for i in range(100):
            s.send(frames.ipv4(17, bytes(64), fragment=0x2000 if i % 2 else dice.randrange(1, 0x2000)))

    return s.expect("FRAGMENT", act, once=False)


elsewhere(
    "memory",
    "no interrupts, sleepers or connections on this machine",
    {
        "dos-01": "doorbell flood",
        "dos-02": "doorbell with an empty ring",
        "dos-03": "interrupt storm after disarm",
        "dos-04": "flood of invalid SMCs",
        "dos-13": "race on doorbell suppression (tests/test_core_threads.py)",
        "dos-16": "slow-loris (no TCP here: tests/test_secure_world.py)",
    },
)
