# SPDX-License-Identifier: MIT
"""`isthmus check --machine qemu`: Linux and the critical OS on an emulated TrustZone machine.

The machine's time counts instructions (1 ns each): deadlines, round trips and rates see the work done, not
how busy this computer is. Everything is measured in the guest's time, on one start of the machine.
"""

from __future__ import annotations

import itertools
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from isthmus.build.python import INTERPRETER
from isthmus.check import reach, traffic
from isthmus.check.counters import Ledger
from isthmus.check.critical import missed_row
from isthmus.check.evidence import Evidence
from isthmus.check.program import Failed, answer
from isthmus.check.restart import RECOVERY_MAX_S
from isthmus.check.rows import CATALOGUE, Row, missing, row
from isthmus.check.throughput import DIRECTIONS, PORT
from isthmus.errors import ClosedError, EnvironmentProblem, LinkDown
from isthmus.qemu import count
from isthmus.qemu.linked import LinkedMachine, ProgramFailed
from isthmus.trustzone.board import TrustZone

__all__ = ["TOPICS", "check_qemu"]

TOPICS = ("build", "link", "ping", "traffic", "throughput", "restart", "isolation", "counters", "crash")

STREAM_MS = 50
RESTARTS = 2  # of each world
STARTS_S = 60.0  # for the programs to start
SETTLE_US = 30_000  # of traffic before the first restart and after each
COUNTED = 0.93  # of a cost in ns: a task keeps back a sixteenth, and the clock that it watches has steps
FLOOD_US = 300_000  # from the start of its program to the panic
PANIC = "echo c >/proc/sysrq-trigger"
BOOT_S = 60.0  # of this computer's time, for Linux to boot again
REBOOT_MAX_S = 5.0  # of the machine's time, until the link is up again
UPTIME_S = 0.01  # how finely Linux tells its time

Began = Callable[[str], None]
Trouble = (Failed, ProgramFailed, LinkDown, ClosedError, TimeoutError)


def check_qemu(
    board: TrustZone, seed: int, began: Began, evidence: Evidence, world: Path | None = None
) -> tuple[str, list[Row]]:
    """Runs everything on one machine; `began` hears each topic as it begins. A machine that does not come up
    raises EnvironmentProblem, one that is lost on the way ClosedError.

    Returns how frames reached the Linux stack, and the rows in the catalogue's order.
    """
    began("build")
    at = time.monotonic()
    with TemporaryDirectory(prefix="isthmus-") as folder:
        laps = Path(folder) / "laps"
        watched = count.arguments(board, laps, until=board.boot.storage, program=world)
        with LinkedMachine(board, files=reach.files(), counted=True, more=watched, payload=world) as machine:
            critical = Critical(work_before_linux(laps))
            return _checked(machine, seed, began, evidence, at, critical, half_closes=world is None)


def _checked(
    machine: LinkedMachine, seed: int, began: Began, evidence: Evidence, at: float, critical: Critical, *,
    half_closes: bool,
) -> tuple[str, list[Row]]:  # fmt: skip
    board = machine.board
    started_s = time.monotonic() - at
    evidence.follow(board.secure.task[0], board.secure.blocking.us, machine.record)

    def topic(name: str) -> None:
        machine.require()
        began(name)
        evidence.topic(name)

    ledger = Ledger()
    critical.look(machine)
    rows: list[Row] = []
    topic("link")
    rows.append(traffic.link(machine, started_s))
    topic("ping")
    rows += traffic.ping(machine, board.secure.address, evidence.rtt_ns)
    topic("traffic")
    rows.append(traffic.udp(machine, board.secure.address, seed))
    rows.append(traffic.tcp(machine, board.secure.address, seed, half_closes=half_closes))
    rows.append(traffic.http(machine, board.secure.address))
    topic("throughput")
    rows += throughput(machine)
    ledger.close(machine)
    topic("restart")
    rows += restarts(machine, seed, evidence)
    topic("isolation")
    rows += reach.isolation(machine)
    topic("counters")
    ledger.open(machine)
    traffic.udp(machine, board.secure.address, seed)
    ledger.close(machine)
    rows.append(ledger.row())
    critical.look(machine)
    rows += critical.rows(machine)
    topic("crash")
    rows = [crash(machine, evidence, r) if r.id == "restart.normal" else r for r in rows]
    machine.require()
    evidence.close()
    order = list(CATALOGUE)
    return machine.interface_kind, sorted(rows, key=lambda r: order.index(r.id))


