# SPDX-License-Identifier: MIT
"""Builds the Normal world's frame pump."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from isthmus.build import build_program
from isthmus.resources import tree

__all__ = ["frame_pump"]

_WARNINGS = ("-Wall", "-Wextra", "-Wconversion", "-pedantic")
_CFLAGS = ("-std=c11", "-O2", "-fstack-protector-strong", "-fPIE", *_WARNINGS)
_LDFLAGS = ("-pie", "-Wl,-z,relro,-z,now")


def frame_pump(instead: Path | None = None, flags: Sequence[str] = ()) -> Path:
    """The program `isthmus-normal`. `instead`: a source that stands for pump.c and includes it, with flags of
    its own. Raises EnvironmentProblem, one line."""
    core, host, own = tree() / "core", tree() / "host", tree() / "worlds" / "normal" / "host"
    pump = sorted(p if p.name != "pump.c" or instead is None else instead for p in own.glob("*.c"))
    sources = [*sorted(core.glob("*.c")), host / "link.c", host / "world.c", *pump]
    return build_program("isthmus-normal", sources, [core, host, own], (*_CFLAGS, *flags), _LDFLAGS)
