# SPDX-License-Identifier: MIT
"""`isthmus check --machine host`: both worlds as processes, everything proved once, everything taken down."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable
from pathlib import Path

from isthmus import build
from isthmus.board import Board
from isthmus.check import isolation, restart, throughput, traffic
from isthmus.check.counters import Ledger
from isthmus.check.critical import Account
from isthmus.check.evidence import Evidence
from isthmus.check.rows import CATALOGUE, Row, missing
from isthmus.errors import EnvironmentProblem
from isthmus.host import HostMachine, World
from isthmus.host.pump import frame_pump

__all__ = ["TOPICS", "check_host"]

TOPICS = ("build", "link", "ping", "traffic", "throughput", "restart", "isolation", "counters")

Began = Callable[[str], None]
Programs = dict[World, Path]


def check_host(
    board: Board, seed: int, began: Began, evidence: Evidence, world: Path | None = None
) -> tuple[str, list[Row]]:
    """Runs everything; `began` hears each topic as it begins. What goes wrong before "link" raises.

    Returns how frames reached the Linux stack ("tap" or "packet") and the rows in the catalogue's order.
    Raises EnvironmentProblem where it cannot be brought up.
    """
    began("build")
    programs: Programs = {"secure": world or build.secure_world(), "normal": frame_pump()}
    at = time.monotonic()
    with HostMachine(board, bare_timer=True, programs=programs) as machine:
        started_s = time.monotonic() - at
        rows: list[Row] = []
        ledger = Ledger()
        account = Account()
        account.look(machine)
        rows += functions(machine, started_s, seed, began, evidence, half_closes=world is None)
        began("throughput")
        rows += compared(machine, programs)
        ledger.close(machine)
        began("restart")
        found = restart.campaign(machine, account, seed)
        restart.show(found, evidence)
        rows += restart.rows(found)
        began("isolation")
        rows += isolation.isolation(machine)
        began("counters")
        ledger.open(machine)
        list(traffic.ping(machine, board.secure.address, []))
        ledger.close(machine)
        rows.append(ledger.row())
        account.look(machine)
        rows += account.rows()
        order = list(CATALOGUE)
        return machine.interface_kind, sorted(rows, key=lambda r: order.index(r.id))


def compared(machine: HostMachine, programs: Programs) -> Iterable[Row]:
    """Throughput, beside a second machine that stands only for as long: it would disturb the round trips."""
    try:
        with HostMachine(machine.board, plain=True, programs=programs) as baseline:
            yield from throughput.throughput(machine, baseline)
    except EnvironmentProblem as problem:
        for ident, _ in throughput.DIRECTIONS:
            yield missing(ident, f"nothing to compare with: {problem}")


def functions(
    machine: HostMachine, started_s: float, seed: int, began: Began, evidence: Evidence, *, half_closes: bool
) -> Iterable[Row]:
    """What a user of the link does: ping, UDP, TCP, HTTP. `half_closes`: see traffic.tcp()."""
    address = machine.board.secure.address
    began("link")
    yield traffic.link(machine, started_s)
    began("ping")
    yield from traffic.ping(machine, address, evidence.rtt_ns)
    began("traffic")
    yield traffic.udp(machine, address, seed)
    yield traffic.tcp(machine, address, seed, half_closes=half_closes)
    yield traffic.http(machine, address)
