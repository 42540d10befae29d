# SPDX-License-Identifier: MIT
"""The attack catalogue: each attack with its defence on, which contains it, and off, where it must succeed.

Seeded: the same seed makes the same attacks. One module per class; each registers its own in catalogue.py.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from pathlib import Path

import msgspec

from isthmus.attack import denial, host, life, memory, packet
from isthmus.attack.campaign import on_host
from isthmus.attack.catalogue import ATTACKS, Attack, Row, select
from isthmus.attack.runner import on_memory, row
from isthmus.board import Board, load

__all__ = ["ATTACKS", "Attack", "Report", "Row", "run", "select"]

MODULES = (denial, memory, packet, life, host)  # importing one registers its attacks


class Report(msgspec.Struct, frozen=True):
    """What a campaign has found."""

    machine: str
    seed: int
    seconds: float
    rows: list[Row]

    @property
    def ok(self) -> bool:
        """Every attack contained, every control successful."""
        return all(row.ok for row in self.rows)


def run(
    machine: str,
    attacks: Sequence[Attack],
    *,
    seed: int,
    board: Board | None = None,
    world: Path | None = None,
    controls: bool = True,
    began: Callable[[Attack], None] = lambda attack: None,
) -> Report:
    """Runs the attacks one after the other; `began` is told of each.

    `board`: the host machine's, None for boards/host.toml. `world`: its Secure world with FreeRTOS+TCP, built
    elsewhere; None: our own, with lwIP. Raises EnvironmentProblem.
    """
    started = time.monotonic()
    rows: list[Row] = []
    if machine == "host":
        rows = on_host(attacks, board or load(), seed, controls, began, world)
        return Report(machine, seed, round(time.monotonic() - started, 1), rows)
    for attack in attacks:
        began(attack)
        if attack.run is None:
            rows.append(row(attack, "on", seed, None))
            continue
        rows.append(on_memory(attack, "on", seed))
        if controls:
            rows.append(on_memory(attack, "off", seed))
    return Report(machine, seed, round(time.monotonic() - started, 1), rows)
