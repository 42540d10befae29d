# SPDX-License-Identifier: MIT
"""Proves that a machine works: brings everything up, measures every row once, takes everything down.

report = check.run(board, seed=1)
report.ok, report.rows
"""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path

from isthmus.board import Board
from isthmus.check.evidence import Evidence
from isthmus.check.host import TOPICS, check_host
from isthmus.check.qemu import check_qemu
from isthmus.check.rows import CATALOGUE, Report, Row
from isthmus.trustzone.board import TrustZone

__all__ = ["CATALOGUE", "TOPICS", "Evidence", "Report", "Row", "run"]


def run(
    board: Board, *, seed: int, world: Path | None = None, began: Callable[[str], None] = lambda topic: None
) -> Report:
    """Checks the machine that plays `board`. `began` hears each of TOPICS as it begins. `world`: the Secure
    world with FreeRTOS+TCP, built elsewhere; None: our own, with lwIP.

    Raises EnvironmentProblem where the machine cannot be brought up; what falls short is a row, never an
    exception.
    """
    at = time.monotonic()
    evidence = Evidence()
    if isinstance(board, TrustZone):
        machine, (interface, rows) = "qemu", check_qemu(board, seed, began, evidence, world)
    else:
        machine, (interface, rows) = "host", check_host(board, seed, began, evidence, world)
    stack = "lwip" if world is None else "freertos"
    return Report(machine, stack, interface, seed, round(time.monotonic() - at, 2), rows, evidence)
