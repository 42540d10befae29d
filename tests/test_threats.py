# SPDX-License-Identifier: MIT
"""docs/THREATS.md is held to what there is: every attack of the campaign has its row, every row names tests
that exist, and the numbers of the bound are those of the record of counts."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator

import pytest

from core_programs import ROOT
from isthmus.attack import ATTACKS

TEXT = (ROOT / "docs" / "THREATS.md").read_text(encoding="utf-8")
ROW = re.compile(r"^\| ((?:dos|mem|pkt|life|leak|smc|irq|psci|host)-\d+) \|(.*)\|$", re.MULTILINE)
PLACE = re.compile(r"`(tests/[\w/.]+)(?:: (\w+))?`")
CAMPAIGN = re.compile(r"`isthmus attack`: ((?:memory|host|qemu)(?:, (?:memory|host|qemu))*)")


def rows(text: str) -> dict[str, list[str]]:
    """By id: attacker, attack, defence, shown by."""
    found = {ident: [cell.strip() for cell in rest.split("|")] for ident, rest in ROW.findall(text)}
    assert len(found) == len(ROW.findall(text)), "an id has two rows"
    return found


def problems(text: str) -> Iterator[str]:
    table = rows(text)
    machines: dict[str, set[str]] = {}
    for attack in ATTACKS:
        if attack.run is not None:
            machines.setdefault(attack.id.rstrip("abcdefgh"), set()).add(attack.machine)
    for ident in {a.id.rstrip("abcdefgh") for a in ATTACKS} - table.keys():
        yield f"{ident} has no row"
    for ident, (attacker, _, defence, shown) in table.items():
        if not set(attacker.split(", ")) <= {"F", "U", "K"} or not defence or not shown:
            yield f"{ident}: attacker, defence or test is missing"
        said = {m for names in CAMPAIGN.findall(shown) for m in names.split(", ")}
        if said != machines.get(ident, set()):
            yield f"{ident}: the campaign runs it on {sorted(machines.get(ident, set()))}, not {sorted(said)}"
    for file, name in PLACE.findall(text):
        path = ROOT / file
        defined = rf"(?:def|TEST\(|\bvoid|\bint) ?{name}\b"
        if not path.is_file():
            yield f"there is no {file}"
        elif name and not re.search(defined, path.read_text(encoding="utf-8")):
            yield f"{file} has no {name}"


def test_every_attack_has_its_row_and_every_test_that_is_named_exists() -> None:
    assert list(problems(TEXT)) == []
    assert len(rows(TEXT)) >= 65


@pytest.mark.parametrize(
    ("was", "becomes", "said"),
    [
        ("| mem-30 |", "| mem-99 |", "mem-30 has no row"),
        ("`tests/c/unit_limit.c`", "`tests/c/unit_limits.c`", "there is no tests/c/unit_limits.c"),
        ("test_sample`", "test_samples`", "tests/test_filter.py has no test_samples"),
        ("| dos-06 | K |", "| dos-06 | X |", "dos-06: attacker, defence or test"),
    ],
)
def test_a_wrong_table_is_found(was: str, becomes: str, said: str) -> None:
    assert was in TEXT
    assert any(p.startswith(said) for p in problems(TEXT.replace(was, becomes)))


def test_the_numbers_of_the_bound_are_those_that_were_counted() -> None:
    """isthmus bench --machine qemu --record counts them anew."""
    records = json.loads((ROOT / "boards" / "qemu-virt.counts.json").read_text(encoding="utf-8"))
    counts = list(records.values())[-1]["counts"]
    said = re.findall(r"^\| `([\w.]+(?: \d+)?)` \| ([\d,.]+) \|", TEXT, re.MULTILINE)
    assert len(said) >= 6
    assert {case: float(n.replace(",", "")) for case, n in said} == {case: counts[case] for case, _ in said}
