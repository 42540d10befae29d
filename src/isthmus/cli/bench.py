# SPDX-License-Identifier: MIT
"""`isthmus bench`: what a frame costs, beside the bound and the peers."""

from __future__ import annotations

import random
import sys
from pathlib import Path
from typing import cast

import click
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from isthmus.bench import Machine, Options, jobs_of, run
from isthmus.bench.cases import CASES, GIVEN, Case, select
from isthmus.bench.rounds import Job
from isthmus.cli.common import (
    FELL_SHORT,
    HELD,
    Common,
    common_options,
    progress,
    say,
    wide_console,
    writable,
    write_document,
)
from isthmus.trustzone.board import TrustZone

__all__ = ["command"]


def cases(context: click.Context, parameter: click.Parameter, value: str | None) -> tuple[Case, ...]:
    if value is None:
        return CASES
    try:
        return select(value)
    except ValueError as error:
        raise click.UsageError(f"--only: {error}", context) from None


def documentable(context: click.Context, parameter: click.Parameter, value: Path | None) -> Path | None:
    """Finds out before any work whether the page can be written."""
    if value is not None:
        from isthmus.bench.document import require

        writable(context, "--document", value)
        require(value)
    return value


class Teller:
    """Progress on standard error: the seed, then a bar on a terminal, one line per round elsewhere. Nothing
    before the first run: until then one line may have to say why there is none.

    The bar is redrawn between two runs and never during one: whoever looks at the clock ten times a second
    takes time from what is being measured.
    """

    def __init__(self, jobs: int, rounds: int, seed: int, verbose: bool) -> None:
        self.jobs, self.rounds, self.seed, self.verbose = jobs, rounds, seed, verbose
        self.console = Console(stderr=True)
        self.bar = Progress(
            TextColumn("{task.description}"),
            BarColumn(),
            MofNCompleteColumn(),
            TimeElapsedColumn(),
            console=self.console,
            auto_refresh=False,
            transient=True,
            disable=not self.console.is_terminal,
        )
        self.task = self.bar.add_task("bench", total=jobs * rounds)

    def __call__(self, number: int, job: Job) -> None:
        name = f"{job.case.name} {job.frame or ''}".rstrip()
        if number == 0:
            self.console.print(f"bench: seed {self.seed}", highlight=False)
        if self.console.is_terminal:
            self.bar.update(self.task, completed=number, description=f"bench: {name}", refresh=True)
        elif self.verbose:
            say(f"bench: {name}")
        elif number % self.jobs == 0:
            say(f"bench: round {number // self.jobs + 1} of at most {self.rounds}")