def throughput(machine: LinkedMachine) -> Iterator[Row]:
    """Both directions; the rate of a processor that executes an instruction per nanosecond."""
    for ident, direction in DIRECTIONS:
        try:
            got = answer(
                machine, "stream", direction, machine.board.secure.address, PORT, STREAM_MS, limit=15.0
            )
        except Failed as problem:
            yield missing(ident, str(problem))
            continue
        rate = got["bytes"] * 8 / got["seconds"] / 1e6 if got["seconds"] else 0.0
        yield row(ident, rate > 0, rate, f"{got['bytes'] / 1e6:.1f} MB, at one instruction per ns")


# ---- the critical task -------------------------------------------------------------------------------------


@dataclass
class Critical:
    """The control task's account between two looks, through every restart: it never stops.

    `before_linux`: instructions that its interrupt had executed when the Normal world's first was, as the
    emulator counted them; None: nobody saw that."""

    before_linux: int | None = None
    looks: list[tuple[float, dict[str, Any], float]] = field(default_factory=list)  # Linux's time around each
    trouble: str = ""

    def look(self, machine: LinkedMachine) -> None:
        try:
            before = machine.uptime()
            report = machine.status("secure")["critical"]
            self.looks.append((before, report, machine.uptime() + UPTIME_S))
        except Trouble as problem:
            self.trouble = str(problem)

    def rows(self, machine: LinkedMachine) -> Iterator[Row]:
        if self.trouble or len(self.looks) < 2:
            names = (name for name in CATALOGUE if name.startswith("critical."))
            yield from (missing(ident, self.trouble or "no report") for ident in names)
            return
        (before_a, a, after_a), (before_b, b, after_b) = self.looks[0], self.looks[-1]
        blocking = machine.board.secure.blocking.us
        yield missed_row([b])
        late = b["late_kernel_us"]
        yield row(
            "critical.late_kernel",
            late["max"] <= blocking,
            late["p50"],
            f"no kernel releases it: lateness p50, p99, max {late['p50']}, {late['p99']}, {late['max']}; "
            f"at most {blocking}, the board's longest masked stretch",
        )
        yield periods(a, b, before_b - after_a, after_b - before_a)
        yield first_period(self.before_linux, b)


def periods(first: dict[str, Any], last: dict[str, Any], least_s: float, most_s: float) -> Row:
    """Of each task that time releases: as many as went by, none skipped. The value is the first one's."""
    ok, told = True, []
    for a, b in zip(first["tasks"], last["tasks"], strict=True):
        if b["runs"] == "inside":
            continue  # datagrams release it
        passed = b["periods"] - a["periods"]
        least, most = (s * 1e6 / b["period_us"] for s in (least_s, most_s))
        ok = ok and b["skipped"] == 0 and least - 2 <= passed <= most + 2
        told.append(f"{b['name']} {passed:,} of {least:,.0f} to {most:,.0f}, {b['skipped']} skipped")
    passed = last["periods"] - first["periods"]
    detail = f"{'; '.join(told)}, by Linux's clock through every restart"
    return row("critical.periods", ok and bool(told), passed, detail)


def work_before_linux(laps: Path) -> int | None:
    """See Critical.before_linux."""
    ends = [lap for lap in count.laps(laps) if lap.mark == count.END] if laps.is_file() else []
    return ends[0].total.critical if ends else None


def first_period(before_linux: int | None, report: dict[str, Any]) -> Row:
    """By the emulator's count, not by what either world says: an instruction takes a nanosecond there, so the
    first periods of the tasks above and below are as many as their cost has. Both come before Linux."""
    took = report["first_period_us"]
    cost = sum(t["cost_us"] for t in report["tasks"] if t["runs"] != "inside") * 1000
    if before_linux is None:
        return missing("critical.first_period", "the emulator saw no instruction of the Normal world's")
    ok = before_linux >= cost * COUNTED and 0 < took <= report["deadline_us"]
    detail = (
        f"since the runtime's start. The emulator counted {before_linux:,} instructions of the scheduler "
        f"and its tasks before the Normal world's first, the loader's; a period of each has {cost:,}"
    )
    return row("critical.first_period", ok, took, detail)


