# SPDX-License-Identifier: MIT
"""A campaign's report as a table for people."""

from __future__ import annotations

from collections.abc import Mapping
from itertools import groupby

from rich import box
from rich.console import Group
from rich.table import Table
from rich.text import Text

from isthmus.attack import Report
from isthmus.attack.catalogue import Attack, Defence, Row

__all__ = ["controls", "listing", "render"]

CONTROLS: tuple[Defence, ...] = ("off", "bare")
KINDS = {
    "dos": "Denial of service",
    "mem": "Memory corruption",
    "pkt": "Packet corruption and forgery",
    "life": "Life cycle",
    "leak": "Leaks",
    "smc": "Calls to the monitor",
    "irq": "Interrupt controller",
    "psci": "Power control",
    "host": "On the host",
}


def _headed(*columns: str) -> Table:
    table = Table(box=box.SIMPLE_HEAD, header_style="bold", pad_edge=False)
    for i, column in enumerate(columns):
        table.add_column(column, no_wrap=i in (0, 2), style="dim" if i == len(columns) - 1 else "")
    return table


def _verdict(row: Row | None) -> Text:
    if row is None:
        return Text("-")
    if not row.applies:
        return Text("elsewhere", style="dim")
    if row.defence == "on":
        return Text("contained", style="green") if row.ok else Text("NOT CONTAINED", style="bold red")
    return Text("succeeds", style="green") if row.ok else Text("FAILS", style="bold red")


def controls(rows: Mapping[Defence, Row]) -> str:
    """What an attack's controls showed, where that is not said by their verdict."""
    off, bare = rows.get("off"), rows.get("bare")
    said = (
        [f"without the defence: {off.detail}"] if off and (not off.ok or off.missed_deadlines or bare) else []
    )
    said += [f"with nothing behind it: {bare.detail}"] if bare else []
    return "; ".join(said)


def _worst(rows: Mapping[Defence, Row]) -> Row | None:
    """Of the controls, one that did not succeed if there is any."""
    ran = [row for which in CONTROLS if (row := rows.get(which)) is not None]
    return min(ran, key=lambda row: row.ok, default=None)


def render(report: Report) -> Group:
    """One line per attack: what became of it, what its control did, and how."""
    table = _headed("", "attack", "by", "defence on", "off", "how")
    kind = ""
    for ident, group in groupby(report.rows, key=lambda r: r.id):
        rows = {r.defence: r for r in group}
        on = rows["on"]
        if on.kind != kind:
            if kind:
                table.add_section()
            kind = on.kind
            table.add_row(Text(KINDS.get(kind, kind), style="bold"))
        detail = on.detail
        if on.work_max is not None:
            detail += f"; work {on.work_max} of at most {on.work_bound}"
        if not on.replayable:
            detail += "; not replayable"
        if shown := controls(rows):
            detail += f"; {shown}"
        table.add_row(ident, on.name, on.attacker, _verdict(on), _verdict(_worst(rows)), Text(detail))
    return Group(table, _summary(report))


def _summary(report: Report) -> Text:
    tried = [r for r in report.rows if r.applies]
    failed = [f"{r.id} ({r.defence})" for r in tried if not r.ok]
    held = sum(r.ok for r in tried if r.defence == "on"), sum(r.defence == "on" for r in tried)
    done = sum(r.ok for r in tried if r.defence != "on"), sum(r.defence != "on" for r in tried)
    text = f"{held[0]} of {held[1]} attacks contained"
    text += f", {done[0]} of {done[1]} controls successful" if done[1] else ""
    text += f", in {report.seconds:.0f} s (machine {report.machine}, seed {report.seed})"
    if failed:
        return Text(f"{text}; fell short: {', '.join(failed)}", style="bold red")
    return Text(text, style="bold green")


def listing(attacks: list[Attack]) -> Table:
    """What there is, without running it."""
    table = _headed("", "attack", "by", "the control does without", "where else")
    for a in attacks:
        control = ""
        if a.control is not None:
            control = a.control.without or ", ".join(a.control.settings)
        table.add_row(a.id, a.name, a.attacker, control, a.elsewhere)
    return table
