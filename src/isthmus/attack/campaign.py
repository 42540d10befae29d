# SPDX-License-Identifier: MIT
"""Runs attacks on the host machine: those that want the same machine share one, which is brought up once."""

from __future__ import annotations

import random
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, Literal

from isthmus.attack.catalogue import Attack, Outcome, Row
from isthmus.attack.rig import Rig
from isthmus.attack.runner import row
from isthmus.board import Board

__all__ = ["on_host"]

Defence = Literal["on", "off"]
Key = tuple[str | None, tuple[tuple[str, Any], ...]]  # what is taken out, settings


def on_host(
    attacks: Sequence[Attack],
    board: Board,
    seed: int,
    controls: bool,
    began: Callable[[Attack], None],
    world: Path | None = None,
) -> list[Row]:
    """The rows in the catalogue's order, whatever order they were run in.

    `world`: a Secure world that was built elsewhere. A control that takes a defence out of the core's source
    runs against our own.
    """
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
        rows |= _on_one(board, without, dict(settings), wanted, seed, began, world)
    defences: tuple[Defence, Defence] = ("on", "off")
    return [rows[a.id, d] for a in attacks for d in defences if (a.id, d) in rows]


def _on_one(
    board: Board,
    without: str | None,
    settings: Mapping[str, Any],
    wanted: Sequence[tuple[Attack, Defence]],
    seed: int,
    began: Callable[[Attack], None],
    world: Path | None,
) -> dict[tuple[str, Defence], Row]:
    done: dict[tuple[str, Defence], Row] = {}
    rig = Rig(board, without, settings, world)
    try:
        for attack, defence in wanted:
            if defence == "on":
                began(attack)
            assert attack.run is not None
            outcome: Outcome | None = None
            tried = attack
            try:
                outcome = attack.run(rig, random.Random(f"{seed} {attack.id}"))
            except PermissionError as problem:
                tried = replace(attack, elsewhere=f"not allowed to play the attacker here: {problem}")
            if outcome is not None and world is not None and without is not None:
                outcome = replace(outcome, detail=f"{outcome.detail} (the world with lwIP)")
            done[attack.id, defence] = row(tried, defence, seed, outcome)
    finally:
        rig.close()
    return done


def _key(without: str | None, settings: Mapping[str, Any]) -> Key:
    return without, tuple(sorted(settings.items()))
