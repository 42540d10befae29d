# SPDX-License-Identifier: MIT
"""What the allow-list costs a frame hardly depends on how long it is: by instructions, which are the same
each time (tools/filter_cost.py)."""

from __future__ import annotations

import shutil
from pathlib import Path

import filter_cost
import pytest

MOST = 1.15  # 64 rules in proportion to 5; a walk over them costs more than twice as much


@pytest.mark.parametrize("version", ["ipv4", "ipv6"])
def test_a_long_list_costs_hardly_more_than_a_short_one(version: filter_cost.Version, tmp_path: Path) -> None:
    if shutil.which("valgrind") is None:
        pytest.skip("cost: valgrind is missing")
    program, asked = filter_cost.build(tmp_path), tmp_path / "asked"

    def cost(rules: int) -> float:
        asked.write_bytes(filter_cost.question(rules, version, "udp"))
        return filter_cost.instructions(program, asked)

    assert 1 < cost(64) / cost(5) <= MOST


def test_a_frame_that_is_refused_has_no_cost(tmp_path: Path) -> None:
    """Or the tool would say what a refusal costs."""
    program, asked = filter_cost.build(tmp_path), tmp_path / "asked"
    text = filter_cost.question(5, "ipv4", "udp")
    asked.write_bytes(text[:-26] + bytes(26))  # no UDP header has the length 0
    with pytest.raises(OSError, match="filter-cost"):
        filter_cost.nanoseconds(program, asked)
    with pytest.raises(ValueError, match="5 rules"):
        filter_cost.question(4, "ipv4", "udp")
