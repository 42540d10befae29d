# SPDX-License-Identifier: MIT
"""Kills each world in the middle of traffic and measures what comes through.

Raw sequenced frames cross in both directions all the time, and TCP fills the link beside them. While the
Normal world's pump is killed, a program there holds a TCP connection that must not notice more than a pause.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass, field
from typing import Any

from isthmus.check.critical import Account
from isthmus.check.evidence import Evidence, Span
from isthmus.check.program import Failed, Program, answer
from isthmus.check.rows import Row, missing, row
from isthmus.errors import LinkDown
from isthmus.host import HostMachine, World

__all__ = ["KILLS", "RECOVERY_MAX_S", "Campaign", "Kill", "campaign", "rows"]

KILLS = 3  # of each world
SETTLE_S = 0.25  # of traffic before the first kill and after each
PASS_LIMIT_S = 5.0  # for which frames are waited for: a recovery that takes too long is measured, too
RECOVERY_MAX_S = 1.0
ECHO_PORT, HTTP_PORT, FLOOD_PORT = 7, 80, 5001


@dataclass(frozen=True)
class Kill:
    """Asked for at `asked`; at `dead` the world was certainly dead. A frame sent in between may still
    have passed.
    """

    world: World
    asked: float
    dead: float


@dataclass
class Campaign:
    """What a series of kills has shown. Times are of the monotonic clock, in seconds."""

    kills: list[Kill] = field(default_factory=list)
    passed: list[tuple[float, float]] = field(default_factory=list)  # frames that came back: sent, arrived
    sent: int = 0
    torn: int = 0  # seen by the Normal world
    stale: int = 0
    secure_torn: int = 0  # counted by the Secure world
    secure_stale: int = 0
    flood: dict[str, Any] = field(default_factory=dict)
    held: dict[str, Any] = field(default_factory=dict)
    page: int = 0  # HTTP status of the last incarnation of the Secure world
    trouble: str = ""

    def recoveries(self, world: World) -> list[float]:
        """One per kill; infinite where frames did not pass again."""
        found = []
        for kill in self.kills:
            if kill.world == world:
                first = min((arrived for sent, arrived in self.passed if sent > kill.dead), default=None)
                found.append(float("inf") if first is None else first - kill.asked)
        return found


def count_raw(machine: HostMachine, found: Campaign) -> None:
    """Adds the Secure world's own count, which dies with its process."""
    raw = machine.status("secure")["apps"]["raw"]
    found.secure_torn += raw["torn"]
    found.secure_stale += raw["stale"]


def settle(machine: HostMachine) -> None:
    """Lets traffic pass, from the moment on when a raw frame is answered again."""
    before, end = echoed(machine), time.monotonic() + PASS_LIMIT_S
    while echoed(machine) == before and time.monotonic() < end:
        time.sleep(0.005)
    time.sleep(SETTLE_S)


def echoed(machine: HostMachine) -> int:
    """Raw frames that the Secure world has answered in this life of its process."""
    return int(machine.status("secure")["apps"]["raw"]["echoed"])


def kill(machine: HostMachine, world: World, found: Campaign) -> None:
    asked = time.monotonic()
    machine.kill(world)
    found.kills.append(Kill(world, asked, time.monotonic()))
    machine.wait_up()


def campaign(machine: HostMachine, account: Account, seed: int, kills: int = KILLS) -> Campaign:
    """Kills each world `kills` times during traffic. Whatever goes wrong is in the result."""
    board = machine.board
    address = board.secure.address
    found = Campaign()
    try:
        with ExitStack() as stack:
            own = (board.normal.interface, board.normal.mac, board.secure.mac)
            raw = stack.enter_context(Program(machine, "raw", *own, seed))
            flood = stack.enter_context(Program(machine, "stream", "flood", address, FLOOD_PORT, 0))
            hold = stack.enter_context(Program(machine, "hold", address, ECHO_PORT))
            time.sleep(2 * SETTLE_S)
            for _ in range(kills):
                kill(machine, "normal", found)
                settle(machine)
            found.held = hold.answer(limit=10.0)
            for _ in range(kills):
                account.look(machine)
                count_raw(machine, found)
                kill(machine, "secure", found)
                account.look(machine)
                settle(machine)
            sent = raw.answer(limit=10.0)
            count_raw(machine, found)
            found.flood = flood.answer(limit=10.0)
            pages = answer(machine, "web", address, HTTP_PORT, "/status.json", limit=10.0)["pages"]
            found.page = pages[0]["status"] if pages else 0
    except (LinkDown, Failed) as problem:
        found.trouble = str(problem)
        return found
    found.passed = [(a, b) for a, b in sent["passed"]]
    found.sent, found.torn, found.stale = sent["sent"], sent["torn"], sent["stale"]
    return found


def show(found: Campaign, evidence: Evidence) -> None:
    """What a report draws: the frames that came back, and how long after a kill there was none."""
    if not found.passed:
        return
    start = found.passed[0][0]
    evidence.arrivals_s = [arrived - start for _, arrived in found.passed]
    for kill in found.kills:
        back = (arrived for sent, arrived in found.passed if sent > kill.dead)
        first = min(back, default=found.passed[-1][1])
        what = f"{'Normal' if kill.world == 'normal' else 'Secure'} world killed"
        evidence.spans.append(Span("restart", what, kill.asked - start, first - start))


def rows(found: Campaign) -> Iterator[Row]:
    if found.trouble:
        for ident in ("restart.normal", "restart.secure", "restart.torn"):
            yield missing(ident, found.trouble)
        return
    held = found.held
    lives_on = f"a program and its TCP connection lived on, echo paused {held['pause_s']:.2f} s"
    if not held["exact"]:
        lives_on = f"the TCP connection did not survive: {held['error'] or 'its bytes differ or are missing'}"
    yield restarted("restart.normal", found.recoveries("normal"), held["exact"], lives_on)
    answers = "the status page answers again" if found.page == 200 else "the status page does not answer"
    yield restarted("restart.secure", found.recoveries("secure"), found.page == 200, answers)
    yield torn(found)


def restarted(ident: str, recoveries: list[float], ok: bool, detail: str) -> Row:
    worst = max(recoveries)
    times = ", ".join("never" if s == float("inf") else f"{s:.3f}" for s in recoveries)
    text = f"worst of {times}; {detail}"
    return row(ident, ok and worst <= RECOVERY_MAX_S, None if worst == float("inf") else worst, text)


def torn(found: Campaign) -> Row:
    bad = found.torn + found.stale + found.secure_torn + found.secure_stale
    detail = (
        f"{len(found.passed):,} of {found.sent:,} raw frames came back through {len(found.kills)} kills, "
        f"beside {found.flood['bytes'] / 1e6:,.0f} MB of TCP in {found.flood['connections']} connections"
    )
    if bad:
        detail += (
            f"; seen here: {found.torn} torn, {found.stale} stale; "
            f"by the Secure world: {found.secure_torn} torn, {found.secure_stale} stale"
        )
    return row("restart.torn", bad == 0 and len(found.passed) > 0, bad, detail)
