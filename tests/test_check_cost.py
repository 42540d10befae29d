# SPDX-License-Identifier: MIT
"""The checks on a peer's values cost at most a tenth of the throughput of the smallest frames: by
instructions, which are the same each time (tools/check_cost.py)."""

from __future__ import annotations

import shutil
from pathlib import Path

import check_cost
import pytest

from core_programs import CORE


def test_the_checks_cost_little(tmp_path: Path) -> None:
    if shutil.which("valgrind") is None:
        pytest.skip("cost: valgrind is missing")
    loops = check_cost.build(tmp_path)
    on, off = (check_cost.instructions(loops[name], 64, 0) for name in ("on", "off"))
    assert on - off > 5, "they are not compiled out"
    assert 1 - off / on <= check_cost.LIMIT


def test_only_the_checks_are_taken_out() -> None:
    text = (CORE / "check.h").read_text(encoding="utf-8")
    without = check_cost.unchecked(text)
    assert "*size = ist_record_size(length, tag);" in without
    assert "*gap = low - (ist_u32)expected;" in without
    for changed in (text.replace("if (length > frame_max)", "if (length > frame_max || 0)\n"), without):
        with pytest.raises(ValueError, match=r"check\.h"):
            check_cost.unchecked(changed)
