# SPDX-License-Identifier: MIT
"""`isthmus attack`: the attack catalogue, each attack with its defence on and off."""

from __future__ import annotations

import random
import shlex
from pathlib import Path

import click

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


@click.command("attack")
@common_options("host", "memory", "qemu")
@click.option("--list", "listed", is_flag=True, help="Show what there is, and run nothing.")
@click.option("--only", metavar="ID,...", help="These attacks only; ids or shell patterns.")
@click.option("--short", is_flag=True, help="One attack of each kind, or two.")
@click.option("--no-controls", is_flag=True, help="Leave out the runs with the defence off.")
@click.option(
    "--periods",
    type=click.IntRange(200, 1_000_000),
    help="Of the control task, for each attack; qemu alone, 200 unless told.",
)
@click.option(
    "--report",
    type=click.Path(path_type=Path, dir_okay=False),
    metavar="FILE",
    callback=reportable,
    help="Write verdicts, counters and plots there, as HTML that needs nothing else.",
)
@click.option("--seed", type=click.IntRange(0, 2**63 - 1), help="Replays an earlier campaign.")
def command(
    common: Common,
    listed: bool,
    only: str | None,
    short: bool,
    no_controls: bool,
    periods: int | None,
    report: Path | None,
    seed: int | None,
) -> int:
    """Attack the critical side, and show that each defence is what holds.

    Each attack runs with its defence on, where it must be contained, and against a test build or policy
    without it, where it must succeed. A table on standard output, or the JSON document with --json. Exit
    status 1: an attack was not contained, or a control did not succeed.
    """
    from isthmus import attack
    from isthmus.attack.table import listing, render

    if common.machine == "memory":
        common.brings_its_own_board()
    board = common.board()
    if listed and (common.json_file is not None or report is not None):
        raise click.UsageError("--list: runs nothing, so there are no results for --json or --report")
    if periods is not None and common.machine != "qemu":
        raise click.UsageError(f"--periods: on --machine {common.machine} each attack has its own length")
    if short and only is not None:
        raise click.UsageError("--short: beside --only there is nothing to choose")
    try:
        wanted = attack.SHORT if short else only.split(",") if only is not None else ()
        chosen = attack.select(common.machine, wanted, known=not short)
    except ValueError as problem:
        raise click.UsageError(f"--only: {problem}") from None
    if listed:
        wide_console().print(listing(chosen))
        return HELD
    seed = random.SystemRandom().getrandbits(32) if seed is None else seed
    with progress("attack", total=len(chosen)) as began:
        found = attack.run(
            common.machine,
            chosen,
            seed=seed,
            board=board,
            world=common.world,
            controls=not no_controls,
            periods=attack.PERIODS if periods is None else periods,
            began=lambda a: began(f"{a.id} {a.name}"),
        )
    if common.json_file != "-":
        wide_console().print(render(found))
    rows = [row.told() for row in found.rows]
    write_document(common, "attack", rows, seed=found.seed, seconds=found.seconds)
    if report is not None:
        from isthmus.report.attack import write

        again = ["isthmus", "attack", *common.words(), "--seed", str(found.seed)]
        again += ["--short"] if short else ["--only", only] if only is not None else []
        again += ["--no-controls"] if no_controls else []
        again += ["--periods", str(periods)] if periods is not None else []
        write(report, found, again=shlex.join(again), revision=", ".join(filter(None, revision())))
        click.echo(f"report: {report.resolve()}", err=common.json_file == "-")
    return HELD if found.ok else FELL_SHORT
