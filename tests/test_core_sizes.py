# SPDX-License-Identifier: MIT
"""What the core costs a small target stays within its limits: `make sizes` (tools/sizes.py)."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path
from types import ModuleType

import pytest


@pytest.fixture
def sizes(root: Path, monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    spec = importlib.util.spec_from_file_location("sizes", root / "tools/sizes.py")
    assert spec
    assert spec.loader
    module = importlib.util.module_from_spec(spec)
    monkeypatch.setitem(sys.modules, "sizes", module)
    spec.loader.exec_module(module)
    return module


def test_core_stays_small(sizes: ModuleType, capsys: pytest.CaptureFixture[str]) -> None:
    assert sizes.main() == 0
    lines = capsys.readouterr().out.splitlines()
    print("\n".join(lines))
    assert [int(line.split(" B of ")[1]) for line in lines if " B of " in line] == [
        *(8192, 2048, 1024, 16384)
    ]


def test_a_limit_bites(sizes: ModuleType, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sizes, "state", lambda work: 1025)
    assert sizes.main() == 1
