# SPDX-License-Identifier: MIT
"""Where the C tree and the board files lie: in a source checkout, or inside an installed wheel."""

from __future__ import annotations

from functools import cache
from pathlib import Path

from isthmus.errors import EnvironmentProblem

__all__ = ["tree"]

_PACKAGE = Path(__file__).resolve().parent


@cache
def tree() -> Path:
    """The folder that holds core/, host/, worlds/ and boards/. Read-only: nothing is ever written there.

    Raises EnvironmentProblem where the package was copied without its data.
    """
    for place in (_PACKAGE / "_tree", _PACKAGE.parent.parent):
        if (place / "core" / "abi.h").is_file():
            return place
    raise EnvironmentProblem(f"{_PACKAGE} is incomplete: its C tree is missing; install isthmus again")
