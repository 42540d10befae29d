# SPDX-License-Identifier: MIT
"""Races at the instruction: a word changes behind the k-th load that the Secure world makes, for every k.

First a record is let pass, and every load of the Normal world's buffer is noted. Then, for each k, the same
again with the word changed behind the k-th of them; k = 0: before the first. Who loads a value once makes of
it what it deserves at that load: so what is counted in all the races together is known to the last one.

The controls share a build in which each of these words is loaded again, behind its check.
"""

from __future__ import annotations

import random
from collections import Counter
from typing import Any

from isthmus.attack import frames
from isthmus.attack.catalogue import Outcome, attack
from isthmus.attack.stage import HEAD, STATE
from isthmus.attack.trustzone.race import NEVER, Course, Target
from isthmus.attack.trustzone.records import ALL, CHECKSUM, FLAGS, LENGTH, SEQUENCE
from isthmus.attack.trustzone.rig import Rig

QEMU: Any = ("qemu",)
FRAME = frames.raw(bytes(range(46)))
HEADER = 16  # bytes of a record before its payload, which is copied in pieces of 8
ETHERTYPE = HEADER + 12
AGAIN = " + ".join(
    [f"one load of the {word}" for word in ("length", "head", "sequence", "flags", "state")]
    + ["filter over the copy", "tag over the copy"]
)
TRIES = 5  # somebody's setpoint may come at the same time


def in_record(
    s: Rig, verdict: str, offset: int, value: int, mask: int = 0, *, mends: bool = False
) -> Outcome:
    """A word of the record turns wrong behind the k-th load: it is refused if its one load came later, and
    only then. `mends`: it is wrong when it is published, and turns right."""
    target = Target(offset, mask, value, HEAD)
    alter = (offset, mask, value) if mends else (0, 0, 0)
    exactly: dict[str, int] = {}
    last = 0

    def act() -> str:
        nonlocal last
        calm, courses = undisturbed(s, target, alter)
        last = len(calm)
        left = list(range(last + 1))
        for _ in range(TRIES):
            found = s.races(FRAME, target, left, alter) if left else []
            courses += found
            left = sorted({*left} - {c.k for c in found if c.loads[: c.k] == calm[: c.k]})
        refused = sum(turned(c, offset) != mends for c in courses)
        exactly[verdict] = refused
        wrong = [f"not raced: k = {left}"] if left else []
        wrong += (
            ["it was loaded twice"]
            if any(c.loads.count((load_of(offset), True)) > 1 for c in courses)
            else []
        )
        return "; ".join(wrong)

    return told(s.watch(act, exactly=exactly), last)


def turned(course: Course, offset: int) -> bool:
    """Whether the word had changed when it was loaded."""
    load = load_of(offset), True
    return load in course.loads and course.k <= course.loads.index(load)


def load_of(offset: int) -> int:
    """Where in the record the load is that has this word."""
    return offset if offset < HEADER else offset & ~7


def in_buffer(s: Rig, verdict: str, offset: int, lie: int) -> Outcome:
    """A control word lies to one load, the one behind the k-th, and tells the truth again. To any load of
    another word that is nothing; one that sees it ends the session by that name, or makes nothing of it."""
    target = Target(offset, 0, lie, offset, of_record=False, back=True)
    exactly: dict[str, int] = {}
    last = 0

    def seen() -> tuple[int, int]:
        """The session's epoch, and how often something was refused by that name."""
        s.shell("usleep 20000")
        s.machine.wait_up(20.0)
        found = s.status()
        return found["epoch"], found["counters"][verdict]

    def act() -> str:
        nonlocal last
        calm, _ = undisturbed(s, target)
        last = len(calm)
        seeing = [k for k, load in enumerate(calm) if load == (offset, False)]
        before = began = seen()
        for _ in range(TRIES):
            blind = s.races(FRAME, target, sorted({*range(last + 1)} - {*seeing}))
            before, after = seen(), before
            if all(c.loads[: c.k + 1] == calm[: c.k + 1] for c in blind):
                break
        wrong = "" if before == after else "a lie that nobody loaded was seen"
        for k in seeing:
            s.races(FRAME, target, [k])
            after = seen()
            if (after[0] != before[0], after[1] - before[1]) not in ((True, 1), (False, 0)):
                wrong = f"k = {k}: a session ended without its name"
            before = after
        exactly[verdict] = before[1] - began[1]
        return wrong if exactly[verdict] else "no lie was seen"

    return told(s.watch(act, exactly=exactly, session=True), last)


def undisturbed(
    s: Rig, target: Target, alter: tuple[int, int, int] = (0, 0, 0)
) -> tuple[tuple[tuple[int, bool], ...], list[Course]]:
    """The loads of a race in which nothing changes, and all the races that were made for it."""
    courses = s.races(FRAME, target, [NEVER] * 3, alter)
    return Counter(c.loads for c in courses).most_common(1)[0][0], courses


def told(found: Outcome, last: int) -> Outcome:
    found.detail = f"k = 0 to {last}: {found.detail}"
    return found


@attack("mem-36", "length changes behind any load", machines=QEMU, off=AGAIN, races=True)
def length_flips(s: Rig, dice: random.Random) -> Outcome:
    """To one that is more than the frame's buffer holds."""
    return in_record(s, "LENGTH_LONG", LENGTH, s.board.channel.frame_max + dice.randrange(1, 64), ALL)


@attack("mem-36a", "head changes behind any load", machines=QEMU, off=AGAIN, races=True)
def head_flips(s: Rig, dice: random.Random) -> Outcome:
    return in_buffer(s, "HEAD_RANGE", HEAD, 1 << dice.randrange(24, 32))


@attack("mem-36b", "sequence changes behind any load", machines=QEMU, off=AGAIN, races=True)
def sequence_flips(s: Rig, dice: random.Random) -> Outcome:
    return in_record(s, "GAP", SEQUENCE, 1 << dice.randrange(24, 31))


@attack("mem-36c", "flags change behind any load", machines=QEMU, off=AGAIN, races=True)
def flags_flip(s: Rig, dice: random.Random) -> Outcome:
    return in_record(s, "FLAGS", FLAGS, 1 << dice.randrange(4, 16))


@attack("mem-36d", "checksum changes behind any load", machines=QEMU, off=AGAIN, races=True)
def checksum_flips(s: Rig, dice: random.Random) -> Outcome:
    return in_record(s, "OFFLOAD", CHECKSUM, dice.randrange(1, ALL))


@attack("mem-36e", "state changes behind any load", machines=QEMU, off=AGAIN, races=True)
def state_flips(s: Rig, dice: random.Random) -> Outcome:
    return in_buffer(s, "STATE_WORD", STATE, 1 << dice.randrange(16, 32) | 3)


@attack("mem-37", "payload changes during the copy", machines=QEMU, off=AGAIN, races=True)
def payload_flips(s: Rig, dice: random.Random) -> Outcome:
    """An EtherType that no rule names turns into one that is allowed: the filter judges what was copied."""
    return in_record(s, "FILTER", ETHERTYPE, 1 << dice.randrange(8), mends=True)


@attack("mem-37a", "payload changes under its tag", machines=QEMU, off=AGAIN, races=True, tag="crc32c")
def tagged_payload_flips(s: Rig, dice: random.Random) -> Outcome:
    return in_record(s, "TAG", HEADER + 4 * dice.randrange(4, 12), 1 << dice.randrange(32), mends=True)
