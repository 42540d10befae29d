# SPDX-License-Identifier: MIT
"""The rows of `isthmus check`: what each proves, in which unit, and the report that holds them."""

from __future__ import annotations

from typing import NamedTuple

import msgspec

from isthmus.check.evidence import Evidence

__all__ = ["CATALOGUE", "Kind", "Report", "Row", "missing", "row"]


class Kind(NamedTuple):
    """What a row is about, whatever was measured."""

    topic: str
    what: str
    unit: str


CATALOGUE = {
    "link.up": Kind("Link", "both worlds up, frames pass", "s"),
    "ping.loss": Kind("Ping", "200 pings: lost", "pings"),
    "ping.rtt_p50": Kind("Ping", "round trip, median of 2,000", "us"),
    "ping.rtt_p99": Kind("Ping", "round trip, 99th percentile", "us"),
    "udp.echo_ok": Kind("Traffic", "UDP echo: 1,000 of random size", "datagrams"),
    "tcp.echo_exact": Kind("Traffic", "TCP echo: 8 MiB of random bytes", "bytes"),
    "http.ok": Kind("Traffic", "HTTP status page", "status"),
    "tcp.to_secure": Kind("Throughput", "TCP to the Secure world", "Mbit/s"),
    "tcp.to_normal": Kind("Throughput", "TCP to the Normal world", "Mbit/s"),
    "critical.missed": Kind("Critical task", "deadlines missed by us", "deadlines"),
    "critical.late_kernel": Kind("Critical task", "kernel's release lateness, median", "us"),
    "critical.periods": Kind("Critical task", "periods accounted for", "periods"),
    "critical.first_period": Kind("Critical task", "first period done, after its start", "us"),
    "restart.normal": Kind("Restart", "Normal world restarted: frames pass after", "s"),
    "restart.secure": Kind("Restart", "Secure world restarted: frames pass after", "s"),
    "restart.torn": Kind("Restart", "torn, stale or doubled frames", "frames"),
    "isolation.read": Kind("Isolation", "ways to read the Secure world", "ways"),
    "isolation.write": Kind("Isolation", "ways to write or stop the Secure world", "ways"),
    "counters.unexplained": Kind("Counters", "frames that no counter explains", "frames"),
}


class Row(msgspec.Struct, frozen=True):
    """One proof. `value` is None where nothing could be measured; `ok` is then false."""

    id: str
    what: str
    ok: bool
    value: float | int | None
    unit: str
    detail: str


class Report(msgspec.Struct, frozen=True):
    """What a run has found."""

    machine: str
    stack: str
    interface: str  # "tap" or "packet": how frames reach the Linux stack
    seed: int
    seconds: float
    rows: list[Row]
    evidence: Evidence = msgspec.field(default_factory=Evidence)

    @property
    def ok(self) -> bool:
        return all(row.ok for row in self.rows)


def row(ident: str, ok: bool, value: float | int | None, detail: str = "") -> Row:
    """A row of the catalogue. A fraction is rounded to the four digits that were measured."""
    kind = CATALOGUE[ident]
    if isinstance(value, float):
        value = float(f"{value:.4g}")
    return Row(ident, kind.what, ok, value, kind.unit, detail)


def missing(ident: str, why: str) -> Row:
    """The row of something that could not be measured."""
    return row(ident, False, None, why)
