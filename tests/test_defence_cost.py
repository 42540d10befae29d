# SPDX-License-Identifier: MIT
"""What the defences cost a frame: by instructions, which are the same each time (tools/defence_cost.py), for
the loops whose times `isthmus bench` measures."""

from __future__ import annotations

import shutil

import defence_cost
import pytest

from core_programs import CORE
from isthmus.bench import defences
from isthmus.bench.cases import Version, select
from isthmus.bench.rounds import Broken
from isthmus.bench.runner import execute
from isthmus.errors import EnvironmentProblem

MOST = 1.15  # 64 rules in proportion to 5; a walk over them costs more than twice as much

counted = pytest.mark.skipif(shutil.which("valgrind") is None, reason="cost: valgrind is missing")


@counted
def test_the_checks_cost_little() -> None:
    """At most a tenth of the throughput of the smallest frames."""
    (on,), (off,) = (select(f"defences.{name}") for name in ("checks", "unchecked"))
    with_them, without = defence_cost.of(on, 64), defence_cost.of(off, 64)
    assert with_them - without > 5, "they are not compiled out"
    assert 1 - without / with_them <= defence_cost.LIMIT


def test_only_the_checks_are_taken_out() -> None:
    text = (CORE / "check.h").read_text(encoding="utf-8")
    without = defences.unchecked(text)
    assert "*size = ist_record_size(length, tag);" in without
    assert "*gap = low - (ist_u32)expected;" in without
    for changed in (text.replace("if (length > frame_max)", "if (length > frame_max || 0)\n"), without):
        with pytest.raises(EnvironmentProblem, match=r"check\.h"):
            defences.unchecked(changed)


@counted
@pytest.mark.parametrize("version", ["ipv4", "ipv6"])
def test_a_long_list_costs_hardly_more_than_a_short_one(version: Version) -> None:
    def cost(rules: int) -> float:
        with defences.question(defences.allow_list(rules, version, "udp")) as fd:
            return defence_cost.instructions([str(defences.filter_loop()), f"/proc/self/fd/{fd}"], [fd])

    assert 1 < cost(64) / cost(5) <= MOST


def test_a_frame_that_is_refused_has_no_cost() -> None:
    """Or it would be said what a refusal costs."""
    text = defences.allow_list(5, "ipv4", "udp")
    with defences.question(text[:-26] + bytes(26)) as fd:  # no UDP header has the length 0
        command = [str(defences.filter_loop()), *defences.settings(0, 0, 1000), f"/proc/self/fd/{fd}"]
        with pytest.raises(Broken, match="a frame was refused"):
            execute(command, 1.0, [fd])
    with pytest.raises(ValueError, match="5 rules"):
        defences.allow_list(4, "ipv4", "udp")
