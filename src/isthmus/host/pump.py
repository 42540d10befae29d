# SPDX-License-Identifier: MIT
"""Builds the Normal world's frame pump."""

from __future__ import annotations

from pathlib import Path

from isthmus.build import build_program
from isthmus.resources import tree

__all__ = ["frame_pump"]

_WARNINGS = ("-Wall", "-Wextra", "-Wconversion", "-pedantic")
_CFLAGS = ("-std=c11", "-O2", "-fstack-protector-strong", "-fPIE", *_WARNINGS)
_LDFLAGS = ("-pie", "-Wl,-z,relro,-z,now")


def frame_pump() -> Path:
    """The program `isthmus-normal`. Raises EnvironmentProblem, one line."""
    core, host, own = tree() / "core", tree() / "host", tree() / "worlds" / "normal" / "host"
    sources = [*sorted(core.glob("*.c")), host / "link.c", host / "world.c", *sorted(own.glob("*.c"))]
    return build_program("isthmus-normal", sources, [core, host, own], _CFLAGS, _LDFLAGS)
