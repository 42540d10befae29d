# SPDX-License-Identifier: MIT
"""What the core costs a small target stays within its limits: `make sizes` (tools/sizes.py)."""

from __future__ import annotations

import pytest
import sizes


def test_core_stays_small(capsys: pytest.CaptureFixture[str]) -> None:
    assert sizes.main() == 0
    lines = capsys.readouterr().out.splitlines()
    print("\n".join(lines))
    assert [int(line.split(" B of ")[1]) for line in lines if " B of " in line] == [
        *(8192, 2048, 1024, 16384)
    ]


def test_a_limit_bites(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sizes, "state", lambda work: 1025)
    assert sizes.main() == 1
