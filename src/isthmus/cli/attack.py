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
    default=200,
    show_default=True,
    help="Of the control task, for each attack; qemu alone.",
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
    periods: int,
    report: Path | None,
    seed: int | None,
) -> int:
    """Attack the critical side, and show that each defence is what holds.

    Each attack runs with its defence on, where it must be contained, and against a test build or policy
    without it, where it must succeed. A table on standard output, or the JSON document with --json. Exit
    status 1: an attack was not contained, or a control did not succeed.
    """
    from rich.console import Console

    from isthmus import attack
    from isthmus.attack.table import listing, render

    board = common.board()
    if short and only is not None:
        raise click.UsageError("--short: beside --only there is nothing to choose")
    try:
        wanted = attack.SHORT if short else only.split(",") if only is not None else ()
        chosen = attack.select(common.machine, wanted, known=not short)
    except ValueError as problem:
        raise click.UsageError(f"--only: {problem}") from None
    console = Console()  # honours NO_COLOR; colour on a terminal only
    if not console.is_terminal:
        console = Console(width=120)
    if listed:
        console.print(listing(chosen))
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
            periods=periods,
            began=lambda a: began(f"{a.id} {a.name}"),
        )
    if common.json_file != "-":
        console.print(render(found))
    write_document(common, "attack", found.rows, seed=found.seed, seconds=found.seconds)
    if report is not None:
        from isthmus.report.attack import write

        again = ["isthmus", "attack", "--machine", common.machine, "--seed", str(found.seed)]
        again += ["--short"] if short else ["--only", only] if only is not None else []
        again += ["--periods", str(periods)] if periods != 200 else []
        write(report, found, again=shlex.join(again), revision=", ".join(filter(None, revision())))
        click.echo(f"report: {report.resolve()}", err=common.json_file == "-")
    return HELD if found.ok else FELL_SHORT
