# SPDX-License-Identifier: MIT
"""A Secure world that was built elsewhere, with sources that are not part of this project."""

from __future__ import annotations

import os
import struct
from pathlib import Path

from isthmus.errors import EnvironmentProblem
from isthmus.trustzone.board import TrustZone
from isthmus.trustzone.generate import digest

__all__ = ["given_world", "require_board"]

_HEADER = struct.Struct("<4sBB10xHH")  # of an ELF file: magic, class, byte order, kind, processor
_AARCH64 = 183
_FIXED = 2  # linked to its addresses, as what runs without an operating system is


def given_world(path: Path, machine: str) -> Path:
    """`path`, made absolute, if it can be the Secure world of `machine`: a program of this computer's (host),
    or an ELF file of AArch64 linked to fixed addresses (qemu). Raises EnvironmentProblem, one line."""
    try:
        with path.open("rb") as file:
            header = file.read(_HEADER.size)
    except OSError as problem:
        raise EnvironmentProblem(f"world {path}: {problem.strerror}") from None
    found = _parts(header)
    if found is None:
        raise EnvironmentProblem(f"world {path}: not an ELF file of 64 bits")
    kind, processor = found
    if machine == "qemu" and (kind, processor) != (_FIXED, _AARCH64):
        raise EnvironmentProblem(f"world {path}: not linked for Secure EL1 of an AArch64 board")
    if machine == "host" and (processor != _own_processor() or not os.access(path, os.X_OK)):
        raise EnvironmentProblem(f"world {path}: not a program that this computer can run")
    return path.resolve()


def require_board(path: Path, board: TrustZone) -> None:
    """Raises EnvironmentProblem, one line, unless the payload at `path` was built for this board."""
    try:
        found = digest(board).encode() in path.read_bytes()
    except OSError as problem:
        raise EnvironmentProblem(f"world {path}: {problem.strerror}") from None
    if not found:
        raise EnvironmentProblem(
            f"world {path}: built for another board: build it with what `isthmus board generate` makes "
            f"of the same --board and --set"
        )


def _parts(header: bytes) -> tuple[int, int] | None:
    if len(header) < _HEADER.size:
        return None
    magic, width, order, kind, processor = _HEADER.unpack(header)
    return (kind, processor) if (magic, width, order) == (b"\x7fELF", 2, 1) else None


def _own_processor() -> int:
    with open("/proc/self/exe", "rb") as file:
        found = _parts(file.read(_HEADER.size))
    return found[1] if found else 0
