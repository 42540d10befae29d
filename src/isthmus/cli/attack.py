# SPDX-License-Identifier: MIT
"""`isthmus attack`: the attack catalogue, each attack with its defence on and off."""

from __future__ import annotations

import random

import click

from isthmus.cli.common import FELL_SHORT, HELD, Common, common_options, progress, write_document

__all__ = ["command"]


@click.command("attack")
@common_options("host", "memory", "qemu")
@click.option("--list", "listed", is_flag=True, help="Show what there is, and run nothing.")
@click.option("--only", metavar="ID,...", help="These attacks only; ids or shell patterns.")
@click.option("--no-controls", is_flag=True, help="Leave out the runs with the defence off.")
@click.option("--seed", type=click.IntRange(0, 2**63 - 1), help="Replays an earlier campaign.")
def command(common: Common, listed: bool, only: str | None, no_controls: bool, seed: int | None) -> int:
    """Attack the critical side, and show that each defence is what holds.

    Each attack runs with its defence on, where it must be contained, and against a test build or policy
    without it, where it must succeed. A table on standard output, or the JSON document with --json. Exit
    status 1: an attack was not contained, or a control did not succeed.
    """
    from rich.console import Console

    from isthmus import attack
    from isthmus.attack.table import listing, render

    board = common.board()
    try:
        chosen = attack.select(common.machine, only.split(",") if only is not None else ())
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
        report = attack.run(
            common.machine,
            chosen,
            seed=seed,
            board=board,
            world=common.world,
            controls=not no_controls,
            began=lambda a: began(f"{a.id} {a.name}"),
        )
    if common.json_file != "-":
        console.print(render(report))
    write_document(common, "attack", report.rows, seed=report.seed, seconds=report.seconds)
    return HELD if report.ok else FELL_SHORT
