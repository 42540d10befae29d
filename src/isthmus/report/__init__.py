# SPDX-License-Identifier: MIT
"""A check as one HTML file: topology, tiles, plots, rows, and what it ran on. Nothing is fetched to show it.

report.require(); report.write(path, check.run(board, seed=1), board, again="isthmus check")
"""

from __future__ import annotations

import importlib.util
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path

from isthmus.board import Board
from isthmus.check.rows import CATALOGUE, Report, Row
from isthmus.check.table import STACKS, value
from isthmus.errors import EnvironmentProblem
from isthmus.report.machine import description
from isthmus.report.topology import topology

__all__ = ["require", "write"]

_NEEDED = ("jinja2", "matplotlib")
_TITLES = {
    "qemu": "Linux and a critical OS on a TrustZone machine",
    "host": "Two worlds on one Linux machine",
}
_SUBTITLES = {
    "qemu": "Debian's Linux in the Normal world, {stack} at Secure EL1, a monitor at EL3, under QEMU. Times "
    "are the machine's own, at one instruction per nanosecond: they show the work done, not how busy this "
    "computer was.",
    "host": "Linux's IP stack and {stack} on the two sides of an Isthmus channel, each a world of its own.",
}


@dataclass(frozen=True)
class Tile:
    """One number that a reader should see first."""

    value: str
    unit: str
    what: str


def require() -> None:
    """EnvironmentProblem where a library is missing that only reports need."""
    missing = [name for name in _NEEDED if importlib.util.find_spec(name) is None]
    if missing:
        raise EnvironmentProblem(f"a report needs {' and '.join(missing)}: pip install 'isthmus[report]'")


def write(path: Path, found: Report, board: Board, *, again: str, revision: str) -> None:
    """Writes the file. `again`: the command that repeats the run; `revision`: of this package. OSError: it
    cannot be written."""
    path.write_text(_page(found, board, again, revision), encoding="utf-8")


def _page(found: Report, board: Board, again: str, revision: str) -> str:
    from jinja2 import Environment, PackageLoader, StrictUndefined
    from markupsafe import Markup

    from isthmus.report import plots

    environment = Environment(
        loader=PackageLoader("isthmus.report"), autoescape=True, undefined=StrictUndefined, trim_blocks=True
    )
    evidence = found.evidence
    held = sum(row.ok for row in found.rows)
    drawn = {
        "whole_run": plots.whole_run(evidence),
        "arrivals": plots.arrivals(evidence),
        "round_trips": plots.round_trips(evidence.rtt_ns),
        "throughput": plots.throughput(list(_rates(found.rows))),
    }
    stack = STACKS[found.stack]
    shown = topology(board, found.interface, stack)
    svg = environment.get_template("topology.svg").render(t=shown)
    return environment.get_template("page.html").render(
        title=_TITLES[found.machine],
        subtitle=_SUBTITLES[found.machine].format(stack=stack),
        ok=found.ok,
        verdict=f"{held} of {len(found.rows)} hold",
        tiles=list(_tiles(found)),
        topology=Markup(svg),
        task_story=_story(found),
        topics=_topics(found.rows),
        description=description(found, board, revision),
        again=again,
        restarts=[Markup(text) for text in plots.restarts(evidence)],
        **{name: Markup(text) if text else None for name, text in drawn.items()},
    )


def _topics(rows: list[Row]) -> list[tuple[str, list[dict[str, object]]]]:
    shown = groupby(rows, key=lambda row: CATALOGUE[row.id].topic)
    return [
        (topic, [{"what": r.what, "value": value(r), "ok": r.ok, "detail": r.detail} for r in group])
        for topic, group in shown
    ]


def _rates(rows: list[Row]) -> Iterator[tuple[str, float]]:
    names = {"tcp.to_secure": "to the\ncritical OS", "tcp.to_normal": "to Linux"}
    for row in rows:
        if row.id in names and row.value is not None:
            yield names[row.id], float(row.value)


def _tiles(found: Report) -> Iterator[Tile]:
    rows = {row.id: row for row in found.rows}
    for ident, what in (
        ("ping.rtt_p50", "round trip of a ping, median"),
        ("tcp.to_secure", "TCP to the critical OS"),
        ("tcp.to_normal", "TCP to Linux"),
    ):
        yield _tile(rows[ident], what)
    periods = rows["critical.periods"].value
    yield _tile(rows["critical.missed"], f"missed in {periods or 0:,} periods of the control task")
    yield _tile(rows["isolation.write"], "for Linux to write or stop the Secure world")
    yield _tile(rows["restart.torn"], "torn, stale or doubled, through every restart")


def _tile(row: Row, what: str) -> Tile:
    number, _, unit = value(row).partition(" ")
    return Tile(number, unit.replace("us", "µs"), what)


def _story(found: Report) -> str:
    evidence = found.evidence
    begun = [p.late_us for p in evidence.periods if p.late_us is not None]
    if not begun:
        return ""
    restarts = sum(span.kind == "restart" for span in evidence.spans)
    absent = len(evidence.periods) - len(begun)
    return (
        f"{len(evidence.periods):,} periods, as the task itself recorded them, through {restarts} restarts "
        f"(shaded): {f'{absent:,} did not begin (crosses)' if absent else 'none skipped'}, the latest began "
        f"{max(begun):.2f} µs after its release."
    )