@click.command("bench")
@common_options("host", "memory", "qemu")
@click.option(
    "--quick",
    is_flag=True,
    help="At most 120 seconds: shorter rounds, as many as fit. What it says of a goal is a first impression.",
)
@click.option(
    "--only", "chosen", callback=cases, metavar="CASE,...", help="These cases only; names or shell patterns."
)
@click.option("--rounds", type=click.IntRange(1, 1000), help="How many rounds at most.")
@click.option("--seed", type=click.IntRange(0, 2**63 - 1), help="Replays the order of an earlier run.")
@click.option(
    "--record", is_flag=True, help="Keep the counts (qemu): what later runs of the tests compare with."
)
@click.option(
    "--document",
    type=click.Path(path_type=Path, dir_okay=False),
    callback=documentable,
    metavar="FILE",
    help="Replace the generated part of this page, its record and its chart (docs/PERFORMANCE.md).",
)
@click.option(
    "--from",
    "source",
    type=click.Path(path_type=Path, dir_okay=False),
    metavar="FILE",
    help="Measure nothing: the JSON document of an earlier run says it all. Only with --document.",
)
def command(
    common: Common,
    quick: bool,
    chosen: tuple[Case, ...],
    rounds: int | None,
    seed: int | None,
    record: bool,
    document: Path | None,
    source: Path | None,
) -> int:
    """Measure what a frame costs: round trips, throughput, processor time.

    Each case moves frames between two processes pinned to two cores (--machine memory: two threads of one
    process); every frame is copied in and out and its sequence checked. Rounds are interleaved in random
    order, and disturbed runs are repeated. With --stack freertos Linux's IP stack to FreeRTOS+TCP is measured
    beside the same to lwIP, and nothing else unless --only asks for it. --machine qemu counts executed
    instructions instead, per world, in one run that is the same each time; --only, --rounds, --seed and
    --quick are not for it. Exit status 1: a goal was not met.
    """
    if source is not None:
        if document is None:
            raise click.UsageError("--from: needs --document")
        return redraw(document, source)
    if document is not None and common.machine != "host":
        raise click.UsageError("--document is for --machine host")
    if common.machine == "qemu":
        if chosen is not CASES or rounds is not None or seed is not None or quick:
            what = "--only, --rounds, --seed and --quick are not for --machine qemu: it counts once"
            raise click.UsageError(what)
        if record and (common.changes or common.world is not None):
            raise click.UsageError(
                "--record is for our own world and the board as its file has it: leave out --set and --stack"
            )
        return count(common, record)
    common.brings_its_own_board()
    if record:
        raise click.UsageError("--record is for --machine qemu: only counts are the same in each run")
    if common.world is not None and chosen is CASES:
        chosen = (*(c for c in CASES if c.stack), *GIVEN)  # the others know of no IP stack
    if common.world is None and (wanted := [c.name for c in chosen if c.given]):
        raise click.UsageError(f"--only: {wanted[0]} wants --stack freertos")
    options = Options(
        machine=cast(Machine, common.machine),
        cases=chosen,
        world=common.world,
        quick=quick,
        rounds=rounds,
        seed=random.SystemRandom().getrandbits(32) if seed is None else seed,
    )
    if not jobs_of(options):
        raise click.UsageError(f"--only: none of these cases runs on --machine {common.machine}")
    teller = Teller(len(jobs_of(options)), options.most_rounds, options.seed, common.verbose)
    try:
        with teller.bar:
            result = run(options, began=teller)
    except KeyboardInterrupt:
        say("bench: interrupted")
        raise
    fields = {f: getattr(result, f) for f in result.__struct_fields__ if f not in ("machine", "rows")}
    text = write_document(common, "bench", result.rows, **fields)
    if common.json_file != "-":
        from isthmus.bench.table import render

        wide_console().print(render(result))
    if quick:
        say(
            "bench: a first impression, in shorter rounds: whether a goal holds is for the whole bench on an "
            "idle machine to say"
        )
    if document is not None and not keep(document, text):
        return FELL_SHORT
    return HELD if all(goal.ok for goal in result.goals) else FELL_SHORT


def keep(page: Path, text: bytes) -> bool:
    """Makes the page's generated part of a run, if the run is worth it."""
    from isthmus.bench import document

    found = document.decode(text, "this run")
    if objection := document.objection(found.rows):
        say(f"bench: {page} stays as it was: {objection}")
        return False
    document.write(page, found)
    say(f"bench: {page}, {document.record_of(page).name} and {document.chart_of(page).name} are of this run")
    return True


def redraw(page: Path, source: Path) -> int:
    from isthmus.bench import document

    document.write(page, document.read(source))
    return HELD


def count(common: Common, keep: bool) -> int:
    from isthmus.bench import instructions, record

    board = cast(TrustZone, common.board())
    with progress("bench", total=3) as began:

        def tell(step: str) -> None:
            if step != "building" or sys.stderr.isatty():  # until then one line may have to say why not
                began(step)

        result = instructions.run(board, tell, common.world)
    if keep:
        file = record.file_of(board)
        for line in record.keep(record.inputs_of(board), result.rows, file):
            say(f"bench: {line}")
        say(f"bench: recorded in {file}")
    fields = {f: getattr(result, f) for f in result.__struct_fields__ if f != "rows"}
    write_document(common, "bench", result.rows, **fields)
    if common.json_file != "-":
        from isthmus.bench.table import render_counts

        wide_console().print(render_counts(result))
    return HELD if all(goal.ok for goal in result.goals) else FELL_SHORT
