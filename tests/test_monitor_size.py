# SPDX-License-Identifier: MIT
"""The monitor stays small: what it adds to TF-A's BL31, with all that it calls there, in bytes of code."""

from __future__ import annotations

import subprocess
from pathlib import Path
from typing import Literal

import msgspec
import pytest

from isthmus.build import firmware
from isthmus.build.payload import CROSS
from isthmus.trustzone.board import load

pytestmark = pytest.mark.qemu

TEXT_MAX = 6 << 10


def code_bytes(elf: Path) -> int:
    """Of all functions; the section itself is padded to whole pages."""
    done = subprocess.run([f"{CROSS}nm", "-S", elf], capture_output=True, text=True, check=True)
    rows = [line.split() for line in done.stdout.splitlines()]
    return sum(int(row[1], 16) for row in rows if len(row) == 4 and row[2] in "tT")


@pytest.fixture(scope="module")
def without() -> int:
    """BL31 with no dispatcher at all."""
    options = firmware.make_options
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(firmware, "make_options", lambda b: [o for o in options(b) if o != "SPD=isthmus"])
        return code_bytes(firmware.stages(load()) / "bl31.elf")


@pytest.mark.parametrize("fp", ["none", "switched"])
def test_the_monitor_is_small(fp: Literal["none", "switched"], without: int) -> None:
    board = load()
    board = msgspec.structs.replace(board, secure=msgspec.structs.replace(board.secure, fp=fp))
    added = code_bytes(firmware.stages(board) / "bl31.elf") - without
    print(f"{added} bytes of {TEXT_MAX}")
    assert 0 < added <= TEXT_MAX
