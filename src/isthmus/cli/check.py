# SPDX-License-Identifier: MIT
"""`isthmus check`: bring everything up, prove that it works, take it down."""

from __future__ import annotations

import random
import sys

import click

from isthmus import check
from isthmus.cli.common import FELL_SHORT, HELD, Common, common_options, progress, write_document

__all__ = ["command"]


@click.command("check")
@common_options("host", "qemu")
@click.option("--seed", type=click.IntRange(0, 2**63 - 1), help="Replays the random bytes of an earlier run.")
def command(common: Common, seed: int | None) -> int:
    """Bring both worlds up, prove every row with real traffic, restart each world, take everything down.

    A table on standard output, or the JSON document with --json. Exit status 1: a row fell short.
    """
    board = common.board()
    seed = random.SystemRandom().getrandbits(32) if seed is None else seed
    with progress("check", total=len(check.TOPICS)) as began:

        def tell(topic: str) -> None:
            if (
                topic != "build" or sys.stderr.isatty()
            ):  # until the machine stands, one line may have to say why not
                began(topic)

        report = check.run(board, seed=seed, began=tell)
    if common.json_file != "-":
        show(report)
    write_document(
        common,
        "check",
        report.rows,
        interface=report.interface,
        seed=report.seed,
        seconds=report.seconds,
    )
    return HELD if report.ok else FELL_SHORT


def show(report: check.Report) -> None:
    from rich.console import Console

    from isthmus.check.table import render

    console = Console()  # honours NO_COLOR; colour on a terminal only
    if not console.is_terminal:
        console = Console(width=120)
    console.print(render(report))
