# SPDX-License-Identifier: MIT
"""A report as a table for people."""

from __future__ import annotations

from rich import box
from rich.console import Group
from rich.table import Table
from rich.text import Text

from isthmus.check.rows import CATALOGUE, Report, Row

__all__ = ["render", "value"]

STACKS = {"lwip": "lwIP", "freertos": "FreeRTOS+TCP"}


def value(row: Row) -> str:
    """The measured value with its unit: 0.014 s, 2,650 Mbit/s, 0 pings."""
    if row.value is None:
        return "-"
    digits = 0 if isinstance(row.value, int) or row.value >= 100 else 3 if row.unit == "s" else 1
    return f"{row.value:,.{digits}f} {row.unit}" if row.unit != "status" else f"{row.value}"


def rows_by_topic(report: Report) -> Table:
    table = Table(box=box.SIMPLE_HEAD, header_style="bold", pad_edge=False)
    table.add_column("")
    table.add_column("measured", justify="right", no_wrap=True)
    table.add_column("", no_wrap=True)
    table.add_column("how", style="dim")
    topic = ""
    for row in report.rows:
        now = CATALOGUE[row.id].topic
        if now != topic:
            if topic:
                table.add_section()
            table.add_row(Text(now, style="bold"))
        verdict = Text("ok", style="green") if row.ok else Text("FAILED", style="bold red")
        table.add_row(f"  {row.what}", value(row), verdict, Text(row.detail))
        topic = now
    return table


def summary(report: Report) -> Text:
    failed = [row.id for row in report.rows if not row.ok]
    held = f"{len(report.rows) - len(failed)} of {len(report.rows)} hold"
    if failed:
        return Text(f"{held}; fell short: {', '.join(failed)}", style="bold red")
    return Text(f"{held}, in {report.seconds:.0f} s", style="bold green")


def in_short(report: Report) -> Text:
    """What it comes to, for somebody who reads nothing else; nothing where a row fell short."""
    if not report.ok:
        return Text()
    shown = {row.id: value(row) for row in report.rows}
    where = "across the TrustZone border" if report.machine == "qemu" else "between the two worlds"
    return Text(
        f"Ping, UDP, TCP and HTTP pass {where}: {shown['ping.rtt_p50']} there and back, "
        f"TCP {shown['tcp.to_secure']} one way and {shown['tcp.to_normal']} the other.\n"
        f"The critical side missed no deadline in {shown['critical.periods']}, through every restart.\n"
        "Linux's side found no way to read, write or stop the critical side.\n"
    )


def render(report: Report) -> Group:
    head = (
        f"Debian's Linux in the Normal world, the critical OS with {STACKS[report.stack]} at Secure EL1, "
        f"monitor at EL3: an emulated TrustZone machine, times at one instruction per ns (seed {report.seed})"
        if report.machine == "qemu"
        else f"Linux's IP stack and {STACKS[report.stack]} on the two sides of an Isthmus channel, "
        f"each a world of its own (machine {report.machine}, {report.interface}, seed {report.seed})"
    )
    return Group(Text(head), rows_by_topic(report), in_short(report), summary(report))
