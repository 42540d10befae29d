# SPDX-License-Identifier: MIT
"""What a check saw besides its rows: the control task's periods one by one, what happened beside them, single
round trips. A report draws it; what cannot be read is left out.

All times are seconds of one clock, on the TrustZone machine the Secure world's. A topic or a restart is a
Span; what the Secure world noted by itself, say that the link came up, is a Moment.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, Literal

from isthmus.board import Task
from isthmus.errors import ClosedError, LinkDown

__all__ = ["Evidence", "Moment", "Period", "Span"]

NONE = 2**32 - 1  # RECORD_NONE of worlds/secure/apps/record.h
Lines = Callable[[], Iterable[dict[str, Any]]]


@dataclass(frozen=True, slots=True)
class Moment:
    """Something that happened."""

    at_s: float
    what: str


@dataclass(slots=True)
class Span:
    """Something that took its time."""

    kind: Literal["topic", "restart"]
    what: str
    begin_s: float
    end_s: float


@dataclass(frozen=True, slots=True)
class Period:
    """One period of the control task: how long after its release it began and was done (None: it did not
    begin), and the frames that the Secure world accepted and sent since the period before."""

    release_s: float
    late_us: float | None
    done_us: float | None
    frames_in: int
    frames_out: int


@dataclass
class Evidence:
    """Collected while a check runs. `follow` names where the record of the control task comes from."""

    task: Task | None = None
    late_max_us: float = 0.0  # what the board allows
    periods: list[Period] = field(default_factory=list)  # what was overwritten before it was read is absent
    moments: list[Moment] = field(default_factory=list)
    spans: list[Span] = field(default_factory=list)
    rtt_ns: list[int] = field(default_factory=list)
    arrivals_s: list[float] = field(default_factory=list)  # of raw frames that came back to the Normal world
    written: int = 0  # periods in all, at the last look
    _lines: Lines | None = None

    def follow(self, task: Task, late_max_us: float, lines: Lines) -> None:
        """The machine has come up. `lines`: what the Secure world has noted since the last call, as record.h
        has it."""
        self.task, self.late_max_us, self._lines = task, late_max_us, lines
        self.spans.append(Span("topic", "boot", 0.0, 0.0))

    def topic(self, what: str) -> None:
        """Another topic of the check begins."""
        now = self.look()
        if now is not None:
            self._end_topic(now)
            self.spans.append(Span("topic", what, now, now))

    @contextmanager
    def restart(self, what: str) -> Iterator[None]:
        """The block restarts something: say what happens, in a word or two."""
        begin = self.look()
        yield
        end = self.look()
        if begin is not None and end is not None:
            self.spans.append(Span("restart", what, begin, end))

    def close(self) -> None:
        """The last topic is over, and with it the record."""
        now = self.look()
        if now is not None:
            self._end_topic(now)
        self._lines = None

    def look(self) -> float | None:
        """Takes over what was noted; the time now, or None where there is no record."""
        now = None
        try:
            for line in self._lines() if self._lines is not None else ():
                now = self._add(line)
        except (ClosedError, LinkDown, TimeoutError):
            return None
        return now

    def _end_topic(self, now: float) -> None:
        for span in reversed(self.spans):
            if span.kind == "topic":
                span.end_s = now
                return

    def _add(self, line: dict[str, Any]) -> float:
        assert self.task is not None
        born, period = line["born_ns"] / 1e9, self.task.period_us / 1e6
        numbers = iter(line["periods"])
        four = zip(numbers, numbers, numbers, numbers, strict=True)
        for n, (late, done, came, went) in enumerate(four, line["first"]):
            began = late != NONE
            self.periods.append(
                Period(
                    release_s=born + n * period,
                    late_us=late / 1e3 if began else None,
                    done_us=done / 1e3 if began else None,
                    frames_in=came,
                    frames_out=went,
                )
            )
        self.written = line["written"]
        self.moments += [Moment(at / 1e9, what) for at, what in line["events"]]
        return float(line["now_ns"] / 1e9)