# ---- restarts ----------------------------------------------------------------------------------------------


@dataclass
class Pause:
    """A restart happened between two looks at Linux's clock."""

    world: str
    since: float
    until: float
    renewed: bool  # the session has another epoch than before

    def seconds(self, arrivals: list[float]) -> float:
        """The longest time without a frame there; infinite where none came after it."""
        if not arrivals or arrivals[-1] < self.until - UPTIME_S - SETTLE_US / 2e6:
            return float("inf")
        gaps = itertools.pairwise(arrivals)
        return max((b - a for a, b in gaps if b > self.since and a < self.until), default=float("inf"))


def restarts(machine: LinkedMachine, seed: int, evidence: Evidence) -> Iterator[Row]:
    """Raw sequenced frames and TCP cross all the time; a held TCP connection outlives the driver."""
    board = machine.board
    own = (board.normal.interface, board.normal.mac, board.secure.mac)
    pauses: list[Pause] = []
    counted = {"torn": 0, "stale": 0}

    def count_raw() -> None:  # the Secure world's own count, which its restart clears
        told = machine.status("secure")["apps"]["raw"]
        for name in counted:
            counted[name] += told[name]

    def paused(world: str, act: Callable[[], None]) -> None:
        epoch, since = machine.epoch, machine.uptime()
        with evidence.restart("driver reloaded" if world == "normal" else "stack begins anew"):
            act()
            machine.wait_up(timeout=10.0)
        machine.run(f"usleep {SETTLE_US}")
        pauses.append(Pause(world, since, machine.uptime(), machine.epoch != epoch))

    def reload() -> None:
        done = machine.run("rmmod isthmus && insmod /modules/isthmus.ko", 120)
        if done.status:
            raise Failed(f"the driver does not come back: {done.errors.strip()}")
        machine.configure()

    def anew() -> None:
        assert machine.console is not None
        machine.console.restart(60.0)

    try:
        before = machine.status("secure")["apps"]
        with (
            machine.program("raw", *own, seed) as raw,
            machine.program("stream", "flood", board.secure.address, PORT, 0) as flood,
            machine.program("hold", board.secure.address, traffic.ECHO_PORT) as hold,
        ):
            await_traffic(machine, before)
            machine.run(f"usleep {SETTLE_US}", 120)
            for _ in range(RESTARTS):
                paused("normal", reload)
            held = hold.answer(limit=15.0)
            for _ in range(RESTARTS):
                count_raw()
                paused("secure", anew)
            sent = raw.answer(limit=15.0)
            count_raw()
            flooded = flood.answer(limit=15.0)
        page = answer(machine, "web", board.secure.address, traffic.HTTP_PORT, "/status.json", limit=10.0)
    except (*Trouble, EnvironmentProblem) as problem:
        for ident in ("restart.normal", "restart.secure", "restart.torn"):
            yield missing(ident, str(problem))
        return
    arrivals = [arrived for _, arrived in sent["passed"]]
    lives_on = f"a TCP connection lived on, echo paused {held['pause_s']:.3f} s"
    if not held["exact"]:
        lives_on = f"the TCP connection did not survive: {held['error'] or 'its bytes differ or are missing'}"
    reloaded = f"driver unloaded and loaded under traffic; {lives_on}"
    yield restarted("restart.normal", pauses, arrivals, held["exact"], reloaded)
    answers = bool(page["pages"]) and page["pages"][0]["status"] == 200
    began = f"channel and stack began anew; the status page {'answers' if answers else 'does not answer'}"
    yield restarted("restart.secure", pauses, arrivals, answers, began)
    bad = sent["torn"] + sent["stale"] + sum(counted.values())
    detail = (
        f"{len(arrivals):,} of {sent['sent']:,} raw frames came back through {len(pauses)} restarts, beside "
        f"{flooded['bytes'] / 1e6:,.1f} MB of TCP in {flooded['connections']} connections"
    )
    if bad:
        detail += f"; seen here: {sent['torn']} torn, {sent['stale']} stale; by the Secure world: {counted}"
    yield row("restart.torn", bad == 0 and len(arrivals) > 0, bad, detail)


