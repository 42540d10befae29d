# SPDX-License-Identifier: MIT
"""A campaign of attacks as one HTML file: verdicts, counters, what became of deadlines, latency and work."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import groupby
from pathlib import Path

from markupsafe import Markup
from matplotlib.axes import Axes

from isthmus.attack import Report, Row
from isthmus.attack.catalogue import Defence, Evidence
from isthmus.attack.table import KINDS, controls
from isthmus.report import Tile
from isthmus.report.figure import MARK, NORMAL, SECURE, SOFT, figure, svg, title

__all__ = ["write"]

_SUBTITLES = {
    "memory": "The core in one process, the attacker's hands between any two of its loads.",
    "host": "A pump that was taken over, and programs beside it, against the Secure world's process.",
    "qemu": "A compromised Linux kernel against the Secure world of an emulated TrustZone machine. Times are "
    "the machine's own, at one instruction per nanosecond.",
}
_WIDE, _POINTS = 10.0, 400
_RUNS: dict[Defence, str] = {
    "on": "with the defence",
    "off": "without the defence",
    "bare": "without what stands behind it, too",
}


def write(
    path: Path, found: Report, *, again: str, revision: str, description: Sequence[tuple[str, str]] = ()
) -> None:
    """Writes the file. `again`: the command that repeats the run; `description`: what it ran on. OSError: it
    cannot be written."""
    from jinja2 import Environment, PackageLoader, StrictUndefined

    environment = Environment(
        loader=PackageLoader("isthmus.report"), autoescape=True, undefined=StrictUndefined, trim_blocks=True
    )
    tried = [row for row in found.rows if row.applies]
    ran = [("Machine", found.machine), ("Isthmus", revision), ("Seed", str(found.seed)), *description]
    page = environment.get_template("attack.html").render(
        title="Isthmus under attack",
        subtitle=_SUBTITLES[found.machine],
        ok=found.ok,
        verdict=f"{sum(row.ok for row in tried)} of {len(tried)} as they should be",
        tiles=list(_tiles(tried, found.seconds)),
        deadlines=Markup(_deadlines(tried)) if any(row.missed_deadlines for row in tried) else None,
        topics=[
            (KINDS.get(kind, kind), list(rows)) for kind, rows in groupby(_lines(found), lambda a: a["kind"])
        ],
        closer=list(_closer(found)),
        description=ran,
        again=again,
    )
    path.write_text(page, encoding="utf-8")


def _tiles(tried: Sequence[Row], seconds: float) -> Iterator[Tile]:
    on, off = ([row for row in tried if (row.defence == "on") == which] for which in (True, False))
    missed = sum(row.missed_deadlines or 0 for row in on)
    yield Tile(str(sum(row.ok for row in on)), f"of {len(on)}", "attacks contained")
    if off:
        succeeded = sum(row.ok for row in off)
        yield Tile(str(succeeded), f"of {len(off)}", "controls successful without the defence")
    yield Tile(str(missed), "", "deadlines missed with the defences on")
    yield Tile(f"{seconds:.0f}", "s", "for the whole campaign")


def _lines(found: Report) -> Iterator[dict[str, str]]:
    words = {None: "elsewhere", True: "contained", False: "not contained"}
    for ident, group in groupby(found.rows, key=lambda row: row.id):
        rows = {row.defence: row for row in group}
        on, off = rows["on"], rows.get("off")
        moved = ", ".join(f"{name} {n}" for name, n in on.counters.items())
        work = f"work {on.work_max} of at most {on.work_bound}" if on.work_max is not None else ""
        once = "" if on.replayable else "not replayable"
        yield {
            "kind": on.kind,
            "id": ident,
            "name": on.name,
            "by": on.attacker,
            "on": words[on.contained],
            "off": "" if off is None else "succeeds" if off.ok else "fails",
            "ok": "yes" if all(row.ok for row in rows.values()) else "",
            "detail": "; ".join(part for part in (moved, on.detail, work, once, controls(rows)) if part),
        }


def _deadlines(tried: Sequence[Row]) -> str:
    """A bar for each attack whose control had a task miss its deadline, without what stands behind it if need
    be."""
    missed: dict[tuple[str, str], int] = {}
    for row in tried:
        which = "on" if row.defence == "on" else "off"
        missed[row.id, which] = missed.get((row.id, which), 0) + (row.missed_deadlines or 0)
    names = [ident for (ident, which), n in missed.items() if which == "off" and n]
    with figure(_WIDE, 0.8 + 0.22 * len(names)) as (whole, (axes,)):
        for shift, defence, colour in ((0.2, "off", MARK), (-0.2, "on", SECURE)):
            at = [len(names) - 1 - i - shift for i in range(len(names))]
            axes.barh(at, [missed.get((name, defence), 0) for name in names], height=0.35, color=colour)
        axes.set_yticks([len(names) - 1 - i for i in range(len(names))], names)
        axes.set_xscale("symlog")
        axes.set_xlim(0)
        title(axes, "Missed in the time of the attack: without the defence, and with it")
        return svg(whole)


def _closer(found: Report) -> Iterator[tuple[str, list[tuple[str, Markup]]]]:
    """By attack: what was longest, in words, and what it looked like, for each run of it."""
    names = {row.id: row.name for row in found.rows}
    rows = {(row.id, row.defence): row for row in found.rows}
    for ident, name in names.items():
        drawn = [
            (_longest(seen, rows[ident, which], said), Markup(_meanwhile(seen, said)))
            for which, said in _RUNS.items()
            if (seen := found.evidence.get(f"{ident} {which}")) is not None and seen.periods
        ]
        if drawn:
            yield f"{ident}: {name}", drawn


def _longest(seen: Evidence, row: Row, which: str) -> str:
    """The longest response of each task, the longest wait for an answer, and the most work."""
    parts = [
        f"{name} {max(us for _, us in times):.0f} of {seen.deadlines[name]} µs"
        for name, times in seen.responses.items()
        if times
    ]
    answered = [us for _, us in seen.flow if us is not None]
    if answered:
        parts.append(f"a setpoint's answer {max(answered):.0f} µs")
    parts.append(f"work {max(taken for *_, taken in seen.periods)} frames a period")
    if row.work_max is not None:
        parts.append(f"{row.work_max} of at most {row.work_bound} in a window of the bound")
    return f"{which[0].upper()}{which[1:]}, at most: {', '.join(parts)}."


def _meanwhile(seen: Evidence, which: str) -> str:
    with figure(_WIDE, 3.4, (1.4, 1, 1)) as (whole, (tasks, frames, flow)):
        _responses(tasks, seen)
        every = max(1, len(seen.periods) // _POINTS)
        groups = [seen.periods[i : i + every] for i in range(0, len(seen.periods), every)]
        at = [group[0][0] for group in groups]
        frames.step(at, [max(taken for *_, taken in group) for group in groups], where="post", color=NORMAL)
        answered = [(t, us) for t, us in seen.flow if us is not None]
        flow.plot([t for t, _ in answered], [us for _, us in answered], ".", color=NORMAL, markersize=4)
        lost = [t for t, us in seen.flow if us is None]
        flow.plot(lost, [0.0] * len(lost), "x", color=MARK)
        title(tasks, f"{which[0].upper()}{which[1:]}: each task's response, in % of its deadline")
        title(frames, "Work: frames taken in, per period")
        title(flow, "Latency: µs to a setpoint's answer")
        flow.set_xlabel("seconds of the machine's time")
        for axes in (tasks, frames, flow):
            axes.set_ylim(0)
        return svg(whole)


def _responses(axes: Axes, seen: Evidence) -> None:
    """The line is the deadline; crosses: periods that the control task skipped."""
    for (name, times), colour in zip(seen.responses.items(), (SECURE, NORMAL, SOFT), strict=False):
        every = max(1, len(times) // _POINTS)
        groups = [times[i : i + every] for i in range(0, len(times), every)]
        worst = [max(us for _, us in group) / seen.deadlines[name] * 100 for group in groups]
        axes.plot([group[0][0] for group in groups], worst, ".", color=colour, markersize=4, label=name)
    axes.axhline(100, color=MARK, linewidth=0.8)
    skipped = [at for at, _, done, _ in seen.periods if done is None]
    axes.plot(skipped, [0.0] * len(skipped), "x", color=MARK)
    if seen.responses:
        axes.legend(loc="lower right", bbox_to_anchor=(1, 1), ncols=3, frameon=False, fontsize=8)
