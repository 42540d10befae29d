# SPDX-License-Identifier: MIT
"""Memory corruption: cursors, lengths and words that lie, or change between two loads."""

from __future__ import annotations

import random
from collections.abc import Callable

from isthmus.attack.catalogue import Outcome, attack, elsewhere
from isthmus.attack.stage import (
    CONTROL,
    DEAD,
    FEATURES,
    HEAD,
    MTU,
    NORMAL,
    OFFLOAD,
    SECURE,
    STATE,
    TAIL,
    VALID,
    Overrun,
    Stage,
)


@attack("mem-30", "head runs past tail + capacity", off="head range")
def head_past_the_ring(s: Stage, dice: random.Random) -> Outcome:
    beyond = s.settings.ring + 16 * dice.randrange(1, 1 << 20)
    return s.expect("HEAD_RANGE", lambda: s.poke(HEAD, s.word(HEAD) + beyond), state=DEAD)


@attack("mem-31", "head moves backwards", off="head range")
def head_backwards(s: Stage, dice: random.Random) -> Outcome:
    back = 16 * dice.randrange(1, 1 << 20)
    return s.expect("HEAD_RANGE", lambda: s.poke(HEAD, s.word(HEAD) - back), state=DEAD)


@attack("mem-31a", "head that is not aligned", off="head alignment")
def head_unaligned(s: Stage, dice: random.Random) -> Outcome:
    def act() -> None:
        s.send()
        s.poke(HEAD, s.word(HEAD) + dice.choice([1, 4, 8]))

    return s.expect("HEAD_ALIGN", act, state=DEAD)


@attack("mem-32", "rewrites the cursor that the Secure end published", off="private cursor")
def published_cursor(s: Stage, dice: random.Random) -> Outcome:
    """The record that the false cursor leads to is an old one with the right sequence."""
    s.send()
    s.drain()
    old, forged = s.record(), dice.randbytes(len(VALID) - 42)
    s.send()
    start = old + 16 + 42
    s.buffers[NORMAL][start : start + len(forged)] = list(forged)
    s.poke(old + 4, s.word(s.record() + 4))
    s.poke(TAIL, old - CONTROL, SECURE)
    frames = [frame for verdict, frame in s.drain() if verdict == "OK"]
    good = frames == [VALID] and s.recovers()
    return Outcome(good, "ignored" if good else f"{len(frames)} frames, not the one that was sent")


@attack("mem-33", "tail moved past what was sent", off="tail range")
def tail_past_the_head(s: Stage, dice: random.Random) -> Outcome:
    def act() -> None:
        while s.answer(VALID) == "OK":
            pass
        s.poke(TAIL, s.word(HEAD, SECURE) + 16 * dice.randrange(1, 100))
        s.answer(VALID)

    before = s.counters()
    act()
    moved = {n: c - before[n] for n, c in s.counters().items() if c != before[n]}
    told, overrun = moved.get("TAIL_RANGE", 0), s.c.stage_in_flight() > s.settings.ring
    good = told == 1 and s.state == DEAD and s.recovers()
    return Outcome(good, "TAIL_RANGE" if good else f"counted {moved}, overrun: {overrun}", moved)


@attack("mem-34", "length above the frame's buffer", off="length limit")
def length_long(s: Stage, dice: random.Random) -> Outcome:
    """Enough is published behind it for the length to be possible, were it not for the buffer."""

    def act() -> None:
        for _ in range(80):
            s.send()
        s.poke(s.record(80), s.settings.frame_max + dice.randrange(16, 4000))

    return s.expect("LENGTH_LONG", act)


@attack("mem-35", "length 0", off="length minimum")
def length_zero(s: Stage, dice: random.Random) -> Outcome:
    def act() -> None:
        s.send()
        s.poke(s.record(), 0)

    return s.expect("LENGTH_SHORT", act)


@attack("mem-35a", "length 0xFFFFFFFF", off="length limit")
def length_all_ones(s: Stage, dice: random.Random) -> Outcome:
    def act() -> None:
        s.send()
        s.poke(s.record(), 0xFFFFFFFF)

    return s.expect("LENGTH_LONG", act)


