# SPDX-License-Identifier: MIT
"""The numbers of core/smc.h, read from it."""

from __future__ import annotations

import re

from isthmus.resources import tree

__all__ = ["SMC"]

_DEFINE = re.compile(r"^#define (IST_\w+) \(?(-?(?:0x[0-9a-f]+|\d+))\)?", re.MULTILINE)

SMC: dict[str, int] = {
    name: int(value, 0)
    for name, value in _DEFINE.findall((tree() / "core" / "smc.h").read_text(encoding="utf-8"))
}
