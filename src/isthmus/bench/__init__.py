# SPDX-License-Identifier: MIT
"""What a frame costs: the channel beside the bound of the machine and what people use instead.

Every number comes from interleaved rounds of one run on one machine; only their ratios travel. `run` does it
all.
"""

from __future__ import annotations

import random
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import msgspec

from isthmus.bench.cases import CASES, FRAMES, QUICK, Case
from isthmus.bench.machine import describe, pick_processors, watch
from isthmus.bench.program import case_runner
from isthmus.bench.rounds import Job, Plan, Sample, Series, measure
from isthmus.bench.runner import Durations, Runner
from isthmus.bench.verdict import Goal, Row, judge, rows_of

__all__ = ["Goal", "Machine", "Options", "Result", "Row", "jobs_of", "result_of", "run"]

QUICK_ROUNDS, FULL_ROUNDS = 9, 15
# --quick promises 120 in all: no round begins that would end later than the first of these, and nothing is
# repeated then; no run begins later than the second.
QUICK_SECONDS, QUICK_LATEST = 80.0, 100.0
FULL = Durations(warm=100_000, rtt=200_000, rewarm=50_000, flood=200_000)


class Result(msgspec.Struct, frozen=True, kw_only=True):
    """What `isthmus bench --json` prints, beside what every command's document says."""

    machine: str
    seed: int
    rounds: int
    seconds: float
    processors: tuple[int, int]
    processor: str
    kernel: str
    architecture: str
    rows: list[Row]
    goals: list[Goal]
    topology: str = "not recorded"
    governor: str = "not recorded"
    hypervisor: str = "not recorded"
    stolen: float = 0.0  # of both processors' time, by the hypervisor, over the whole run
    repeated: int = 0  # runs that something disturbed, and that were made again


Machine = Literal["host", "memory"]


@dataclass(frozen=True, slots=True)
class Options:
    """`machine` memory: both ends in one process, over plain memory; only the bound and the channel run
    there.
    """

    machine: Machine = "host"
    cases: tuple[Case, ...] = CASES
    frames: tuple[int, ...] = FRAMES  # bytes
    quick: bool = False
    rounds: int | None = None  # None: as many as quick or full asks for
    durations: Durations | None = None
    seed: int = 0
    world: Path | None = None  # a Secure world built elsewhere, for the cases that are `given`

    @property
    def most_rounds(self) -> int:
        return self.rounds or (QUICK_ROUNDS if self.quick else FULL_ROUNDS)


def jobs_of(options: Options) -> list[Job]:
    chosen = QUICK if options.quick and options.cases is CASES else options.cases
    cases = [c for c in chosen if options.machine == "host" or c.threads]
    return [Job(c, frame) for c in cases for frame in (options.frames if c.sized else (0,))]


def result_of(
    options: Options,
    series: dict[Job, Series],
    *,
    seconds: float,
    processors: tuple[int, int],
    stolen: float = 0.0,
) -> Result:
    rows = [
        row for job, s in series.items() for row in rows_of(job.case, job.frame, s.rounds, s.missing, s.why)
    ]
    return Result(
        machine=options.machine,
        seed=options.seed,
        rounds=max((len(s.rounds) for s in series.values()), default=0),
        seconds=round(seconds, 3),
        processors=processors,
        stolen=round(stolen, 5),
        repeated=sum(s.repeated for s in series.values()),
        rows=rows,
        goals=judge(rows, random.Random(options.seed)),
        **describe(),
    )


def run(
    options: Options,
    *,
    began: Callable[[int, Job], None] = lambda number, job: None,
    program: Path | None = None,
    sample: Callable[[Job], Sample] | None = None,
) -> Result:
    """Measures. `began` hears of each job before it runs, and nothing while it does.

    `program` and `sample` replace the C runner and the way one job is run; tests use them.
    Raises EnvironmentProblem on a machine with one core or without a compiler.
    """
    start = time.monotonic()
    processors = pick_processors()
    jobs = jobs_of(options)
    durations = options.durations or (Durations() if options.quick else FULL)
    plan = Plan(
        rounds=options.most_rounds,
        deadline=start + QUICK_SECONDS if options.quick else None,
        latest=start + QUICK_LATEST if options.quick else None,
    )
    count = 0
    taken = watch(processors)

    def count_and_tell(job: Job) -> None:
        nonlocal count
        began(count, job)
        count += 1

    runner = None
    if sample is None:
        sample = runner = Runner(
            program or case_runner(),
            processors,
            durations,
            options.seed,
            threads=options.machine == "memory",
            world=options.world,
        )
    try:
        series = measure(jobs, plan, random.Random(options.seed), sample, time.monotonic, count_and_tell)
    finally:
        if runner is not None:
            runner.close()
    seconds = time.monotonic() - start
    return result_of(
        options,
        series,
        seconds=seconds,
        processors=processors,
        stolen=taken().stolen / (seconds * len(processors)),
    )
