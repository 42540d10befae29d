# SPDX-License-Identifier: MIT
"""Races that are driven: a word of the Normal world's buffer changes behind the k-th Secure load of it.

The machine's emulator does it (native/race.c), in a process that shares this memory of control words.
"""

from __future__ import annotations

import mmap
import os
import struct
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from isthmus.build.program import build_program
from isthmus.trustzone.board import TrustZone

__all__ = ["NEVER", "RACES_MAX", "Course", "Driver", "Target"]

NEVER = 0xFFFFFFFF  # as k: the loads are only counted
RACES_MAX = 128
_NATIVE = Path(__file__).parents[1] / "native" / "race.c"
_SEEN_MAX = 125
_HEAD = struct.Struct("<10I")  # struct control of race.c, up to its races
_RACE = struct.Struct(f"<{3 + _SEEN_MAX}I")  # struct race


@dataclass(frozen=True, slots=True)
class Target:
    """The word at `offset`, of the record that is sent or else of the buffer, becomes (word & ~mask) ^ value;
    `back`: and what it was, behind the next load. Loads count from the first one of the word at `begin`."""

    offset: int
    mask: int
    value: int
    begin: int
    of_record: bool = True
    back: bool = False


@dataclass(frozen=True, slots=True)
class Course:
    """What one race was like: the Secure world's loads in order, each by its offset in the buffer; a record's
    own, by the offset in the record and true."""

    k: int
    loads: tuple[tuple[int, bool], ...]


class Driver:
    """One machine's. `arguments` are QEMU's. Raises EnvironmentProblem where there is no compiler."""

    def __init__(self, board: TrustZone) -> None:
        plugin = build_program(
            "race.so",
            [_NATIVE],
            cflags=("-std=c11", "-O2", "-fPIC", "-fvisibility=hidden", "-Wall", "-Wextra"),
            ldflags=("-shared",),
        )
        self._ring = board.normal.ring_bytes
        self._handle = os.memfd_create("isthmus-race")
        size = _HEAD.size + RACES_MAX * _RACE.size
        os.ftruncate(self._handle, size)
        self._shared = mmap.mmap(self._handle, size)
        secure, own = board.memory.secure, board.buffer_region("normal")
        given = (
            f"secure={secure.base:#x}-{secure.end:#x}",
            f"buffer={own.base:#x}-{own.end:#x}",
            f"ram={board.memory.normal.base:#x}",
            f"control=/proc/{os.getpid()}/fd/{self._handle}",
        )
        self.arguments = ("-plugin", ",".join((str(plugin), *given)))

    def close(self) -> None:
        """The emulator has mapped it by now, or never will."""
        self._shared.close()
        os.close(self._handle)

    def arm(self, target: Target, ks: Sequence[int]) -> None:
        """A race for each k, one with each record that the attacker marks; at most RACES_MAX."""
        self._shared[:4] = bytes(4)
        for i, k in enumerate(ks):
            _RACE.pack_into(self._shared, _HEAD.size + i * _RACE.size, k, *bytes(2 + _SEEN_MAX))
        t = target
        _HEAD.pack_into(
            self._shared, 0, 0, 0, 0, self._ring, t.begin, t.of_record, t.offset, t.mask, t.value, t.back
        )  # fmt: skip
        self._shared[:4] = len(ks).to_bytes(4, "little")

    def courses(self, record_bytes: int) -> list[Course]:
        """Of the races that took place; `record_bytes`: how long each record is."""
        _, _, ended, *_ = _HEAD.unpack_from(self._shared)
        found = []
        for i in range(ended):
            k, place, loads, *seen = _RACE.unpack_from(self._shared, _HEAD.size + i * _RACE.size)
            inside = ((at - place, place <= at < place + record_bytes) for at in seen[:loads])
            found.append(Course(k, tuple((at, True) if own else (at + place, False) for at, own in inside)))
        return found
