# SPDX-License-Identifier: MIT
"""Races that nobody drives: somebody else writes while the Secure world reads, as fast as it goes.

From outside, through the memory file, it is this computer that says when; from another core, the turns that
the cores take. Neither is the same twice: what is known beforehand is only what may be counted.
"""

from __future__ import annotations

import random
import threading
from collections.abc import Callable
from typing import Any

from isthmus.attack.catalogue import Outcome, attack
from isthmus.attack.stage import CONTROL, HEAD
from isthmus.attack.trustzone.races import AGAIN, FRAME, HEADER
from isthmus.attack.trustzone.records import SEQUENCE
from isthmus.attack.trustzone.rig import PERIODS, Rig
from isthmus.attack.trustzone.seen import ANSWERS

QEMU: Any = ("qemu",)
RECORD = HEADER + -(-len(FRAME) // 16) * 16
BURST, PAUSE_US = 32, 1000  # records that wait together for the Secure world, and between two such
ROUNDS = 2 * PERIODS
TRIES, MEETINGS = 5, 500  # until that many lies were loaded: a busy computer may give the writer no core
PATIENT_TRIES = 40  # where a defence is gone: until a lie came between two loads
TURNS = 30_000  # lies, where the emulator shares its time: few of its turns end between two loads of a word


class Outside(threading.Thread):
    """Flips a word in each record of the last burst, in turn, until it is told to stop."""

    def __init__(self, s: Rig, offset: int, flip: int) -> None:
        super().__init__(daemon=True)
        self._words = s.machine.buffer("normal").cast("I")
        self._ring, self._offset, self._flip = s.board.normal.ring_bytes, offset, flip
        self._over = threading.Event()

    def run(self) -> None:
        words, flip = self._words, self._flip
        seen, burst = words[HEAD // 4], list[int]()
        while not self._over.is_set():
            head = words[HEAD // 4]
            if head != seen:
                count, rest = divmod(head - seen, RECORD)
                starts = range(seen, head, RECORD) if not rest and 0 < count <= BURST else ()
                burst = [(CONTROL + at % self._ring + self._offset) // 4 for at in starts]
                seen = head
            for at in burst:
                words[at] ^= flip

    def stop(self) -> None:
        self._over.set()
        self.join()


def contested(s: Rig, begin: Callable[[], Callable[[], Any]], meetings: int = MEETINGS) -> Outcome:
    """Bursts of records whose sequence numbers somebody flips: each is judged by what was loaded. `begin`
    returns what ends it."""

    def act() -> str:
        before = s.counters()
        moved: dict[str, int] = {}
        for _ in range(PATIENT_TRIES if s.without else TRIES):
            end = begin()
            try:
                s.records([FRAME], burst=BURST, rounds=ROUNDS, pause=PAUSE_US)
            finally:
                end()
            now = s.counters()
            moved = {n: now[n] - before[n] for n in now if now[n] != before[n] and n not in ANSWERS}
            if set(moved) - {"GAP"} or (moved.get("GAP", 0) >= meetings and not s.without):
                break
        return "" if set(moved) == {"GAP"} else f"counted {moved or 'nothing'}, not GAP"

    return s.watch(act, accepts=None, loses=True)


@attack("mem-36f", "sequence changes from outside", machines=QEMU, off=AGAIN, replayable=False, races=True)
def from_outside(s: Rig, dice: random.Random) -> Outcome:
    """Through the machine's memory file, by a thread of this process."""
    flip = 1 << dice.randrange(24, 31)

    def begin() -> Callable[[], None]:
        writer = Outside(s, SEQUENCE, flip)
        writer.start()
        return writer.stop

    return contested(s, begin)


@attack("mem-36g", "sequence changes from another core", machines=QEMU, off=AGAIN, replayable=False, cores=2)
def from_another_core(s: Rig, dice: random.Random) -> Outcome:
    flip, us = 1 << dice.randrange(24, 31), ROUNDS * PAUSE_US

    def begin() -> Callable[[], Any]:
        s.order("flips", SEQUENCE, flip, RECORD, us)
        return lambda: s.shell(f"usleep {us}")  # it is over then

    return contested(s, begin, TURNS)
