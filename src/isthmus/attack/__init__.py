# SPDX-License-Identifier: MIT
"""The attack catalogue: each attack with its defence on, which contains it, and off, where it must succeed.

Seeded: the same seed makes the same attacks. One module per class; each registers its own in catalogue.py.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from pathlib import Path

import msgspec

from isthmus.attack import border, denial, host, life, memory, packet, trustzone
from isthmus.attack.campaign import Make, on_machines
from isthmus.attack.catalogue import ATTACKS, SHORT, Attack, Evidence, Row, select
from isthmus.attack.crafted import require
from isthmus.attack.defences import TOGETHER, stage_library
from isthmus.attack.rig import Rig
from isthmus.attack.runner import on_memory, row
from isthmus.attack.trustzone.rig import PERIODS
from isthmus.attack.trustzone.rig import Rig as TrustZoneRig
from isthmus.board import Board, load
from isthmus.qemu.linked import LinkedMachine
from isthmus.trustzone.board import TrustZone
from isthmus.trustzone.board import load as load_trustzone

__all__ = ["ATTACKS", "PERIODS", "SHORT", "Attack", "Report", "Row", "run", "select"]

SIDE_BY_SIDE = 2  # TrustZone machines, whose time is their own; the host machine's is this computer's
MODULES = (denial, memory, packet, life, host, border, trustzone)  # importing one registers its attacks


class Report(msgspec.Struct, frozen=True):
    """What a campaign has found."""

    machine: str
    seed: int
    seconds: float
    rows: list[Row]
    evidence: dict[str, Evidence] = {}  # by id and defence: "dos-05 on"

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
    periods: int = PERIODS,
    began: Callable[[Attack], None] = lambda attack: None,
) -> Report:
    """Runs the attacks, on the TrustZone machine two at a time; `began` is told of each, in any thread.

    `board`: the machine's, None for its file in boards/. `world`: a Secure world with FreeRTOS+TCP, built
    elsewhere; None: our own, with lwIP. `periods`: of the control task, for each attack on the TrustZone
    machine. Raises EnvironmentProblem.
    """
    if any(attack.id == "pkt-81" and attack.run is not None for attack in attacks):
        require()  # before all the others are done
    started = time.monotonic()
    rows: list[Row] = []
    if machine != "memory":
        seen: dict[str, Evidence] = {}
        side_by_side, together = (SIDE_BY_SIDE, TOGETHER) if machine == "qemu" else (1, ())
        make = _stage(machine, board, world, periods)
        rows = on_machines(attacks, make, seed, controls, began, seen, side_by_side, together)
        return Report(machine, seed, round(time.monotonic() - started, 1), rows, seen)
    stage_library(None)  # what is missing here is said before any attack is
    for attack in attacks:
        began(attack)
        if attack.run is None:
            rows.append(row(attack, "on", seed, None))
            continue
        rows.append(on_memory(attack, "on", seed))
        if controls:
            rows.append(on_memory(attack, "off", seed))
    return Report(machine, seed, round(time.monotonic() - started, 1), rows)


def _stage(machine: str, board: Board | None, world: Path | None, periods: int) -> Make:
    """Brings the machine up for attacks."""
    if machine == "host":
        on = board or load()
        return lambda without, settings: Rig(on, without, settings, world)
    zone = board if isinstance(board, TrustZone) else load_trustzone()
    LinkedMachine(zone, payload=world).build()  # what is missing here is said before any attack is
    return lambda without, settings: TrustZoneRig(zone, without, settings, world, periods)
