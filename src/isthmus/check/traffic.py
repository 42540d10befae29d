# SPDX-License-Identifier: MIT
"""Ordinary traffic from the Linux stack to the Secure world's applications: ping, UDP and TCP echo, HTTP."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any

import msgspec

from isthmus.check.program import Failed, Machine, answer
from isthmus.check.rows import Row, missing, row
from isthmus.errors import LinkDown

__all__ = ["http", "link", "percentile", "ping", "tcp", "udp"]

PINGS, PING_EVERY_US = 200, 1000
ECHOES = 2000
DATAGRAMS = 1000
TCP_BYTES = 8 << 20
IP_UDP_HEADERS = 28
ECHO_PORT, HTTP_PORT = 7, 80

# A round trip takes tens of microseconds. One that takes a period in the median waits for somebody's next
# look. The tail belongs to the scheduler of a machine that has other work.
RTT_P50_PERIODS = 1
RTT_P99_MAX_US = 50_000.0


def percentile(values: list[int], percent: float) -> int:
    """The smallest value that `percent` of the (at least one) values do not exceed."""
    ordered = sorted(values)
    return ordered[max(0, math.ceil(len(ordered) * percent / 100) - 1)]


def link(machine: Machine, started_s: float) -> Row:
    """Both worlds agree on state and epoch, and a frame makes the round trip."""
    try:
        epoch = machine.wait_up()
        reports = [machine.status("normal"), machine.status("secure")]
        pinged = answer(machine, "ping", machine.board.secure.address, 1, 1, limit=5.0)
    except (LinkDown, Failed) as problem:
        return missing("link.up", str(problem))
    agree = all(r["state"] == "RUN" and r["epoch"] == epoch for r in reports)
    board = machine.board
    detail = f"interface {board.normal.interface} by {machine.interface_kind}, MTU {board.channel.mtu}"
    if not agree:
        detail = "; ".join(f"{r['state']} ({r['reason']}) in epoch {r['epoch']:016x}" for r in reports)
    elif not pinged["received"]:
        detail = "the first ping was not answered"
    return row("link.up", agree and pinged["received"] == 1, started_s, detail)


def ping(machine: Machine, address: str, rtt_ns: list[int]) -> Iterator[Row]:
    """`rtt_ns` gets every round trip that the rows are made of."""
    try:
        paced = answer(machine, "ping", address, PINGS, PING_EVERY_US, limit=10.0)
        lost = paced["sent"] - paced["received"]
        corrupt = f", {paced['corrupt']} answered with other bytes" if paced["corrupt"] else ""
        yield row("ping.loss", lost == 0 and paced["sent"] == PINGS, lost, f"of {paced['sent']}{corrupt}")
    except Failed as problem:
        yield missing("ping.loss", str(problem))
    try:
        echoes = answer(machine, "ping", address, ECHOES, 0, limit=30.0)
    except Failed as problem:
        yield missing("ping.rtt_p50", str(problem))
        yield missing("ping.rtt_p99", str(problem))
        return
    rtt_ns += echoes["rtt_ns"]
    yield from round_trips(echoes, machine.board.secure.task[0].period_us * RTT_P50_PERIODS)


def round_trips(echoes: dict[str, Any], limit_p50_us: float) -> Iterator[Row]:
    """Both rows from the answer of ping.py."""
    rtt = echoes["rtt_ns"]
    counted = f"{len(rtt):,} of {ECHOES:,} answered"
    for ident, percent, limit in (("ping.rtt_p50", 50, limit_p50_us), ("ping.rtt_p99", 99, RTT_P99_MAX_US)):
        if rtt:
            value = percentile(rtt, percent) / 1000
            yield row(ident, len(rtt) == ECHOES and value <= limit, value, f"{counted}; at most {limit:,.0f}")
        else:
            yield missing(ident, counted)


def udp(machine: Machine, address: str, seed: int, port: int = ECHO_PORT) -> Row:
    longest = machine.board.channel.mtu - IP_UDP_HEADERS
    try:
        got = answer(machine, "udp", address, port, DATAGRAMS, longest, seed, limit=20.0)
    except Failed as problem:
        return missing("udp.echo_ok", str(problem))
    detail = f"0 to {longest:,} bytes, seed {seed:#x}"
    if got["foreign"]:
        detail += f"; {got['foreign']} came back that were not sent"
    return row("udp.echo_ok", got["echoed"] == DATAGRAMS and not got["foreign"], got["echoed"], detail)


def tcp(machine: Machine, address: str, seed: int, port: int = ECHO_PORT, *, half_closes: bool = True) -> Row:
    """`half_closes`: the stack answers what it has read before the peer's end, also after that."""
    try:
        got = answer(machine, "tcp_echo", address, port, TCP_BYTES, seed, 15, int(half_closes), limit=20.0)
    except Failed as problem:
        return missing("tcp.echo_exact", str(problem))
    ok = got["exact"] == got["received"] == TCP_BYTES and got["closed"]
    detail = f"{got['seconds']:.2f} s, seed {seed:#x}"
    if got["error"]:
        detail = f"{got['error']} after {got['received']:,} bytes"
    elif got["exact"] < got["received"]:
        detail += f"; byte {got['exact']:,} differs"
    elif not got["closed"]:
        detail += "; it was not closed in order"
    return row("tcp.echo_exact", ok, got["exact"], detail)


def http(machine: Machine, address: str, port: int = HTTP_PORT) -> Row:
    """The page for people, the same as data, and a page that is not there."""
    try:
        got = answer(machine, "web", address, port, "/", "/status.json", "/missing", limit=20.0)
        if got["error"]:
            return missing("http.ok", got["error"])
        page, data, absent = got["pages"]
        state = msgspec.json.decode(data["text"], type=dict[str, Any]).get("state")
    except Failed as problem:
        return missing("http.ok", str(problem))
    except msgspec.DecodeError as problem:
        return row("http.ok", False, data["status"], f"/status.json: {problem}")
    ok = (page["status"], data["status"], absent["status"]) == (200, 200, 404)
    ok = ok and "<html" in page["text"] and data["type"] == "application/json" and state == "RUN"
    detail = f"/ {page['status']}, /status.json {data['status']} (link {state}), /missing {absent['status']}"
    return row("http.ok", ok, page["status"], detail)
