# SPDX-License-Identifier: MIT
"""A result as tables for people."""

from __future__ import annotations

from collections.abc import Iterator

from rich.box import SIMPLE
from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from isthmus.bench import Result, Row
from isthmus.bench.instructions import CountResult
from isthmus.bench.verdict import Goal

__all__ = ["render", "render_counts"]

COLUMNS = (  # heading, metric, factor to the shown unit, digits
    ("RTT p50\nus", "rtt_p50", 1.0, 2),
    ("p99\nus", "rtt_p99", 1.0, 2),
    ("frames\n1e6/s", "frames", 1e-6, 2),
    ("\nGbit/s", "bits", 1e-9, 2),
    ("CPU s /\n1e6 fr.", "cpu", 1.0, 3),
    ("cost\nns", "cost", 1.0, 1),
)


def grouped(rows: list[Row]) -> Iterator[dict[str, Row]]:
    """The metrics of each case and size, sizes apart, in the result's order."""
    for frame in sorted({r.frame_bytes for r in rows}):
        groups: dict[str, dict[str, Row]] = {}
        for row in rows:
            if row.frame_bytes == frame:
                groups.setdefault(row.case, {})[row.metric] = row
        yield from groups.values()


def measured(rows: list[Row]) -> Table:
    table = Table(box=SIMPLE, header_style="bold", pad_edge=False)
    table.add_column("case", no_wrap=True)
    table.add_column("bytes", justify="right")
    for heading, *_ in COLUMNS:
        table.add_column(heading, justify="right", no_wrap=True)
    size = None
    for group in grouped(rows):
        first = next(iter(group.values()))
        if size not in (None, first.frame_bytes):
            table.add_section()
        size = first.frame_bytes
        cells: list[RenderableType] = []
        for _, metric, factor, digits in COLUMNS:
            row = group.get(metric)
            cells.append("" if row is None or row.value is None else f"{row.value * factor:,.{digits}f}")
        if first.status != "ok":
            cells[0] = Text(first.status, style="yellow")
        table.add_row(Text(first.case), str(size) if size else "", *cells)
    return table


def reasons(rows: list[Row]) -> list[RenderableType]:
    """Why values are not there, once per case."""
    found = {r.case: f"{r.status}: {r.reason}" for r in rows if r.status != "ok"}
    return [Text(f"{case}  {text}", style="yellow") for case, text in found.items()]


def judged(goals: list[Goal]) -> Table:
    table = Table(box=SIMPLE, header_style="bold", pad_edge=False)
    for heading in ("goal", "median", "95 %", "limit", "rounds", ""):
        table.add_column(heading, no_wrap=True)
    for g in goals:
        if g.measured is None or g.low is None or g.high is None:
            cells, verdict = ("", ""), Text("invalid", style="bold yellow")
        else:
            cells = (f"{g.measured:.2f}", f"{g.low:.2f}-{g.high:.2f}")
            verdict = Text("ok", style="green") if g.ok else Text("fell short", style="bold red")
        table.add_row(g.id, *cells, f"{g.sense} {g.limit:g}", str(g.rounds), verdict)
    return table


def render(result: Result) -> Group:
    first, second = result.processors
    head = Text(
        f"machine {result.machine}: {result.rounds} round{'s' * (result.rounds != 1)} in "
        f"{result.seconds:.0f} s, seed {result.seed}\n"
        f"processors {first} and {second} of {result.processor}, Linux {result.kernel}"
    )
    parts: list[RenderableType] = [head, measured(result.rows), *reasons(result.rows)]
    if result.goals:
        parts += [Text("\nGoals: a case over another or the best peer, round by round; the filter's are ns:")]
        parts += [judged(result.goals)]
    return Group(*parts)


def render_counts(result: CountResult) -> Group:
    """Instructions per case and world, and the goals."""
    head = Text(
        f"board {result.board}: executed instructions on {result.processor}, Linux {result.kernel}, in "
        f"{result.seconds:.0f} s"
    )
    rows = Table(box=SIMPLE, header_style="bold", pad_edge=False)
    rows.add_column("case", no_wrap=True)
    rows.add_column("bytes", justify="right")
    for heading in ("Normal", "Secure", "EL3", "all", "beside it:\ncritical task"):
        rows.add_column(heading, justify="right", no_wrap=True)
    rows.add_column("", no_wrap=True)
    for row in result.rows:
        digits = 2 if row.unit.endswith("per byte") else 0
        numbers = (row.normal, row.secure, row.monitor, row.value, row.critical)
        cells = ["" if n is None else f"{n:,.{digits}f}" for n in numbers]
        note = "per byte" if digits else "" if row.status == "ok" else f"{row.status}: {row.reason}"
        rows.add_row(row.case, str(row.frame_bytes or ""), *cells, note)
    goals = Table(box=SIMPLE, header_style="bold", pad_edge=False)
    for heading in ("goal", "measured", "at most", ""):
        goals.add_column(heading, no_wrap=True)
    for goal in result.goals:
        one = f"{goal.over} per byte" if goal.over.startswith("tcp") else goal.over
        name = f"{goal.over} / {goal.under}" if goal.under else one
        found = "" if goal.measured is None else f"{goal.measured:.3f}"
        verdict = Text("ok", style="green") if goal.ok else Text("fell short", style="bold red")
        goals.add_row(name, found, f"{goal.limit:g}", verdict)
    return Group(head, rows, goals) if result.goals else Group(head, rows)
