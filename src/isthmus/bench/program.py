# SPDX-License-Identifier: MIT
"""The C case runner, built from the package's own sources and the C tree."""

from __future__ import annotations

from pathlib import Path

from isthmus.build import build_program
from isthmus.resources import tree

__all__ = ["case_runner"]

NATIVE = Path(__file__).parent / "native"


def case_runner() -> Path:
    """The finished executable, from the user's cache when nothing has changed. The core is built as it is
    shipped: with every check and optimised as in the Python extension; nothing is tuned to this processor.
    """
    core, host = tree() / "core", tree() / "host"
    return build_program(
        "isthmus-bench",
        sources=[*sorted(NATIVE.glob("*.c")), *sorted(core.glob("*.c")), host / "link.c"],
        includes=[core, host, NATIVE],
        cflags=["-std=c11", "-O2", "-D_GNU_SOURCE", "-Wall", "-Wextra"],
        ldflags=["-pthread"],
    )
