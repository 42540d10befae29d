# SPDX-License-Identifier: MIT
"""What the driver's own ring and control words are good for in an attacker's hands."""

from __future__ import annotations

import random
from typing import Any

from isthmus.attack import frames
from isthmus.attack.catalogue import Outcome, attack
from isthmus.attack.stage import DIGEST, FEATURES, HEAD, MTU, STATE, TAIL
from isthmus.attack.trustzone.rig import ENOUGH, Rig

QEMU: Any = ("qemu",)
VALID = frames.raw(b"a frame of somebody who means well")
LENGTH, SEQUENCE, FLAGS, CHECKSUM = 0, 4, 8, 12  # of a record
ALL = 0xFFFFFFFF
WAKE_RX, WAKE_TX = 0x180, 0x184


def broken(s: Rig, verdict: str, offset: int, lie: int, mask: int = 0) -> Outcome:
    """A control word that breaks the protocol: DEAD with that name, until Linux attaches again."""
    return s.watch(lambda: s.poke(offset, lie, mask=mask), exactly={verdict: 1}, session=True)


def ignored(s: Rig, *words: tuple[int, int, int]) -> Outcome:
    """Control words that are nobody's business any more: (offset, mask, lie), again and again."""
    rounds = s.periods // 2 // len(words)

    def act() -> None:
        for offset, mask, lie in words:
            s.order("word", 0, offset, mask, lie, 1000, rounds=rounds, us=ENOUGH * s.us, pause=1000)

    return s.watch(act)


def altered(s: Rig, verdict: str, offset: int, mask: int, value: int, frame: bytes = VALID) -> Outcome:
    """Records with a word that lies: each is refused, for 200 periods, and nothing else is."""
    rounds = s.periods // 2
    return s.watch(
        lambda: s.records([frame], rounds=rounds, pause=2000, alter=(offset, mask, value)),
        exactly={verdict: rounds},
    )


# ---- control words -----------------------------------------------------------------------------------------


@attack("mem-30", "head runs past tail + capacity", machines=QEMU, off="head range")
def head_past_the_ring(s: Rig, dice: random.Random) -> Outcome:
    return broken(s, "HEAD_RANGE", HEAD, s.board.normal.ring_bytes + 16 * dice.randrange(1, 1 << 20))


@attack("mem-31", "head moves backwards", machines=QEMU, off="head range")
def head_backwards(s: Rig, dice: random.Random) -> Outcome:
    return broken(s, "HEAD_RANGE", HEAD, -16 * dice.randrange(1 << 17, 1 << 20))


@attack("mem-31a", "head that is not aligned", machines=QEMU, off="head alignment")
def head_unaligned(s: Rig, dice: random.Random) -> Outcome:
    return broken(s, "HEAD_ALIGN", HEAD, dice.randrange(1, 16))


