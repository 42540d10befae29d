# SPDX-License-Identifier: MIT
"""One line of what was counted."""

from __future__ import annotations

from typing import Literal

import msgspec

__all__ = ["CountRow"]


class CountRow(msgspec.Struct, frozen=True):
    """Instructions of one case: `value` is `normal` + `secure` + `monitor`, per frame, echo, crossing or,
    where the unit says so, per byte. `critical` is the control task's, which runs at its period in any
    case.
    """

    case: str
    peer: str
    frame_bytes: int
    unit: str
    value: float | None = None
    normal: float | None = None
    secure: float | None = None
    monitor: float | None = None
    critical: float | None = None
    rounds: tuple[float, ...] = ()
    status: Literal["ok", "missing", "invalid"] = "ok"
    reason: str = ""
    metric: str = "instructions"
    api: str = "c"
    mode: str = "sleep"
    checks: bool = True
    tag: str = "none"
    batch: int = 1
    slots: int | None = None
