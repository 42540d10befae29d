# SPDX-License-Identifier: MIT
"""One suite for both machines: machines.txt holds what of the host's does not run on the emulated one."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from machines import Capability, capabilities, fit_for

Places = dict[str, dict[str, list[str]]]


def differences(places: Places, held: dict[str, Capability]) -> list[str]:
    """Where the tests' marks and the list say different things; one line each."""
    found = []
    listed = {(name, test) for name, capability in held.items() for test in capability.tests}
    needed = set()
    for test, place in places.items():
        needed |= {(name, test) for name in place["needs"]}
        if place["machines"] == ["host"] and not place["needs"]:
            found.append(f"{test} runs on the host alone and does not say what it needs")
        if "qemu" in place["machines"] and place["needs"]:
            found.append(f"{test} needs what the emulated machine lacks, and runs there")
    found += [f"{test} needs {name!r} and is not in the list" for name, test in sorted(needed - listed)]
    surplus = sorted(listed - needed)
    found += [f"{test} is listed under {name!r} and does not need it" for name, test in surplus]
    return found


def test_what_runs_on_the_host_alone_is_listed(root: Path, tmp_path: Path) -> None:
    where = tmp_path / "where.json"
    collect = [sys.executable, "-m", "pytest", "--collect-only", "-q", "--slow", f"--where={where}"]
    done = subprocess.run(collect, cwd=root, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    places: Places = json.loads(where.read_text())
    shared = [test for test, place in places.items() if len(place["machines"]) == 2]
    assert shared, "no test runs on both machines"
    assert differences(places, capabilities()) == []


ON_HOST = {"machines": ["host"], "needs": ["processes"]}
ON_BOTH: dict[str, list[str]] = {"machines": ["host", "qemu"], "needs": []}


@pytest.mark.parametrize(
    ("places", "tests", "said"),
    [
        ({"a": ON_HOST, "b": ON_BOTH}, ["a"], ""),
        ({"a": ON_HOST}, [], "a needs 'processes' and is not in the list"),
        ({"b": ON_BOTH}, ["b"], "b is listed under 'processes' and does not need it"),
        ({}, ["gone"], "gone is listed under 'processes' and does not need it"),
        ({"a": {**ON_HOST, "needs": []}}, [], "a runs on the host alone and does not say what it needs"),
        ({"a": {**ON_HOST, "needs": ["wings"]}}, [], "a needs 'wings' and is not in the list"),
        ({"a": {**ON_BOTH, "needs": ["processes"]}}, ["a"], "a needs what the emulated machine lacks"),
        ({"c": {"machines": ["qemu"], "needs": []}, "d": {"machines": [], "needs": []}}, [], ""),
    ],
)
def test_the_list_and_the_marks_may_not_differ(places: Places, tests: list[str], said: str) -> None:
    found = differences(places, {"processes": Capability("no processes", tests)})
    assert (said in "\n".join(found)) if said else not found


def test_a_test_runs_where_its_needs_are_met() -> None:
    assert fit_for([], []) == ["host", "qemu"]
    assert fit_for([], ["plain"]) == ["host", "plain", "qemu"]
    assert fit_for(["processes"], ["packet"]) == ["host", "packet"]
    with pytest.raises(KeyError):
        fit_for(["wings"], [])
