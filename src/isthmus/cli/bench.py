# SPDX-License-Identifier: MIT
"""`isthmus bench`: what a frame costs, beside the bound and the peers."""

from __future__ import annotations

import json
import random
import subprocess
import sys
from importlib.metadata import version
from pathlib import Path
from typing import Literal

import click
import msgspec
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn

from isthmus.bench import FULL_ROUNDS, QUICK_ROUNDS, Document, Options, jobs_of, run
from isthmus.bench.cases import CASES, Case, select
from isthmus.bench.rounds import Job

__all__ = ["command"]


def cases(context: click.Context, parameter: click.Parameter, value: str | None) -> tuple[Case, ...]:
    if value is None:
        return CASES
    try:
        return select(value)
    except ValueError as error:
        raise click.BadParameter(str(error), context, parameter) from None


def commit() -> str | None:
    """The checkout's commit; None in an installed package."""
    here = Path(__file__).resolve().parents[3]
    if not (here / ".git").exists():
        return None
    done = subprocess.run(
        ["git", "-C", str(here), "rev-parse", "HEAD"], capture_output=True, text=True, check=False
    )
    return done.stdout.strip() or None


class Teller:
    """Progress on standard error: a bar on a terminal, one line per round elsewhere. It is redrawn between
    two runs and never during one, so it takes no time from them.
    """

    def __init__(self, jobs: int, rounds: int, verbose: bool) -> None:
        self.jobs, self.rounds, self.verbose = jobs, rounds, verbose
        self.console = Console(stderr=True)
        self.bar = Progress(
            TextColumn("{task.description}"),
            BarColumn(),
            MofNCompleteColumn(),
            console=self.console,
            auto_refresh=False,
            transient=True,
            disable=not self.console.is_terminal,
        )
        self.task = self.bar.add_task("", total=jobs * rounds)

    def __call__(self, number: int, job: Job) -> None:
        if self.console.is_terminal:
            self.bar.update(
                self.task, completed=number, description=f"{job.case.name} {job.frame or ''}", refresh=True
            )
        elif self.verbose:
            click.echo(f"{number + 1}: {job.case.name} {job.frame or ''}", err=True)
        elif number % self.jobs == 0:
            click.echo(f"round {number // self.jobs + 1} of at most {self.rounds}", err=True)


@click.command("bench")
@click.option(
    "--machine",
    type=click.Choice(["host", "memory"]),
    default="host",
    show_default=True,
    help="host: two processes; memory: two threads of one process.",
)
@click.option("--quick", is_flag=True, help="At most 120 seconds.")
@click.option(
    "--only", "chosen", callback=cases, metavar="CASE,...", help="These cases only; names or shell patterns."
)
@click.option("--rounds", type=click.IntRange(1, 1000), help="How many rounds at most.")
@click.option("--seed", type=click.IntRange(0, 2**63 - 1), help="Replays the order of an earlier run.")
@click.option(
    "--json",
    "json_file",
    type=click.Path(path_type=Path, dir_okay=False, allow_dash=True),
    metavar="FILE",
    help="Write the document there; - is standard output.",
)
@click.option("-v", "--verbose", is_flag=True, help="Name every run.")
def command(
    machine: Literal["host", "memory"],
    quick: bool,
    chosen: tuple[Case, ...],
    rounds: int | None,
    seed: int | None,
    json_file: Path | None,
    verbose: bool,
) -> None:
    """Measure what a frame costs: round trips, throughput, processor time.

    Each case moves frames between two processes pinned to two cores; every frame is copied in and out and its
    sequence checked. Rounds are interleaved in random order, and disturbed runs are repeated. Exit status 1:
    a goal was not met.
    """
    options = Options(
        machine=machine,
        cases=chosen,
        quick=quick,
        rounds=rounds,
        seed=random.SystemRandom().getrandbits(32) if seed is None else seed,
    )
    teller = Teller(len(jobs_of(options)), rounds or (QUICK_ROUNDS if quick else FULL_ROUNDS), verbose)
    click.echo(f"seed {options.seed}", err=True)
    with teller.bar:
        document = run(options, version=version("isthmus"), commit=commit(), began=teller)
    deliver(document, json_file)
    sys.exit(0 if all(goal.ok for goal in document.goals) else 1)


def deliver(document: Document, json_file: Path | None) -> None:
    from isthmus.bench.table import render

    if json_file is not None:
        text = json.dumps(msgspec.to_builtins(document), indent=1) + "\n"
        if str(json_file) == "-":
            click.echo(text, nl=False)
            return
        json_file.write_text(text)
    Console().print(render(document))
