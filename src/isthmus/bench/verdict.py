# SPDX-License-Identifier: MIT
"""From samples to rows and goals. Pure: what a reader needs to recompute a goal is in the rows.

A row's value is the median of its valid rounds. A goal compares two rows round by round: the median of the
rounds' ratios, with a bootstrap interval. A ratio of medians would mix rounds in which the machine was not
the same.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Mapping, Sequence
from statistics import median
from typing import Literal

import msgspec

from isthmus.bench.cases import METRICS, UNITS, Case

__all__ = ["GOALS", "Goal", "Row", "Target", "judge", "ratios", "rows_of"]

RESAMPLES = 2000
CONFIDENCE = 0.95


class Row(msgspec.Struct, frozen=True):
    """One metric of one case at one frame size. `rounds` holds null where a round was invalid."""

    case: str
    peer: str
    api: str
    mode: str
    metric: str
    frame_bytes: int
    unit: str
    value: float | None
    rounds: list[float | None]
    checks: bool
    tag: str
    batch: int
    slots: int | None
    status: Literal["ok", "missing", "invalid"]
    reason: str = ""


class Target(msgspec.Struct, frozen=True):
    """What is asked: `over` divided by `under`, at most or at least `limit`."""

    id: str
    metric: str
    frame_bytes: int
    over: str  # case
    under: str  # case
    sense: Literal["at most", "at least"]
    limit: float


class Goal(msgspec.Struct, frozen=True):
    """What was found. `low` and `high` bound the median ratio with 95 % confidence."""

    id: str
    metric: str
    frame_bytes: int
    over: str
    under: str
    sense: Literal["at most", "at least"]
    limit: float
    measured: float | None
    low: float | None
    high: float | None
    rounds: int  # in which both rows are valid
    ok: bool


GOALS: tuple[Target, ...] = (
    Target("rtt.64", "rtt_p50", 64, "isthmus", "ideal.packed", "at most", 1.5),
    Target("rtt.1500", "rtt_p50", 1500, "isthmus", "ideal.packed", "at most", 1.5),
    Target("throughput.64", "frames", 64, "isthmus", "ideal.packed", "at least", 0.5),
    Target("throughput.1500", "frames", 1500, "isthmus", "ideal.packed", "at least", 0.5),
)


def rows_of(
    case: Case, frame: int, rounds: Sequence[Mapping[str, float] | None], missing: str = "", why: str = ""
) -> list[Row]:
    """The rows of one case at one size (0 for a case without frames).

    `missing` says why it could not run at all, `why` why its last invalid round was invalid.
    """
    valid = sum(r is not None for r in rounds)
    status: Literal["ok", "missing", "invalid"] = "ok"
    reason = ""
    if missing:
        status, reason = "missing", missing
    elif valid * 2 < len(rounds) or not valid:
        status, reason = "invalid", f"{len(rounds) - valid} of {len(rounds)} rounds invalid: {why}"
    rows = []
    for metric in METRICS if case.sized else ("rtt_p50", "rtt_p99"):
        values = [None if r is None else r[metric] for r in rounds]
        good = [v for v in values if v is not None]
        rows.append(
            Row(
                case=case.name,
                peer=case.peer,
                api=case.api,
                mode=case.mode,
                metric=metric,
                frame_bytes=frame,
                unit=UNITS[metric],
                value=median(good) if status == "ok" else None,
                rounds=values,
                checks=case.checks,
                tag=case.tag,
                batch=case.batch,
                slots=case.slots(frame),
                status=status,
                reason=reason,
            )
        )
    return rows


def ratios(rows: Sequence[Row], target: Target) -> list[float] | None:
    """Ratios of the rounds in which both rows are valid; None where a row is not among `rows`."""

    def find(case: str) -> Row | None:
        wanted = (case, target.metric, target.frame_bytes)
        return next((r for r in rows if (r.case, r.metric, r.frame_bytes) == wanted), None)

    over, under = find(target.over), find(target.under)
    if over is None or under is None:
        return None
    if over.status != "ok" or under.status != "ok":
        return []
    return [a / b for a, b in zip(over.rounds, under.rounds, strict=True) if a is not None and b is not None]


def interval(values: Sequence[float], rng: random.Random) -> tuple[float, float]:
    """Percentile bootstrap of the median."""
    medians = sorted(median(rng.choices(values, k=len(values))) for _ in range(RESAMPLES))
    cut = (1.0 - CONFIDENCE) / 2.0
    return medians[int(cut * RESAMPLES)], medians[int((1.0 - cut) * RESAMPLES) - 1]


def judge(rows: Sequence[Row], rng: random.Random, targets: Sequence[Target] = GOALS) -> list[Goal]:
    """The goals whose two cases were both measured; one without a valid round has not been reached."""
    compare: dict[str, Callable[[float, float], bool]] = {
        "at most": lambda measured, limit: measured <= limit,
        "at least": lambda measured, limit: measured >= limit,
    }
    goals = []
    for target in targets:
        found = ratios(rows, target)
        if found is None:
            continue
        measured = median(found) if found else None
        low, high = interval(found, rng) if found else (None, None)
        goals.append(
            Goal(
                **msgspec.structs.asdict(target),
                measured=measured,
                low=low,
                high=high,
                rounds=len(found),
                ok=measured is not None and compare[target.sense](measured, target.limit),
            )
        )
    return goals
