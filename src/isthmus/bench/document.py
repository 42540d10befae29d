# SPDX-License-Identifier: MIT
"""The generated part of docs/PERFORMANCE.md, from the JSON document of a run and from nothing else.

Beside FOLDER/NAME.md stand, with its name in lower case, the record NAME.json that the part was made of and
the chart NAME.svg that it shows; so anybody can make both again without measuring.
"""

from __future__ import annotations

import random
from collections.abc import Iterator, Sequence
from pathlib import Path

import msgspec

from isthmus.bench import Goal, Result, Row
from isthmus.bench.cases import CASES, COST, GIVEN, LATENCY, SCALE, STACK
from isthmus.bench.verdict import judge
from isthmus.errors import EnvironmentProblem

__all__ = ["BEGIN", "END", "Document", "chart_of", "decode", "markdown", "objection", "read",
           "record_of", "require", "write"]  # fmt: skip

BEGIN, END = "<!-- generated: isthmus bench --document -->", "<!-- end of what is generated -->"
INVALID_MOST = 0.25  # of the cases; with more of them a run says nothing about the machine

COLUMNS = (  # heading, metric, bytes, factor to the shown unit, significant digits
    ("RTT p50 64 B, us", "rtt_p50", 64, 1.0),
    ("p99, us", "rtt_p99", 64, 1.0),
    ("RTT p50 1500 B, us", "rtt_p50", 1500, 1.0),
    ("64 B, million frames/s", "frames", 64, 1e-6),
    ("1500 B, Gbit/s", "bits", 1500, 1e-9),
    ("64 B, CPU s per million frames", "cpu", 64, 1.0),
)


MORE = (  # title, headings, metrics, factor: of cases that carry no frames of the two sizes
    (
        "Linux's IP stack to lwIP, over the channel and directly on a TAP (MTU 1500), the host machine;\n"
        "tap.echo is a process that answers pings on the TAP by itself:",
        ("ping p50, us", "p99, us", "TCP to Secure, Gbit/s", "TCP to Normal, Gbit/s"),
        STACK,
        (1.0, 1.0, 1e-9, 1e-9),
    ),
    (
        "A 64-byte frame on the critical lane, one way, counted from when it was due (open loop, one each\n"
        "5 us, 120,000 in a round), while the bulk lane is idle, while it saturates, and of a bare timer:",
        ("p50, us", "p99, us", "p99.9, us"),
        LATENCY,
        (1.0, 1.0, 1.0),
    ),
    (
        "64-byte frames over many channels at once, each with a bulk and a critical lane (rings of 16 and\n"
        "4 KiB), served by one poll. Memory of one: both worlds' buffers and the critical side's state:",
        ("million frames/s", "CPU s per million frames", "memory, bytes"),
        SCALE,
        (1e-6, 1.0, 1.0),
    ),
)
KINDS = {  # which of these tables a case is in
    c.name: STACK if c.stack else c.metrics
    for c in (*CASES, *GIVEN)
    if c.stack or c.metrics in (LATENCY, SCALE, COST)
}


class Document(Result, frozen=True, kw_only=True):
    """What `isthmus bench --json` writes: the result and where it comes from."""

    schema: str
    version: str
    commit: str | None
    stack: str


def record_of(page: Path) -> Path:
    return page.with_name(page.stem.lower() + ".json")


def chart_of(page: Path) -> Path:
    return page.with_name(page.stem.lower() + ".svg")


def read(record: Path) -> Document:
    """Raises EnvironmentProblem for a file that is not there or no document of `isthmus bench`."""
    try:
        return decode(record.read_bytes(), str(record))
    except OSError as error:
        raise EnvironmentProblem(f"cannot read {record}: {error.strerror}") from None


def decode(text: bytes, name: str) -> Document:
    """The same from a text; `name` is for the complaint."""
    try:
        document = msgspec.json.decode(text, type=Document)
    except msgspec.MsgspecError as error:
        raise EnvironmentProblem(f"{name}: no document of isthmus bench --machine host: {error}") from None
    if document.schema != "isthmus.bench/1" or document.machine != "host":
        raise EnvironmentProblem(f"{name}: no document of isthmus bench --machine host")
    return document


