# SPDX-License-Identifier: MIT
"""From samples to rows and goals. Pure: what a reader needs to recompute a goal is in the rows.

A row's value is the median of its valid rounds. A goal compares two rows round by round: the median of the
rounds' ratios, with a bootstrap interval. A ratio of medians would mix rounds in which the machine was not
the same. The filter's goals are values, in ns.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Mapping, Sequence
from statistics import median
from typing import Literal

import msgspec

from isthmus.bench.cases import CASES, UNITS, Case

__all__ = ["GOALS", "LESS_IS_BETTER", "Goal", "Row", "Target", "judge", "ratios", "rows_of"]

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
    """What is asked: `over` divided by `under`, or `over` alone, at most or at least `limit`."""

    id: str
    metric: str
    frame_bytes: int
    over: str  # case
    under: str  # case, or several with commas: in each round the best of those that are there; or nothing
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


LESS_IS_BETTER = {"rtt_p50", "rtt_p99", "cpu", "latency_p50", "latency_p99", "latency_p999", "cost"}

_C = [c for c in CASES if c.api == "c" and c.sized and c.peer not in ("bound", "isthmus")]
PEERS = ",".join(c.name for c in _C)
SLEEPERS = ",".join(c.name for c in _C if c.mode == "sleep")
OWN = "ideal.packed"  # the ideal ring of the form that isthmus chose
DPDK = "dpdk-rte_ring"
SHARED = "python.shared_memory"

GOALS: tuple[Target, ...] = (
    Target("rtt.64.bound", "rtt_p50", 64, "isthmus", OWN, "at most", 1.25),
    Target("rtt.64.dpdk", "rtt_p50", 64, "isthmus", DPDK, "at most", 1.0),
    Target("rtt.1500.bound", "rtt_p50", 1500, "isthmus", OWN, "at most", 1.25),
    Target("rtt.1500.dpdk", "rtt_p50", 1500, "isthmus", DPDK, "at most", 1.05),
    Target("throughput.64.bound", "frames", 64, "isthmus", OWN, "at least", 0.8),
    Target("throughput.64.peers", "frames", 64, "isthmus", PEERS, "at least", 2.0),
    Target("throughput.1500.bound", "frames", 1500, "isthmus", OWN, "at least", 0.85),
    Target("throughput.1500.peers", "frames", 1500, "isthmus", PEERS, "at least", 1.1),
    Target("sleep.64.dpdk", "frames", 64, "isthmus.sleep", DPDK, "at least", 0.6),
    Target("sleep.64.cpu", "cpu", 64, "isthmus.sleep", SLEEPERS, "at most", 1.0),
    Target("crc32c.1500.peers", "frames", 1500, "isthmus.crc32c", PEERS, "at least", 1.0),
    Target("lwip.ping", "rtt_p50", 0, "lwip.channel", "tap.echo", "at most", 1.3),
    Target("lwip.to_secure", "to_secure", 0, "lwip.channel", "lwip.tap", "at least", 2.0),
    Target("lwip.to_normal", "to_normal", 0, "lwip.channel", "lwip.tap", "at least", 2.0),
    Target("freertos.ping", "rtt_p50", 0, "freertos.channel", "lwip.channel", "at most", 3.0),
    # A frame that costs a ninth more is a tenth fewer frames.
    Target("defences.checks.64", "cost", 64, "defences.checks", "defences.unchecked", "at most", 10 / 9),
    *(Target(c.name, "cost", 0, c.name, "", "at most", 40.0) for c in CASES if c.loop.startswith("filter")),
    Target("latency.loaded", "latency_p999", 0, "latency.loaded", "latency.idle", "at most", 3.0),
    Target("scale.64", "cpu", 0, "scale.64", "scale.1", "at most", 1.15),
    Target("scale.64.1_busy", "cpu", 0, "scale.64.1_busy", "scale.1", "at most", 1.15),
    Target("python.64.c", "rtt_p50", 64, "python.isthmus", "isthmus", "at most", 2.0),
    Target("python.64.shared_memory", "rtt_p50", 64, "python.isthmus", SHARED, "at most", 0.5),
    Target("python.64.iceoryx2", "rtt_p50", 64, "python.isthmus", "python.iceoryx2", "at most", 0.2),
    Target("python.64.pyzmq", "rtt_p50", 64, "python.isthmus", "python.pyzmq.spin", "at most", 0.2),
    Target("python.64.mp-pipe", "rtt_p50", 64, "python.isthmus", "python.mp-pipe.spin", "at most", 0.2),
    Target("python.batch.shared_memory", "frames", 64, "python.isthmus.batch", SHARED, "at least", 3.0),
    Target("python.batch.pyzmq", "frames", 64, "python.isthmus.batch", "python.pyzmq", "at least", 8.0),
    Target("python.buffers.pyzmq", "frames", 64, "python.isthmus.buffers", "python.pyzmq", "at least", 20.0),
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
    for metric in case.metrics:
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
    """Ratios of the rounds in which both rows are valid, or values of the one row. None where there is
    nothing to compare: a case that was not asked for, or that this machine lacks.
    """

    def find(case: str) -> Row | None:
        wanted = (case, target.metric, target.frame_bytes)
        found = next((r for r in rows if (r.case, r.metric, r.frame_bytes) == wanted), None)
        return None if found is None or found.status == "missing" else found

    over = find(target.over)
    if over is not None and not target.under:
        return [v for v in over.rounds if v is not None] if over.status == "ok" else []
    unders = [r for r in map(find, target.under.split(",")) if r is not None]
    if over is None or not unders:
        return None
    if over.status != "ok":
        return []
    best = min if target.metric in LESS_IS_BETTER else max
    each = zip(*(r.rounds for r in unders if r.status == "ok"), strict=True)
    unders_best = [best((v for v in values if v is not None), default=None) for values in each]
    return [a / b for a, b in zip(over.rounds, unders_best) if a is not None and b is not None]  # noqa: B905 - or empty


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
