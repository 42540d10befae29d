# SPDX-License-Identifier: MIT
"""The critical task's account over a whole run, through every restart of the Secure world."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

from isthmus.check.rows import Row, missing, row
from isthmus.errors import LinkDown
from isthmus.host import HostMachine

__all__ = ["Account", "missed_row"]

LATE_FACTOR = 10  # on the bare timer's 99th percentile, and as many periods
RUN_SHARE_MIN = 0.25  # of the periods; the others were kept from the task by the platform
CLOCK_TOLERANCE = 0.02  # between the periods that passed and the time that passed
IDS = tuple(f"critical.{name}" for name in ("missed", "late_kernel", "periods", "first_period"))
CLOCK_SLACK_PERIODS = 20  # how far apart a report and its time stamp may lie, beside what it took to come


def three(lateness: dict[str, int]) -> str:
    return ", ".join(f"{lateness[name]:,}" for name in ("p50", "p99", "max"))


def missed_row(reports: Sequence[dict[str, Any]]) -> Row:
    """Of every task, over the last reports of all lives. A failure names the tasks that missed."""
    missed = Counter[str]()
    worst: dict[str, dict[str, Any]] = {}
    for task in (task for report in reports for task in report["tasks"]):
        name = task["name"]
        missed[name] += task["missed"]
        response = max(task["response_us_max"], worst.get(name, {}).get("response_us_max", 0))
        worst[name] = {**task, "response_us_max": response}
    told = []
    for name, t in worst.items():
        late = f", {missed[name]} missed" if missed[name] else ""
        told.append(f"{name} {t['response_us_max']:,} of {t['deadline_us']:,} us{late}")
    total = missed.total()
    return row("critical.missed", total == 0 and bool(worst), total, f"at worst {'; '.join(told)}")


@dataclass
class Life:
    """One process of the Secure world: its first and last report, each with its time."""

    pid: int
    first_s: float
    first: dict[str, Any]
    last_s: float
    last: dict[str, Any]
    first_blur_s: float = 0.0  # by which that time may be wrong: a report takes a moment to come
    last_blur_s: float = 0.0

    def moved(self, name: str) -> int:
        return int(self.last[name] - self.first[name])


@dataclass
class Account:
    """Collects the critical task's reports. Of a life that was ended, its last report counts."""

    lives: list[Life] = field(default_factory=list)
    trouble: str = ""

    def look(self, machine: HostMachine) -> None:
        """Takes a report. Call it at the start, before and after each kill of the Secure world, and at
        the end.
        """
        before = time.monotonic()
        try:
            pid = machine.pid("secure")
            report = machine.status("secure")["critical"]
        except LinkDown as problem:
            self.trouble = str(problem)
            return
        after = time.monotonic()
        now, blur = (before + after) / 2, (after - before) / 2
        life = self.lives[-1] if self.lives else None
        if life is None or life.pid != pid:
            self.lives.append(Life(pid, now, report, now, report, blur, blur))
        else:
            life.last_s, life.last, life.last_blur_s = now, report, blur

    def rows(self) -> Iterator[Row]:
        if not self.lives or self.trouble:
            for ident in IDS:
                yield missing(ident, self.trouble or "no report")
            return
        yield self.missed()
        yield self.late_kernel()
        yield self.periods()
        yield self.first_period()

    def missed(self) -> Row:
        return missed_row([life.last for life in self.lives])

    def late_kernel(self) -> Row:
        """Judged beside the bare timer, in the longest life. The machine may do other work, so the margin
        is wide: outside it the kernel treats the task worse than anybody who sleeps.
        """
        report = max(self.lives, key=lambda life: life.moved("periods")).last
        task, bare = report["late_kernel_us"], report["bare_timer_us"]
        if not bare["max"]:
            return missing("critical.late_kernel", "no bare timer was measured beside it")
        margin = LATE_FACTOR * report["period_us"]
        ok = (
            task["p50"] <= bare["p50"] + report["period_us"]
            and task["p99"] <= LATE_FACTOR * bare["p99"] + margin
        )
        detail = f"p50, p99, max: {three(task)}; a bare timer beside it: {three(bare)}"
        return row("critical.late_kernel", ok, task["p50"], detail)

    def first_period(self) -> Row:
        """The work is done before the world serves anybody; how soon, the kernel decides."""
        took = max(life.last["first_period_us"] for life in self.lives)
        detail = f"worst of {len(self.lives)} starts of the Secure world"
        return row("critical.first_period", took > 0, took, detail)

    def periods(self) -> Row:
        """No period may be missing from the account, and most must have been run."""
        passed = sum(life.moved("periods") for life in self.lives)
        skipped = sum(life.moved("skipped") for life in self.lives)
        due = sum((life.last_s - life.first_s) * 1e6 / life.first["period_us"] for life in self.lives)
        slack = CLOCK_TOLERANCE * due + CLOCK_SLACK_PERIODS * len(self.lives)
        slack += sum(
            (life.first_blur_s + life.last_blur_s) * 1e6 / life.first["period_us"] for life in self.lives
        )
        whole = abs(passed - due) <= slack
        ok = whole and passed > 0 and passed - skipped >= RUN_SHARE_MIN * due
        detail = f"{due:,.0f} by the clock; {skipped:,} of them kept from the task by the kernel"
        return row("critical.periods", ok, passed, detail)
