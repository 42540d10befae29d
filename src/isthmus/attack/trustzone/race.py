# SPDX-License-Identifier: MIT
"""Races that are driven: a word of the Normal world's buffer changes behind the k-th Secure load of it.

The machine's emulator does it (native/race.c), in a process that shares this file of control words.
"""

from __future__ import annotations

import mmap
import os
import struct
import tempfile
from pathlib import Path

from isthmus.build.program import build_program
from isthmus.trustzone.board import TrustZone

__all__ = ["Race"]

_NATIVE = Path(__file__).parents[1] / "native" / "race.c"
_HEAD = struct.Struct("<6IQ")  # struct control, up to what it has seen
_SEEN_MAX = 1024


class Race:
    """One machine's. `arguments` are QEMU's."""

    def __init__(self, board: TrustZone) -> None:
        plugin = build_program(
            "race.so",
            [_NATIVE],
            cflags=("-std=c11", "-O2", "-fPIC", "-fvisibility=hidden", "-Wall", "-Wextra"),
            ldflags=("-shared",),
        )
        self._base = board.buffer_region("normal").base
        handle, self._file = tempfile.mkstemp(prefix="isthmus-race-")
        size = _HEAD.size + 4 * _SEEN_MAX
        os.ftruncate(handle, size)
        self._shared = mmap.mmap(handle, size)
        os.close(handle)
        secure, own = board.memory.secure, board.buffer_region("normal")
        given = (
            f"secure={secure.base:#x}-{secure.end:#x}",
            f"buffer={own.base:#x}-{own.end:#x}",
            f"ram={board.memory.normal.base:#x}",
            f"control={self._file}",
        )
        self.arguments = ["-plugin", ",".join((str(plugin), *given))]

    def close(self) -> None:
        """The emulator has mapped it by now, or never will."""
        self._shared.close()
        os.unlink(self._file)

    def arm(self, k: int, head: int, offset: int = 0, mask: int = 0, value: int = 0) -> None:
        """The word at `offset` becomes (word & ~mask) ^ value behind the k-th load once the head is another
        than `head`; k = 0: the loads are only counted."""
        self._shared[:4] = bytes(4)
        self._shared[: _HEAD.size] = _HEAD.pack(0, k, head, mask, value, 0, self._base + offset)
        self._shared[:4] = (1).to_bytes(4, "little")

    def disarm(self) -> tuple[bool, list[int]]:
        """Whether it struck, and the offset of each load that was counted."""
        armed, *_, loads, _ = _HEAD.unpack(self._shared[: _HEAD.size])
        self._shared[:4] = bytes(4)
        seen = struct.unpack_from(f"<{min(loads, _SEEN_MAX)}I", self._shared, _HEAD.size)
        return not armed, list(seen)