def flood(address: str) -> str:
    """A script that leaves traffic running, to end with its Linux."""
    program = f"{INTERPRETER} -I -S /programs/stream.py flood {address} {PORT} 0"
    return f"sleep 1000000 | {program} >/dev/null 2>&1 & usleep {FLOOD_US}"


def crash(machine: LinkedMachine, evidence: Evidence, reloaded: Row) -> Row:
    """Linux dies of a panic during traffic and boots anew. `reloaded` is this row for the driver alone, which
    has to hold too. Times by the Secure world's clock, which runs on."""
    if not reloaded.ok:
        return reloaded
    task, boot_id, epoch = machine.board.secure.task[0], machine.boot_id, machine.epoch
    begun, counted = evidence.look(), evidence.written
    try:
        machine.run(flood(machine.board.secure.address))
        with evidence.restart("Linux crashes, boots anew"):
            machine.reboot(PANIC, BOOT_S)
            machine.wait_up(timeout=BOOT_S)
        pinged = answer(machine, "ping", machine.board.secure.address, 20, 1000, limit=10.0)
        tasks = machine.status("secure")["critical"]["tasks"]
        renewed = machine.boot_id != boot_id and machine.epoch != epoch
    except (*Trouble, EnvironmentProblem) as problem:
        return missing("restart.normal", str(problem))
    ended = evidence.look()
    noted = {m.what: m.at_s for m in evidence.moments if begun is not None and m.at_s > begun}
    if begun is None or ended is None or not {"Linux restarts", "link up"} <= noted.keys():
        return missing("restart.normal", f"the Secure world noted no restart of Linux but {list(noted)}")
    took = noted["link up"] - noted["Linux restarts"]
    passed, due = evidence.written - counted, (ended - begun) * 1e6 / task.period_us
    missed, skipped = (sum(t[name] for t in tasks) for name in ("missed", "skipped"))
    steady = abs(passed - due) <= 2 and missed == skipped == 0
    ok = renewed and steady and pinged["received"] == pinged["sent"] and took <= REBOOT_MAX_S
    detail = (
        f"Linux panicked under traffic and booted anew, boot id and epoch "
        f"{'changed' if renewed else 'did not change'}; "
        f"{passed:,} of {due:,.0f} periods of the {task.name} task meanwhile, {missed} deadlines missed; "
        f"{reloaded.detail}"
    )
    return row("restart.normal", ok, took, detail)


def await_traffic(machine: LinkedMachine, before: dict[str, Any]) -> None:
    """Until raw frames come and the held connection stands. Raises Failed after STARTS_S."""
    end = time.monotonic() + STARTS_S
    while time.monotonic() < end:
        now = machine.status("secure")["apps"]
        begun = (
            now["raw"]["ok"] - before["raw"]["ok"],
            now["tcp_echo"]["bytes"] - before["tcp_echo"]["bytes"],
        )
        if all(begun):
            return
        time.sleep(0.1)
    raw, held = begun
    raise Failed(f"no traffic to restart in within {STARTS_S:g} s: {raw} raw frames, {held} bytes held")


def restarted(ident: str, pauses: list[Pause], arrivals: list[float], ok: bool, detail: str) -> Row:
    ours = [p for p in pauses if ident.endswith(p.world)]
    seconds = [p.seconds(arrivals) for p in ours]
    worst = max(seconds)
    times = ", ".join("never" if s == float("inf") else f"{s:.3f}" for s in seconds)
    if not all(p.renewed for p in ours):
        ok, detail = False, f"the session's epoch is the old one; {detail}"
    value = None if worst == float("inf") else worst
    return row(ident, ok and worst <= RECOVERY_MAX_S, value, f"worst of {times}; {detail}")