def objection(rows: Sequence[Row]) -> str:
    """Why a run is not worth a document, or nothing. Cases that this machine lacks are no objection."""
    verdicts = {(r.case, r.frame_bytes): r.status for r in rows if r.status != "missing"}
    invalid = sorted({case for (case, _), status in verdicts.items() if status == "invalid"})
    if not verdicts or len(invalid) > INVALID_MOST * len({case for case, _ in verdicts}):
        return f"the machine was not quiet: no valid result for {', '.join(invalid) or 'any case'}"
    return ""


def require(page: Path) -> None:
    """EnvironmentProblem where `page` cannot take a generated part, or no chart can be drawn."""
    _split(page)
    try:
        import matplotlib  # noqa: F401 - found out before any work
    except ImportError:
        raise EnvironmentProblem("the chart needs matplotlib: install isthmus[report]") from None


def write(page: Path, document: Document) -> None:
    """Replaces the page's generated part, the record and the chart."""
    from isthmus.bench.chart import draw

    before, after = _split(page)
    for path, text in (
        (record_of(page), _lines(document)),
        (chart_of(page), draw(document)),
        (page, before + markdown(document, chart_of(page).name) + after),
    ):
        try:
            fresh = path.with_name(path.name + ".new")
            fresh.write_text(text, encoding="utf-8")
            fresh.replace(path)  # whoever interrupts us leaves the old one whole
        except OSError as error:
            raise EnvironmentProblem(f"cannot write {path}: {error.strerror}") from None


def _lines(document: Document) -> str:
    """As JSON, a row a line."""
    return msgspec.json.encode(document).decode().replace("},{", "},\n{") + "\n"


def _split(page: Path) -> tuple[str, str]:
    """What stands before the generated part and behind it, marks included."""
    try:
        text = page.read_text(encoding="utf-8")
    except OSError as error:
        raise EnvironmentProblem(f"cannot read {page}: {error.strerror}") from None
    head, begin, rest = text.partition(BEGIN)
    _, end, tail = rest.partition(END)
    if not begin or not end:
        raise EnvironmentProblem(f"{page}: has no lines {BEGIN!r} and {END!r}")
    return head + begin, end + tail


# ---- the text --------------------------------------------------------------------------------------------


def markdown(document: Document, chart: str) -> str:
    """The generated part, between its two marks."""
    goals = judge(document.rows, random.Random(document.seed))  # today's, were the record older
    return "\n\n".join(
        ["", _where(document), f"![The channel beside its bound and the peers]({chart})", _verdict(goals),
         "\n".join(_goals(goals)), "\n".join(_measured(document.rows)), *_more(document.rows),
         *_costs(document.rows), *_absent(document.rows), ""]
    )  # fmt: skip


def _where(d: Document) -> str:
    first, second = d.processors
    return "\n".join([
        "| machine | |",
        "|---|---|",
        f"| processor | {d.processor} ({d.architecture}) |",
        f"| topology | {d.topology}; the ends on {first} and {second} |",
        f"| frequency | {d.governor} |",
        f"| hypervisor | {d.hypervisor}; it took {d.stolen:.2%} of both processors during the run |",
        f"| kernel | Linux {d.kernel} |",
        f"| run | {d.rounds} rounds in {d.seconds:.0f} s, seed {d.seed}; {d.repeated} runs repeated |",
        f"| isthmus | {d.version}, {(d.commit or 'installed')[:12]} |",
    ])  # fmt: skip


def _verdict(goals: Sequence[Goal]) -> str:
    held = sum(g.ok for g in goals)
    return (
        f"**{held} of {len(goals)} goals held.** Measured: the median of the rounds' ratios, with its 95 % "
        "interval.\n"
        "A goal against the peers is against the best of them in each round."
    )


