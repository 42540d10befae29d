# SPDX-License-Identifier: MIT
"""A frame costs the same over 64 channels as over one, whether all of them are busy or one is: by
instructions, which are the same each time (tools/scale_cost.py)."""

from __future__ import annotations

import importlib.util
import shutil
from pathlib import Path
from types import ModuleType

import pytest

from core_programs import ROOT

MANY = 64


@pytest.fixture(scope="module")
def tool() -> ModuleType:
    if shutil.which("valgrind") is None:
        pytest.skip("cost: valgrind is missing")
    spec = importlib.util.spec_from_file_location("scale_cost", ROOT / "tools" / "scale_cost.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_a_frame_costs_the_same_over_many_channels(tool: ModuleType, tmp_path: Path) -> None:
    program = tool.build(tmp_path)
    one, all_busy, one_busy = (tool.instructions(program, *who) for who in ((1, 1), (MANY, MANY), (MANY, 1)))
    assert all_busy <= tool.LIMIT * one
    assert one_busy <= tool.LIMIT * one


def test_looking_at_every_channel_would_not_do(tool: ModuleType, tmp_path: Path) -> None:
    """Control: a poll that takes every lane for ready."""
    text = (ROOT / "worlds/secure/port/channels.h").read_text(encoding="utf-8")
    assert text.count("    channels_age(s, now);\n") == 1
    text = text.replace("    channels_age(s, now);\n", "    channels_age(s, now), channels_period(s);\n")
    (tmp_path / "channels.h").write_text(text, encoding="utf-8")
    program = tool.build(tmp_path, f"-I{tmp_path}")
    assert tool.instructions(program, MANY, 1) > tool.LIMIT * tool.instructions(program, 1, 1)
