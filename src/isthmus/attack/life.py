# SPDX-License-Identifier: MIT
"""Life cycle and leaks: epochs, garbage, half an attach; old bytes in slots and padding."""

from __future__ import annotations

import ctypes
import random

from isthmus.attack.catalogue import Outcome, attack, elsewhere
from isthmus.attack.stage import (
    CONTROL,
    DIGEST,
    EPOCH,
    INIT,
    NORMAL,
    READY,
    RESET,
    SECURE,
    STATE,
    Stage,
)


@attack("life-56", "restart with a stale epoch", "F", off="epoch")
def stale_epoch(s: Stage, dice: random.Random) -> Outcome:
    """The Normal end comes with an epoch of its own, old frames in its ring."""
    before = s.counters()
    for _ in range(dice.randrange(1, 10)):
        s.send()
    s.begin(theirs=s.epoch - dice.randrange(1, 1000))
    for _ in range(5):
        s.poll()
        s.c.stage_peer_poll()
        s.send()
    said = s.drain()
    moved = {n: c - before[n] for n, c in s.counters().items() if c != before[n]}
    good = moved == {"PEER_EPOCH": 1} and said == [("DOWN", b"")] and s.state == INIT
    state = s.state
    s.attach()
    return Outcome(good and s.recovers(), f"state {state}, counted {moved}", moved, recovered_s=0.0)


@attack("life-58", "RAM garbage at boot", "F", off="digest")
def garbage_at_boot(s: Stage, dice: random.Random) -> Outcome:
    """Random bytes everywhere, then with a state word and epoch that look right: no attach without the whole
    handshake."""
    states = set()
    for state in (None, INIT, READY):
        s.begin(theirs=0)
        s.buffers[NORMAL][:] = list(dice.randbytes(len(s.buffers[NORMAL])))
        if state is not None:
            s.poke(STATE, 0x4953 << 16 | 1 << 8 | NORMAL << 4 | state)
            s.poke(EPOCH, s.epoch)
            s.poke(EPOCH + 4, s.epoch >> 32)
            s.poke(DIGEST + 8, s.settings.mtu)
            s.poke(DIGEST + 12, 0)
        states |= {s.poll() for _ in range(4)}
    good = states == {INIT}
    s.attach()
    return Outcome(good and s.recovers(), f"states {sorted(states)}", recovered_s=0.0)


@attack("life-60", "partial attach: the peer stops half-way", off="silence", silence=1000)
def partial_attach(s: Stage, dice: random.Random) -> Outcome:
    s.begin()
    s.poll()
    reached = s.state
    for _ in range(50):
        s.time(s.now + 100)
        s.poll()
    good = reached == READY and s.state == RESET and s.counters()["PEER_SILENT"] == 1
    state = s.state
    s.attach()
    return Outcome(good and s.recovers(), f"state {reached}, after 5 limits {state}", {"PEER_SILENT": 1})


@attack("leak-62", "old slot contents and padding", off="zeroed padding", filtered=False)
def etherleak(s: Stage, dice: random.Random) -> Outcome:
    """The Secure end's memory is full of a canary; frames of every length must show none of it."""
    ring = s.buffers[SECURE]
    for length in range(1, 130):
        ctypes.memset(ctypes.addressof(ring) + CONTROL, 0xA7, len(ring) - CONTROL)
        if s.answer(bytes(length)) != "OK":
            return Outcome(False, f"a frame of {length} bytes was not sent")
        full = max(60, length)
        end = (s.word(0x80, SECURE)) % s.settings.ring
        size = 16 + (full + 15) // 16 * 16
        start = CONTROL + (end - size) % s.settings.ring
        record = bytes(ring[start : start + size])
        verdict, frame = s.hear()
        if b"\xa7" in record or verdict != "OK" or frame != bytes(full):
            return Outcome(False, f"a frame of {length} bytes shows {record.count(0xA7)} old ones")
    return Outcome(s.recovers(), "129 lengths, no old byte", recovered_s=0.0)


elsewhere(
    "memory",
    "both ends are one process here",
    {
        "life-55": "kill -9 of a peer in mid-write",
        "life-57": "the Normal world reboots",
        "life-72": "attach and detach storm",
    },
)