def _goals(goals: Sequence[Goal]) -> Iterator[str]:
    yield "| goal | compared | measured | limit | |"
    yield "|---|---|---|---|---|"
    for g in goals:
        under = "the best peer" if "," in g.under else g.under
        size = f" {g.frame_bytes} B" if g.frame_bytes else ""
        found = "invalid" if g.measured is None else f"{g.measured:.2f} ({g.low:.2f}-{g.high:.2f})"
        verdict = "held" if g.ok else "**not held**"
        compared = f"{g.metric}{size}: {g.over}" + (f" / {under}" if under else ", ns")
        yield f"| {g.id} | {compared} | {found} | {g.sense} {g.limit:g} | {verdict} |"


def _measured(rows: Sequence[Row]) -> Iterator[str]:
    table = {(r.case, r.metric, r.frame_bytes): r for r in rows}
    yield f"| case | {' | '.join(heading for heading, *_ in COLUMNS)} |"
    yield "|---" * (1 + len(COLUMNS)) + "|"
    for case in dict.fromkeys(r.case for r in rows if r.status != "missing" and r.case not in KINDS):
        found = (
            table.get((case, metric, size)) or table.get((case, metric, 0 if size == 64 else -1))
            for _, metric, size, _ in COLUMNS
        )
        cells = (
            "" if row is None else "invalid" if row.value is None else number(row.value * factor)
            for row, (*_, factor) in zip(found, COLUMNS, strict=True)
        )
        name = f"**{case}**" if case == "isthmus" else case
        yield f"| {name} | {' | '.join(cells)} |"


def _more(rows: Sequence[Row]) -> Iterator[str]:
    table = {(r.case, r.metric): r for r in rows if r.status != "missing"}
    for title, headings, metrics, factors in MORE:
        cases = dict.fromkeys(case for case, _ in table if KINDS.get(case) == metrics)
        if not cases:
            continue
        yield title
        lines = [f"| case | {' | '.join(headings)} |", "|---" * (1 + len(headings)) + "|"]
        for case in cases:
            found = (table.get((case, metric)) for metric in metrics)
            cells = (
                "" if row is None else "invalid" if row.value is None else number(row.value * factor)
                for row, factor in zip(found, factors, strict=True)
            )
            lines.append(f"| {case} | {' | '.join(cells)} |")
        yield "\n".join(lines)


def _costs(rows: Sequence[Row]) -> Iterator[str]:
    """One thread's, in processor time."""
    found = {(r.case, r.frame_bytes): r for r in rows if r.metric == "cost" and r.status != "missing"}
    sizes = sorted({size for _, size in found if size}) or [64]
    if not found:
        return
    lines = [
        "What a frame costs one thread, in ns of processor time: sent and received by a core without its\n"
        "checks, with them, with a tag beside; and judged by an allow-list of 32 rules, whose last names it:",
        "",
        f"| case | {' | '.join(f'{size} B' for size in sizes)} |",
        "|---" * (1 + len(sizes)) + "|",
    ]
    for case in dict.fromkeys(case for case, _ in found):
        values = [found.get((case, size)) for size in sizes]
        values[:1] = [values[0] or found.get((case, 0))]
        cells = ("" if r is None else "invalid" if r.value is None else number(r.value) for r in values)
        lines.append(f"| {case} | {' | '.join(cells)} |")
    yield "\n".join(lines)


def number(value: float) -> str:
    """Three significant digits, never as a power of ten."""
    digits = max(0, 2 - len(str(int(abs(value)))) + 1) if abs(value) >= 1 else 3
    return f"{value:,.{digits}f}"


def _absent(rows: Sequence[Row]) -> Iterator[str]:
    """Why a value is not there, once per case."""
    found = {r.case: f"{r.case}: {r.status}, {r.reason}" for r in rows if r.status != "ok"}
    if found:
        yield "Without a value:\n\n" + "\n".join(f"- {found[case]}" for case in found)
