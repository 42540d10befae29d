# SPDX-License-Identifier: MIT
"""Runs attacks on a whole machine: those that want it alike share one, which is brought up once."""

from __future__ import annotations

import random
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any, Literal, Protocol

from isthmus.attack.catalogue import Attack, Evidence, Outcome, Row
from isthmus.attack.runner import row

__all__ = ["Stage", "on_a_machine"]

Defence = Literal["on", "off"]
Key = tuple[str | None, tuple[tuple[str, Any], ...]]  # what is taken out, settings


class Stage(Protocol):
    """A machine under attack."""

    remark: str  # for every outcome on it; "" for none

    def close(self) -> None:
        """Idempotent."""


Make = Callable[[str | None, Mapping[str, Any]], Stage]
"""Brings one up: without which defence, by which settings."""


def on_a_machine(
    attacks: Sequence[Attack],
    make: Make,
    seed: int,
    controls: bool,
    began: Callable[[Attack], None],
    seen: dict[str, Evidence],
) -> list[Row]:
    """The rows in the catalogue's order, whatever order they were run in.

    `seen`, by id and defence, takes what a machine with a clock of its own saw meanwhile."""
    jobs: dict[Key, list[tuple[Attack, Defence]]] = {}
    rows: dict[tuple[str, Defence], Row] = {}
    for attack in attacks:
        if attack.run is None:
            rows[attack.id, "on"] = row(attack, "on", seed, None)
            continue
        jobs.setdefault(_key(None, attack.settings), []).append((attack, "on"))
        if controls and (off := attack.control) is not None:
            key = _key(off.without, {**attack.settings, **off.settings})
            jobs.setdefault(key, []).append((attack, "off"))
    for (without, settings), wanted in jobs.items():
        rows |= _on_one(make, without, dict(settings), wanted, seed, began, seen)
    defences: tuple[Defence, Defence] = ("on", "off")
    return [rows[a.id, d] for a in attacks for d in defences if (a.id, d) in rows]


def _on_one(
    make: Make,
    without: str | None,
    settings: Mapping[str, Any],
    wanted: Sequence[tuple[Attack, Defence]],
    seed: int,
    began: Callable[[Attack], None],
    seen: dict[str, Evidence],
) -> dict[tuple[str, Defence], Row]:
    done: dict[tuple[str, Defence], Row] = {}
    stage = make(without, settings)
    try:
        for attack, defence in wanted:
            if defence == "on":
                began(attack)
            assert attack.run is not None
            outcome: Outcome | None = None
            tried = attack
            try:
                outcome = attack.run(stage, random.Random(f"{seed} {attack.id}"))
            except PermissionError as problem:
                tried = replace(attack, elsewhere=f"not allowed to play the attacker here: {problem}")
            if outcome is not None and stage.remark:
                outcome = replace(outcome, detail=f"{outcome.detail} ({stage.remark})")
            if outcome is not None and outcome.evidence is not None:
                seen[f"{attack.id} {defence}"] = outcome.evidence
            done[attack.id, defence] = row(tried, defence, seed, outcome)
    finally:
        stage.close()
    return done


def _key(without: str | None, settings: Mapping[str, Any]) -> Key:
    return without, tuple(sorted(settings.items()))
