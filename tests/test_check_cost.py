# SPDX-License-Identifier: MIT
"""The checks on a peer's values cost at most a tenth of the throughput of the smallest frames: by
instructions, which are the same each time (tools/check_cost.py)."""

from __future__ import annotations

import importlib.util
import shutil
from pathlib import Path
from types import ModuleType

import pytest

from core_programs import CORE, ROOT


@pytest.fixture(scope="module")
def tool() -> ModuleType:
    spec = importlib.util.spec_from_file_location("check_cost", ROOT / "tools" / "check_cost.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_the_checks_cost_little(tool: ModuleType, tmp_path: Path) -> None:
    if shutil.which("valgrind") is None:
        pytest.skip("cost: valgrind is missing")
    loops = tool.build(tmp_path)
    on, off = (tool.instructions(loops[name], 64, 0) for name in ("on", "off"))
    assert on - off > 5, "they are not compiled out"
    assert 1 - off / on <= tool.LIMIT


def test_only_the_checks_are_taken_out(tool: ModuleType) -> None:
    text = (CORE / "check.h").read_text(encoding="utf-8")
    without = tool.unchecked(text)
    assert "*size = ist_record_size(length, tag);" in without
    assert "*gap = low - (ist_u32)expected;" in without
    for changed in (text.replace("if (length > frame_max)", "if (length > frame_max || 0)\n"), without):
        with pytest.raises(ValueError, match=r"check\.h"):
            tool.unchecked(changed)
