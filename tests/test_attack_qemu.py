# SPDX-License-Identifier: MIT
"""`isthmus attack --machine qemu`: attacks from inside Linux's kernel, with the defence and without."""

from __future__ import annotations

from pathlib import Path

import pytest

from isthmus import attack
from isthmus.attack.catalogue import ATTACKS
from isthmus.attack.defences import changed_files
from isthmus.attack.trustzone.machine import AttackedMachine
from isthmus.attack.trustzone.rig import Rig
from isthmus.errors import EnvironmentProblem
from isthmus.trustzone.board import load

pytestmark = pytest.mark.qemu

CRAFTED = "pkt-81"
# Each frame costs so much that, with the defence, Linux needs its share of the core to be answered in time.
CONTROLLED = ("dos-09",)
RACES = ("mem-36", "mem-36a", "mem-37")


def failed(report: attack.Report) -> list[tuple[str, str, str]]:
    return [(r.id, r.defence, r.detail) for r in report.rows if not r.ok]


def test_one_attack_of_each_kind_is_contained(seed: int) -> None:
    wanted = attack.select("qemu", (*attack.SHORT, CRAFTED), known=False)
    report = attack.run("qemu", wanted, seed=seed, controls=False)
    assert failed(report) == []
    assert len({row.kind for row in report.rows}) == len(report.rows) - 2 >= 8
    assert sum(r.missed_deadlines or 0 for r in report.rows) == 0


def test_a_flood_costs_a_task_its_deadline_where_nothing_limits_it(seed: int) -> None:
    report = attack.run("qemu", attack.select("qemu", CONTROLLED), seed=seed)
    assert failed(report) == []
    on, off = report.rows
    assert (on.missed_deadlines, on.defence, off.defence) == (0, "on", "off")
    assert off.missed_deadlines
    assert "supervision missed" in off.detail


def test_a_race_at_any_load_is_judged_by_what_was_loaded(seed: int) -> None:
    report = attack.run("qemu", attack.select("qemu", RACES), seed=seed, controls=False)
    assert failed(report) == []
    length, head, payload = report.rows
    assert list(length.counters) == ["LENGTH_LONG"]
    assert list(head.counters) == ["HEAD_RANGE"]
    assert list(payload.counters) == ["FILTER"]
    assert all(row.detail.startswith("k = 0 to 16: ") for row in report.rows)


@pytest.mark.slow
@pytest.mark.timeout(3600)
def test_every_attack_is_contained_and_every_control_succeeds(seed: int) -> None:
    report = attack.run("qemu", attack.select("qemu"), seed=seed)
    assert failed(report) == []


@pytest.mark.slow
@pytest.mark.timeout(6 * 3600)
def test_every_attack_is_contained_for_10000_periods(seed: int) -> None:
    report = attack.run("qemu", attack.select("qemu"), seed=seed, controls=False, periods=10_000)
    assert failed(report) == []
    assert sum(r.missed_deadlines or 0 for r in report.rows) == 0


def test_a_machine_that_answers_nobody_is_no_attacks_success(monkeypatch: pytest.MonkeyPatch) -> None:
    """It is looked at before each attack: one that the last attack has broken is booted again, and one that
    never was right ends the campaign."""
    answered, booted = iter([True, False, True, False, False]), []
    monkeypatch.setattr(AttackedMachine, "start", lambda self, timeout: booted.append(self))
    monkeypatch.setattr(Rig, "shell", lambda self, script: "")
    monkeypatch.setattr(Rig, "flowing", lambda self: next(answered))
    rig = Rig(load(), None, {})
    rig.ready()
    rig.ready()
    assert len(booted) == 2
    with pytest.raises(EnvironmentProblem, match="no setpoint is answered"):
        rig.ready()


def test_every_control_finds_what_it_takes_out() -> None:
    names = {
        name for a in ATTACKS if a.control and a.control.without for name in a.control.without.split(" + ")
    }
    for name in names:
        assert changed_files([name])


@pytest.mark.parametrize(
    ("without", "settings", "remark"),
    [
        (None, {}, ""),
        ("doorbell rate + one session", {}, ""),  # of the monitor alone
        ("doorbell rate + budget", {}, "the world with lwIP"),
        (None, {"tag": "siphash"}, "the world with lwIP"),  # another board's
    ],
)
def test_a_world_built_elsewhere_is_attacked_as_it_is(
    monkeypatch: pytest.MonkeyPatch, without: str | None, settings: dict[str, str], remark: str
) -> None:
    """It runs where it is whole; else our own does, and each row says so."""
    given, ran = Path("given.elf"), []
    monkeypatch.setattr(AttackedMachine, "start", lambda self, timeout: ran.append(self._payload))
    monkeypatch.setattr(Rig, "prepare", lambda self: None)
    rig = Rig(load(), without, settings, given)
    assert rig.machine
    assert rig.remark == remark
    assert ran == [None if remark else given]
