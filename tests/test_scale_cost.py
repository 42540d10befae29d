# SPDX-License-Identifier: MIT
"""A frame costs the same over 64 channels as over one, whether all of them are busy or one is: by
instructions, which are the same each time (tools/scale_cost.py)."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
import scale_cost

from core_programs import ROOT

pytestmark = pytest.mark.skipif(shutil.which("valgrind") is None, reason="cost: valgrind is missing")

MANY = 64


def test_a_frame_costs_the_same_over_many_channels(tmp_path: Path) -> None:
    program = scale_cost.build(tmp_path)
    cases = ((1, 1), (MANY, MANY), (MANY, 1))
    one, all_busy, one_busy = (scale_cost.instructions(program, *case) for case in cases)
    assert all_busy <= scale_cost.LIMIT * one
    assert one_busy <= scale_cost.LIMIT * one


def test_looking_at_every_channel_would_not_do(tmp_path: Path) -> None:
    """Control: a poll that takes every lane for ready."""
    text = (ROOT / "worlds/secure/port/channels.h").read_text(encoding="utf-8")
    assert text.count("    channels_age(s, now);\n") == 1
    text = text.replace("    channels_age(s, now);\n", "    channels_age(s, now), channels_period(s);\n")
    (tmp_path / "channels.h").write_text(text, encoding="utf-8")
    program = scale_cost.build(tmp_path, f"-I{tmp_path}")
    assert scale_cost.instructions(program, MANY, 1) > scale_cost.LIMIT * scale_cost.instructions(
        program, 1, 1
    )
