# SPDX-License-Identifier: MIT
"""The order of things: interleaved rounds in random order, and which runs count.

A run that was disturbed is repeated at once, a few times; if the disturbance stays, the round is invalid for
this case. Nothing here measures or looks at a clock by itself.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from statistics import median

from isthmus.bench.cases import Case

__all__ = ["Broken", "Job", "Missing", "Plan", "Sample", "Series", "Yardstick", "measure"]

REPEATS = 2  # of a disturbed run, in the same round
BREAKS = 3  # of a case, after which it is left alone


class Missing(Exception):
    """This machine lacks what the case needs; the message says what."""


class Broken(Exception):
    """The case ran and went wrong: a frame lost or reordered, an end that died, no progress."""


@dataclass(frozen=True, slots=True)
class Sample:
    """One run's metrics, its own ping-pong (median, us), and what disturbed it; empty = it counts."""

    values: dict[str, float]
    pingpong_us: float
    disturbed: str = ""


@dataclass(frozen=True, slots=True)
class Job:
    """A case at one frame size; 0 bytes for a case without frames."""

    case: Case
    frame: int


@dataclass(slots=True)
class Series:
    """What the rounds brought for one job: one entry per round, None where the round is invalid."""

    rounds: list[dict[str, float] | None] = field(default_factory=list)
    missing: str = ""
    why: str = ""
    broken: int = 0
    repeated: int = 0


@dataclass(frozen=True, slots=True)
class Plan:
    rounds: int
    deadline: float | None  # on the caller's clock: no new round that would probably end later, no repeats
    latest: float | None = None  # no run begins later: on a busy machine the first round has holes instead


class Yardstick:
    """The cache-line ping-pong between the two processors, measured in every run: a run in which it is far
    from what it usually is ran on another machine, so to speak (the hypervisor moved a processor, the clock
    changed).
    """

    ENOUGH = 5
    FACTOR = 1.5

    def __init__(self) -> None:
        self.seen: list[float] = []

    def objection(self, pingpong_us: float) -> str:
        """Why a run with this ping-pong does not count, or nothing."""
        self.seen.append(pingpong_us)
        usual = median(self.seen)
        if len(self.seen) >= self.ENOUGH and not usual / self.FACTOR <= pingpong_us <= usual * self.FACTOR:
            return f"cache-line ping-pong {pingpong_us:.2f} us where {usual:.2f} us is usual"
        return ""


def one_round(
    series: dict[Job, Series],
    rng: random.Random,
    run: Callable[[Job], Sample],
    may_repeat: Callable[[], bool],
    may_begin: Callable[[], bool],
    yardstick: Yardstick,
    began: Callable[[Job], None],
) -> None:
    jobs = list(series)
    rng.shuffle(jobs)
    for job in jobs:
        s = series[job]
        s.rounds.append(None)
        if not may_begin():
            s.why = s.why or "no time was left"
            continue
        began(job)
        if s.missing or s.broken >= BREAKS:
            continue
        for attempt in range(1 + REPEATS):
            if attempt and not may_repeat():
                break
            s.repeated += attempt > 0
            try:
                sample = run(job)
            except Missing as error:
                s.missing = str(error)
                break
            except Broken as error:
                s.broken += 1
                s.why = str(error)
                break
            objection = yardstick.objection(sample.pingpong_us) or sample.disturbed
            if not objection:
                s.rounds[-1] = sample.values
                break
            s.why = objection


def measure(
    jobs: Sequence[Job],
    plan: Plan,
    rng: random.Random,
    run: Callable[[Job], Sample],
    clock: Callable[[], float],
    began: Callable[[Job], None] = lambda job: None,
) -> dict[Job, Series]:
    """Runs every job once per round, in an order of the round's own. At least one round, at most
    `plan.rounds`.
    """
    series = {job: Series() for job in jobs}
    yardstick = Yardstick()
    longest = 0.0

    def may_repeat() -> bool:
        return plan.deadline is None or clock() < plan.deadline

    def may_begin() -> bool:
        return plan.latest is None or clock() < plan.latest

    for number in range(plan.rounds):
        start = clock()
        if number and plan.deadline is not None and start + longest > plan.deadline:
            break
        one_round(series, rng, run, may_repeat, may_begin, yardstick, began)
        longest = max(longest, clock() - start)
    return series
