# SPDX-License-Identifier: MIT
"""`isthmus check`: bring everything up, prove that it works, take it down."""

from __future__ import annotations

import random
import shlex
import sys
from pathlib import Path

import click

from isthmus import check
from isthmus.board import Board
from isthmus.cli.common import (
    FELL_SHORT,
    HELD,
    Common,
    common_options,
    progress,
    reportable,
    revision,
    wide_console,
    write_document,
)

__all__ = ["command"]


@click.command("check")
@common_options("qemu", "host")
@click.option(
    "--report",
    type=click.Path(path_type=Path, dir_okay=False),
    metavar="FILE",
    callback=reportable,
    help="Write topology, plots and rows there, as HTML that needs nothing else.",
)
@click.option("--seed", type=click.IntRange(0, 2**63 - 1), help="Replays the random bytes of an earlier run.")
def command(common: Common, report: Path | None, seed: int | None) -> int:
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

        found = check.run(board, seed=seed, world=common.world, began=tell)
    if common.json_file != "-":
        show(found)
    write_document(
        common,
        "check",
        found.rows,
        interface=found.interface,
        seed=found.seed,
        seconds=found.seconds,
    )
    if report is not None:
        write_report(common, report, found, board)
    return HELD if found.ok else FELL_SHORT


def write_report(common: Common, file: Path, found: check.Report, board: Board) -> None:
    """The last line says where it is."""
    from isthmus.report import write

    again = ["isthmus", "check", *common.words(), "--seed", str(found.seed)]
    write(file, found, board, again=shlex.join(again), revision=", ".join(filter(None, revision())))
    click.echo(f"report: {file.resolve()}", err=common.json_file == "-")


def show(report: check.Report) -> None:
    from isthmus.check.table import render

    wide_console().print(render(report))