@attack("mem-32", "rewrites the cursor that the Secure world published", machines=QEMU, off="private cursor")
def published_cursor(s: Rig, dice: random.Random) -> Outcome:
    """In the Secure world's own buffer, which Linux's kernel can write, just while it takes frames and
    answers them: it never reads it back, so each is taken, and taken from where it lies."""
    at = 16 * dice.randrange(1 << 10, 1 << 20)
    pings = [frames.ping(dice.randbytes(2 * dice.randrange(20, 300))) for _ in range(8)]

    def act() -> str:
        before, sent = s.counters()["OK"], 0
        for lie in ((TAIL, at), (HEAD, -at)):
            sent += s.records(pings, burst=2, rounds=s.periods // 4, pause=2000, lie=lie)
        taken = s.counters()["OK"] - before
        return "" if taken >= sent else f"{taken} of {sent} frames taken"

    return s.watch(act)


@attack("mem-38", "geometry rewritten after the handshake", machines=QEMU, off=None)
def geometry_rewritten(s: Rig, dice: random.Random) -> Outcome:
    return ignored(
        s, (DIGEST, 0, dice.randrange(1, ALL)), (MTU, ALL, 65535), (DIGEST + 4, 0, 1), (FEATURES, ALL, ALL)
    )


@attack("mem-39", "magic flipped", machines=QEMU, off="magic")
def magic_flipped(s: Rig, dice: random.Random) -> Outcome:
    return broken(s, "STATE_WORD", STATE, 1 << dice.randrange(16, 32))


@attack("mem-39a", "version flipped", machines=QEMU, off="version")
def version_flipped(s: Rig, dice: random.Random) -> Outcome:
    return broken(s, "STATE_WORD", STATE, dice.randrange(1, 200) << 8)


@attack("mem-41", "requests for doorbells that lie", machines=QEMU, off=None)
def wake_words(s: Rig, dice: random.Random) -> Outcome:
    """They decide when the attacker's own world is woken, and nothing else."""
    return ignored(s, (WAKE_RX, ALL, dice.getrandbits(32)), (WAKE_TX, ALL, dice.getrandbits(32)))


# ---- records -----------------------------------------------------------------------------------------------


@attack("mem-34", "length above the frame's buffer", machines=QEMU, off="length limit")
def too_long(s: Rig, dice: random.Random) -> Outcome:
    return altered(s, "LENGTH_LONG", LENGTH, ALL, s.board.channel.frame_max + dice.randrange(1, 1 << 16))


@attack("mem-35", "length 0", machines=QEMU, off="length minimum")
def length_zero(s: Rig, dice: random.Random) -> Outcome:
    return altered(s, "LENGTH_SHORT", LENGTH, ALL, 0)


@attack("mem-35a", "length 0xFFFFFFFF", machines=QEMU, off="length limit")
def length_all_ones(s: Rig, dice: random.Random) -> Outcome:
    return altered(s, "LENGTH_LONG", LENGTH, ALL, ALL)


@attack("mem-35b", "record that runs past the head", machines=QEMU, off="length within head")
def runs_past_the_head(s: Rig, dice: random.Random) -> Outcome:
    return altered(s, "LENGTH_OVERRUN", LENGTH, ALL, dice.randrange(200, s.board.channel.frame_max))


@attack("mem-40", "unknown flags", machines=QEMU, off="reserved flags")
def unknown_flags(s: Rig, dice: random.Random) -> Outcome:
    return altered(s, "FLAGS", FLAGS, 0xFFFF, 1 << dice.randrange(4, 16))


@attack("pkt-46", "replay", machines=QEMU, off="sequence")
def replayed(s: Rig, dice: random.Random) -> Outcome:
    """The number before the first: 0 is the right one where no frame has gone before."""
    return altered(s, "REPLAY", SEQUENCE, ALL, ALL)


@attack("pkt-46a", "sequence further ahead than the ring can hold", machines=QEMU, off="sequence")
def skipped(s: Rig, dice: random.Random) -> Outcome:
    return altered(s, "GAP", SEQUENCE, 0, 1 << 30)


@attack("pkt-78", "checksum left out where nothing was agreed", machines=QEMU, off="agreed offloads")
def checksum_absent(s: Rig, dice: random.Random) -> Outcome:
    return altered(s, "OFFLOAD", FLAGS, 0xFFFF, 2)


@attack("pkt-80", "segment size where nothing was agreed", machines=QEMU, off="agreed offloads")
def segment_size(s: Rig, dice: random.Random) -> Outcome:
    segments = frames.ipv4(6, frames.tcp(7) + bytes(64))
    return altered(s, "OFFLOAD", FLAGS, ALL, dice.randrange(1, 40) << 16 | 4, segments)


# ---- under a tag -------------------------------------------------------------------------------------------


@attack("pkt-43", "flipped bits", "F", machines=QEMU, off={"tag": "none"}, tag="crc32c")
def flipped_bits(s: Rig, dice: random.Random) -> Outcome:
    """One to three of them in a word of the payload."""
    return altered(
        s, "TAG", 16 + 4 * dice.randrange(4, 12), 0, sum(1 << b for b in dice.sample(range(32), 3))
    )


@attack("pkt-45", "forged frame under a keyed tag", "U", machines=QEMU, off={"tag": "none"}, tag="siphash")
def forged(s: Rig, dice: random.Random) -> Outcome:
    """By somebody who can write the ring and has no key."""
    return altered(s, "TAG", 16 + 4 * dice.randrange(4, 12), ALL, dice.getrandbits(32))


@attack("pkt-45a", "forged by who has the key", machines=QEMU, off="filter", tag="siphash")
def forged_with_the_key(s: Rig, dice: random.Random) -> Outcome:
    """Linux's kernel has it: its tag is right. What the filter does not let pass is refused all the same."""
    frame = frames.ipv4(17, frames.udp(dice.randrange(100, 5000), b"forged"))
    return s.expect("FILTER", lambda: s.send(frame))
