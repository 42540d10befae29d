# SPDX-License-Identifier: MIT
"""`isthmus check --machine host`: both worlds as processes, everything proved once, everything taken down."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable

from isthmus.board import Board
from isthmus.check import isolation, restart, throughput, traffic
from isthmus.check.counters import Ledger
from isthmus.check.critical import Account
from isthmus.check.rows import CATALOGUE, Row
from isthmus.host import HostMachine

__all__ = ["TOPICS", "check_host"]

TOPICS = ("link", "ping", "traffic", "throughput", "restart", "isolation", "counters")

Began = Callable[[str], None]


def check_host(board: Board, seed: int, began: Began) -> tuple[str, list[Row]]:
    """Runs everything; `began` hears each topic as it begins, and nothing before both machines stand.

    Returns how frames reached the Linux stack ("tap" or "packet") and the rows in the catalogue's order.
    Raises EnvironmentProblem where a machine cannot be brought up.
    """
    at = time.monotonic()
    with HostMachine(board, bare_timer=True) as machine:
        started_s = time.monotonic() - at
        rows: list[Row] = []
        ledger = Ledger()
        account = Account()
        account.look(machine)
        with HostMachine(board, plain=True) as baseline:
            rows += functions(machine, started_s, seed, began)
            began("throughput")
            rows += throughput.throughput(machine, baseline)
        ledger.close(machine)
        began("restart")
        rows += restart.rows(restart.campaign(machine, account, seed))
        began("isolation")
        rows += isolation.isolation(machine)
        began("counters")
        ledger.open(machine)
        list(traffic.ping(machine, board.secure.address))
        ledger.close(machine)
        rows.append(ledger.row())
        account.look(machine)
        rows += account.rows()
        order = list(CATALOGUE)
        return machine.interface_kind, sorted(rows, key=lambda r: order.index(r.id))


def functions(machine: HostMachine, started_s: float, seed: int, began: Began) -> Iterable[Row]:
    """What a user of the link does: ping, UDP, TCP, HTTP."""
    address = machine.board.secure.address
    began("link")
    yield traffic.link(machine, started_s)
    began("ping")
    yield from traffic.ping(machine, address)
    began("traffic")
    yield traffic.udp(machine, address, seed)
    yield traffic.tcp(machine, address, seed)
    yield traffic.http(machine, address)