@attack("mem-35b", "record that runs past the head", off="length within head", filtered=False)
def length_past_the_head(s: Stage, dice: random.Random) -> Outcome:
    """What lies behind the head was never published, or long ago."""

    def act() -> None:
        s.send()
        s.poke(s.record(), len(VALID) + dice.randrange(200, 1000))

    return s.expect("LENGTH_OVERRUN", act)


@attack("mem-36", "length flips between check and use", off="one load of the length")
def length_flips(s: Stage, dice: random.Random) -> Outcome:
    def act() -> None:
        s.send()
        s.change(s.record(), s.settings.frame_max + dice.randrange(1000, 3000), loads=1)

    return unharmed(s, act)


@attack("mem-36a", "any word flips behind its first load", off="one load of the length")
def words_flip(s: Stage, dice: random.Random) -> Outcome:
    """Each word of a record's header, one after the other."""
    for word in (0, 4, 8, 12):

        def act(word: int = word) -> None:
            s.send()
            s.change(s.record() + word, dice.choice([0x2000, 0x7FFFFFFF, 0xFFFFFFF0]), loads=1)

        outcome = unharmed(s, act)
        if not outcome.contained:
            return outcome
    return Outcome(True, "each value was loaded once")


def unharmed(s: Stage, act: Callable[[], None]) -> Outcome:
    """A frame that changes under the reader's hands arrives as it was when it was judged, and nothing is
    counted."""
    before = s.counters()
    act()
    try:
        frames = [frame for verdict, frame in s.drain() if verdict == "OK"]
        moved = {n: c - before[n] for n, c in s.counters().items() if c != before[n] and n != "OK"}
        good = frames == [VALID] and not moved and s.recovers()
    except Overrun:
        return Outcome(False, "bytes beyond the frame's buffer")
    return Outcome(good, "one load" if good else f"{len(frames)} frames, counted {moved}", moved)


@attack("mem-37", "payload flips during the copy", off="tag over the copy", tag=2)
def payload_flips(s: Stage, dice: random.Random) -> Outcome:
    """A forged payload lies there when it is copied, and the true one when a careless reader looks again."""

    def act() -> None:
        s.send()
        at = s.record() + 16 + 60
        true = s.word(at)
        s.poke(at, true ^ 1 << dice.randrange(32))
        s.change(at, true, copies=2)

    return s.expect("TAG", act)


@attack("mem-38", "features rewritten after the handshake", off="private features")
def features_rewritten(s: Stage, dice: random.Random) -> Outcome:
    def act() -> None:
        s.poke(FEATURES, OFFLOAD)
        s.poke(MTU, dice.randrange(1 << 32))
        s.send()
        s.poke(s.record() + 8, 2)  # vouches for a checksum

    return s.expect("OFFLOAD", act)


@attack("mem-39", "magic flipped", off="magic")
def magic_flipped(s: Stage, dice: random.Random) -> Outcome:
    flip = 1 << dice.randrange(16, 32)
    return s.expect("STATE_WORD", lambda: s.poke(STATE, s.word(STATE) ^ flip), state=DEAD)


@attack("mem-39a", "version flipped", off="version")
def version_flipped(s: Stage, dice: random.Random) -> Outcome:
    flip = 1 << dice.randrange(8, 16)
    return s.expect("STATE_WORD", lambda: s.poke(STATE, s.word(STATE) ^ flip), state=DEAD)


@attack("mem-40", "unknown flags", off="reserved flags", offload=True)
def unknown_flags(s: Stage, dice: random.Random) -> Outcome:
    def act() -> None:
        s.send()
        s.poke(s.record() + 8, 1 << dice.randrange(4, 16))

    return s.expect("FLAGS", act)


elsewhere(
    "memory",
    "no monitor on this machine: tests/test_qemu.py shows it on the TrustZone machine",
    {
        "mem-21": "registered buffer overlaps secure RAM",
        "mem-22": "boundary +-1 byte and +-1 page",
        "mem-23": "base + size wraps",
        "mem-24": "misaligned or zero size",
        "mem-25": "the two buffers alias each other",
        "mem-27": "two registrations at once",
        "mem-28": "unregister or remap during use",
    },
)
elsewhere(
    "memory",
    "a property of the machine code: tests/test_core_trace.py reads it",
    {"mem-42": "the compiler re-reads shared memory"},
)
