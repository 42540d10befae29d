# SPDX-License-Identifier: MIT
"""Attacks on several machines at a time: who shares one, what comes back, and what ends them all."""

from __future__ import annotations

import dataclasses
import random
import threading
from collections.abc import Mapping
from typing import Any

import pytest

from isthmus.attack.campaign import on_machines
from isthmus.attack.catalogue import Attack, Control, Outcome, Row, Untried


class Machine:
    remark = ""
    made: list[Machine]

    def __init__(self, without: str | None, settings: Mapping[str, Any]) -> None:
        self.without, self.settings = without, settings
        self.closed, self.gone = False, threading.Event()
        Machine.made.append(self)

    def close(self) -> None:
        self.closed = True

    def interrupt(self) -> None:
        self.gone.set()


def contained(s: Machine, dice: random.Random) -> Outcome:
    return Outcome(s.without is None, f"{dice.random()}")


def attack(number: int, run: Any = contained, without: str | None = "head range") -> Attack:
    control = Control(without) if without else None
    return Attack(f"mem-{number}", "made up", "K", "qemu", run, {}, control)


@pytest.fixture(autouse=True)
def _none_yet() -> None:
    Machine.made = []


def rows(attacks: list[Attack], machines: int) -> list[Row]:
    return on_machines(attacks, Machine, 1, True, lambda a: None, {}, machines)


def test_rows_are_the_same_in_the_same_order_however_many_machines_there_are() -> None:
    attacks = [attack(n, without="head range" if n % 3 else None) for n in range(20)]
    one = rows(attacks, 1)
    assert [m.without for m in Machine.made] == [None, "head range"]
    assert rows(attacks, 2) == one
    assert [m.without for m in Machine.made[2:]].count(None) == 2
    assert all(m.closed for m in Machine.made)
    first = [(r.id, r.defence) for r in one[:4]]
    assert first == [("mem-0", "on"), ("mem-1", "on"), ("mem-1", "off"), ("mem-2", "on")]


def test_two_machines_run_at_the_same_time() -> None:
    both = threading.Barrier(2)

    def meets(s: Machine, dice: random.Random) -> Outcome:
        both.wait(60)
        return contained(s, dice)

    assert all(r.ok for r in rows([attack(1, meets)], 2))


@pytest.mark.parametrize("problem", [RuntimeError("cannot be built"), KeyboardInterrupt()])
def test_what_goes_wrong_on_one_ends_the_other(problem: BaseException) -> None:
    ran: list[str] = []

    def fails(s: Machine, dice: random.Random) -> Outcome:
        if s.without is None:
            raise problem
        assert s.gone.wait(60)  # or it would wait for ever
        return contained(s, dice)

    def last(s: Machine, dice: random.Random) -> Outcome:
        ran.append("last")
        return contained(s, dice)

    with pytest.raises(type(problem)):
        rows([attack(1, fails), attack(2, last)], 2)
    assert all(m.closed for m in Machine.made)
    assert ran == []


def test_defences_that_are_taken_out_together_share_a_machine() -> None:
    attacks = [attack(1, without="magic"), attack(2, without="version"), attack(3, without="filter")]
    found = on_machines(attacks, Machine, 1, True, lambda a: None, {}, 1, [("version", "magic")])
    assert [m.without for m in Machine.made] == [None, "version + magic", "filter"]
    assert found == rows(attacks, 1)


def test_what_could_not_be_tried_is_neither_contained_nor_a_successful_control() -> None:
    def broken(s: Machine, dice: random.Random) -> Outcome:
        raise Untried("in the guest: no such file")

    found = rows([attack(1, broken)], 1)
    assert [(r.defence, r.ok, r.detail) for r in found] == [
        (which, False, "could not be tried: in the guest: no such file") for which in ("on", "off")
    ]


def test_a_control_without_what_stands_behind_the_defence_has_to_cost_a_deadline() -> None:
    def harmless(s: Machine, dice: random.Random) -> Outcome:
        late = s.without == "filter + budget"
        return Outcome(s.without is None, "", missed=7 if late else 0)

    for bare, ok in (("filter + budget", True), ("budget", False)):
        Machine.made = []
        made = dataclasses.replace(attack(1, harmless, "filter"), bare=Control(bare))
        found = rows([made], 1)
        assert [m.without for m in Machine.made] == [None, "filter", bare]
        assert [(r.defence, r.ok) for r in found] == [("on", True), ("off", True), ("bare", ok)]
        told = [(r.told()["defence"], r.told()["bare"]) for r in found]
        assert told == [("on", False), ("off", False), ("off", True)], "scripts know on and off"
        assert [r.defence for r in on_machines([made], Machine, 1, False, lambda a: None, {}, 1)] == ["on"]
