# SPDX-License-Identifier: MIT
"""The checkers are tests: one command, one verdict."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

CHECKERS = {
    "ruff": ["ruff", "check", "--quiet", "--output-format=concise", "."],
    "mypy": ["mypy"],
    "stubtest": ["mypy.stubtest", "isthmus._native"],
}


@pytest.mark.parametrize("name", CHECKERS)
def test_checker_is_content(name: str, root: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-m", *CHECKERS[name]], cwd=root, capture_output=True, text=True, check=False
    )
    if done.returncode:
        pytest.fail(f"{done.stdout}{done.stderr}", pytrace=False)
