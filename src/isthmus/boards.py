# SPDX-License-Identifier: MIT
"""Board files of every kind: which machine plays which, and one way to load them.

    >>> load("host").kind, load("qemu").kind
    ('host', 'trustzone')

A file for another machine is a ConfigError like any other mistake:

    >>> load("host", resources.tree() / "boards" / "qemu-virt.toml")
    Traceback (most recent call last):
    isthmus.errors.ConfigError: ...qemu-virt.toml: kind: a 'trustzone' board needs --machine qemu, not host
"""

from __future__ import annotations

import tomllib
from collections.abc import Sequence
from pathlib import Path

from isthmus import board as host
from isthmus import resources
from isthmus.errors import ConfigError
from isthmus.trustzone import board as trustzone

__all__ = ["KINDS", "load"]

KINDS = {"host": "host", "memory": "host", "qemu": "trustzone"}  # of the boards that a machine plays
_DEFAULT = {"host": "host.toml", "trustzone": trustzone.DEFAULT}


def load(machine: str, path: Path | None = None, changes: Sequence[str] = ()) -> host.Board:
    """The board file, or without one the machine's default, with `changes` (key.path=value) in place of what
    it says; a trustzone.board.TrustZone where its kind says so. Raises ConfigError, one line."""
    wanted = KINDS[machine]
    file = path if path is not None else resources.tree() / "boards" / _DEFAULT[wanted]
    kind = _kind(file)
    if kind != wanted and kind in _DEFAULT:
        needed = "qemu" if kind == "trustzone" else "host"
        raise ConfigError(f"{file}: kind: a {kind!r} board needs --machine {needed}, not {machine}")
    return trustzone.load(file, changes) if wanted == "trustzone" else host.load(file, changes)


def _kind(file: Path) -> str:
    """What the file says of itself. Whatever else is wrong with it is for its own loader to say."""
    try:
        return str(tomllib.loads(file.read_text(encoding="utf-8")).get("kind", "host"))
    except (OSError, ValueError, RecursionError):
        return ""
