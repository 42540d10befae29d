# SPDX-License-Identifier: MIT
"""What an attack is, and the list of all of them."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from typing import Any, Literal

import msgspec

from isthmus.errors import EnvironmentProblem

__all__ = [
    "ANYWHERE",
    "ATTACKS",
    "SHORT",
    "Attack",
    "Control",
    "Defence",
    "Evidence",
    "Outcome",
    "Row",
    "Untried",
    "attack",
    "elsewhere",
    "select",
]

Attacker = Literal["F", "U", "K"]
Machine = Literal["memory", "host", "qemu"]
Defence = Literal["on", "off", "bare"]  # bare: what stands behind it is gone, too
ANYWHERE: tuple[Machine, ...] = ("memory", "host", "qemu")  # frames alone are sent, and counters looked at


@dataclass(slots=True)
class Evidence:
    """What was seen while an attack went on; times in seconds from its begin, on the machine's own clock."""

    periods: list[tuple[float, float | None, float | None, int]] = field(default_factory=list)
    """At, microseconds to the control task's begin and end (None: skipped), frames taken in."""
    flow: list[tuple[float, float | None]] = field(default_factory=list)
    """At, microseconds to a setpoint's answer (None: none came in half of its period)."""
    responses: dict[str, list[tuple[float, float]]] = field(default_factory=dict)
    """By task: when a period of it ended, microseconds since its release."""
    deadlines: dict[str, int] = field(default_factory=dict)
    """By task, in microseconds; the highest first."""


@dataclass(slots=True)
class Outcome:
    """What became of it. `contained`: nothing was delivered, overrun, kept waiting or counted that should not
    have been, and the next valid frame came. Work is in frames judged in a window of one period; times in
    seconds."""

    contained: bool
    detail: str
    counters: dict[str, int] = field(default_factory=dict)
    missed: int = 0
    work_max: int | None = None
    work_bound: int | None = None
    recovered_s: float | None = None
    flow_sent: int | None = None  # setpoints of somebody who means well, and how many never arrived
    flow_lost: int | None = None
    evidence: Evidence | None = None


@dataclass(frozen=True, slots=True)
class Control:
    """How the defence is switched off: a statement taken out of a test build, or a test policy."""

    without: str | None = None  # of defences.DEFENCES
    settings: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Attack:
    """One line of the catalogue on one machine. `run` gets the machine's stage and the seeded dice."""

    id: str
    name: str
    attacker: Attacker
    machine: Machine
    run: Callable[[Any, random.Random], Outcome] | None
    settings: Mapping[str, Any] = field(default_factory=dict)
    control: Control | None = None
    bare: Control | None = None  # without what still keeps the deadlines where the control is run, too
    elsewhere: str = ""  # why it does not apply here
    replayable: bool = True  # the same seed makes the same attack

    @property
    def kind(self) -> str:
        """Its class: mem, dos, pkt, ..."""
        return self.id.partition("-")[0]


class Untried(EnvironmentProblem):
    """What the attacker or the well-meaning sender needs did not work: this says nothing of a defence."""


class Row(msgspec.Struct, frozen=True):
    """One run of one attack."""

    id: str
    name: str
    kind: str = msgspec.field(name="class")
    attacker: Attacker
    defence: Defence
    applies: bool
    contained: bool | None  # None: it does not apply
    missed_deadlines: int | None
    counters: dict[str, int]
    work_max: int | None
    work_bound: int | None
    recovered_s: float | None
    flow_sent: int | None
    flow_lost: int | None
    seed: int
    replayable: bool
    detail: str

    @property
    def ok(self) -> bool:
        """Contained with the defence on; successful with it off; a task misses its deadline where nothing
        stands behind it either."""
        if self.defence == "bare":
            return not self.applies or bool(self.missed_deadlines)
        return not self.applies or self.contained == (self.defence == "on")

    def told(self) -> dict[str, Any]:
        """For the JSON document, whose `defence` is on or off; `bare` says that nothing stood behind it."""
        bare = self.defence == "bare"
        return {**msgspec.to_builtins(self), "defence": "off" if bare else self.defence, "bare": bare}


ATTACKS: list[Attack] = []

Run = Callable[[Any, random.Random], Outcome]


def attack(
    ident: str,
    name: str,
    attacker: Attacker = "K",
    *,
    machines: Sequence[Machine] = ("memory",),
    off: str | Mapping[str, Any] | None,
    bare: Control | None = None,
    replayable: bool = True,
    **settings: Any,
) -> Callable[[Run], Run]:
    """Registers an attack. `off`: the defence that its control does without, or settings of a test policy;
    None where no build could do without it, since the hardware is what refuses. `bare`: a control that costs
    a named task its deadline, where that of `off` does not."""

    def register(run: Run) -> Run:
        control = (
            Control(without=off) if isinstance(off, str) else None if off is None else Control(settings=off)
        )
        ATTACKS.extend(
            Attack(ident, name, attacker, m, run, settings, control, bare, replayable=replayable)
            for m in machines
        )
        return run

    return register


def elsewhere(machine: Machine, why: str, attacks: Mapping[str, str], attacker: Attacker = "K") -> None:
    """Registers attacks that a machine has no place for, and where they are shown."""
    for ident, name in attacks.items():
        ATTACKS.append(Attack(ident, name, attacker, machine, None, elsewhere=why))


#: One of each kind, two of the commonest: for who has seconds.
SHORT = (
    "dos-05", "mem-30", "mem-35b", "pkt-50", "life-60", "leak-63", "smc-66", "irq-68", "psci-71", "host-74",
)  # fmt: skip


def select(machine: str, only: Iterable[str] = (), *, known: bool = True) -> list[Attack]:
    """The attacks of a machine in the catalogue's order; `only`: ids or shell patterns. ValueError for one
    that names nothing; where they need not be `known`, those that run there alone."""
    here = sorted((a for a in ATTACKS if a.machine == machine), key=lambda a: (_ORDER.get(a.kind, 9), a.id))
    wanted = list(only)
    if not known:
        return [a for a in here if a.id in wanted and a.run is not None]
    for pattern in wanted:
        if not any(fnmatchcase(a.id, pattern) for a in here):
            there = ", ".join(a.id for a in here)
            raise ValueError(f"no attack is called {pattern!r} on {machine}; there are {there}")
    return [a for a in here if not wanted or any(fnmatchcase(a.id, p) for p in wanted)]


_ORDER = {
    kind: i for i, kind in enumerate(("dos", "mem", "pkt", "life", "leak", "smc", "irq", "psci", "host"))
}
