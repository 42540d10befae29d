# SPDX-License-Identifier: MIT
"""Every row of `isthmus check` can fail: each fault here comes from outside the product.

SIGSTOP, a debugger                                                a world that is slow or stands still
another destination                                                a server that is not there, or does wrong
the frame pump on a kernel that loses, flips, doubles, delays      tests/worlds/faulty_pump.c
raw frames of a stranger                                           torn and repeated frames
a world without its defences                                       the positive controls of the isolation rows
"""

from __future__ import annotations

import ctypes
import os
import signal
import socket
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from host_tools import eventually, raw_frame
from isthmus.build import build_program
from isthmus.check import counters, isolation, restart, throughput, traffic
from isthmus.check.counters import Ledger, Rest
from isthmus.check.critical import Account
from isthmus.check.program import argv
from isthmus.check.rows import Row
from isthmus.host import HostMachine, World
from isthmus.resources import tree

pytestmark = [pytest.mark.host, pytest.mark.needs("processes")]

SECURE, NORMAL, NOBODY = "10.77.0.2", "10.77.0.1", "10.77.0.77"


@pytest.fixture(scope="module")
def machine() -> Iterator[HostMachine]:
    with HostMachine(bare_timer=True) as machine:
        yield machine


@pytest.fixture(autouse=True)
def link_is_up(machine: HostMachine) -> Iterator[None]:
    """A fault does not outlive its test."""
    yield
    machine.wait_up(10)


# ---- faults ------------------------------------------------------------------------------------------


@contextmanager
def stopped(pid: int) -> Iterator[None]:
    os.kill(pid, signal.SIGSTOP)
    try:
        yield
    finally:
        os.kill(pid, signal.SIGCONT)


@contextmanager
def in_thread(work: Callable[[threading.Event], None]) -> Iterator[None]:
    """Runs work(over) beside the block; `over` is set when the block ends."""
    over = threading.Event()
    thread = threading.Thread(target=work, args=(over,))
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join()


class Disguised:
    """A machine of which a test replaces something."""

    def __init__(self, machine: HostMachine) -> None:
        self.machine = machine

    def __getattr__(self, name: str) -> Any:
        return getattr(self.machine, name)


class Sluggish(Disguised):
    """A machine whose killed world comes back late: its first process, which would start it, stands still."""

    def __init__(self, machine: HostMachine, world: World) -> None:
        super().__init__(machine)
        self.world = world

    def kill(self, world: World) -> None:
        if world != self.world:
            return self.machine.kill(world)
        pid, before = self.machine.pid(world), self.machine.epoch
        with stopped(parent_of(pid)):
            os.kill(pid, signal.SIGKILL)
            time.sleep(restart.RECOVERY_MAX_S + 0.1)
        assert eventually(lambda: self.machine.epoch != before)  # it may be back before we look
        return None


def parent_of(pid: int) -> int:
    return int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[1])


def faulty_pump(**faults: int) -> Path:
    core, host, own = tree() / "core", tree() / "host", tree() / "worlds" / "normal" / "host"
    sources = [*sorted(core.glob("*.c")), host / "link.c", host / "world.c"]
    sources += [f for f in sorted(own.glob("*.c")) if f.name != "pump.c"]
    sources.append(Path(__file__).parent / "worlds" / "faulty_pump.c")
    defines = [f"-D{name.upper()}={n}" for name, n in faults.items()]
    return build_program("faulty-pump", sources, [core, host, own], ["-std=c11", "-O2", *defines])


@contextmanager
def machine_with(**faults: int) -> Iterator[HostMachine]:
    with HostMachine(programs={"normal": faulty_pump(**faults)}) as machine:
        yield machine


def holds(without_a_fault: Callable[[], bool]) -> bool:
    """In one of a few tries: what a neighbour on this computer takes is no fault of ours, and ours is in
    each of them."""
    return any(without_a_fault() for _ in range(5))


def by_id(rows: Iterator[Row]) -> dict[str, Row]:
    return {row.id: row for row in rows}


# ---- link, ping ----------------------------------------------------------------------------------------


def test_link_up_fails_when_a_world_does_not_answer(machine: HostMachine) -> None:
    with stopped(machine.pid("secure")):
        row = traffic.link(machine, 0.1)
    assert not row.ok
    assert "secure world did not report" in row.detail


def test_ping_loss_fails_when_frames_are_lost(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(traffic, "ECHOES", 10)
    with machine_with(lose_every=50) as machine:
        row = by_id(traffic.ping(machine, SECURE, []))["ping.loss"]
    assert (row.ok, row.value) == (False, 4)


def test_round_trips_fail_when_the_pump_is_slow(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(traffic, "ECHOES", 100)
    with machine_with(late_every=10, late_us=60_000) as machine:
        rows = by_id(traffic.ping(machine, SECURE, []))
    assert not rows["ping.rtt_p99"].ok
    assert rows["ping.rtt_p99"].value is not None
    with machine_with(late_every=1, late_us=2_000) as machine:
        rows = by_id(traffic.ping(machine, SECURE, []))
    assert not rows["ping.rtt_p50"].ok
    assert rows["ping.rtt_p50"].value is not None


# ---- UDP --------------------------------------------------------------------------------------


def test_udp_fails_when_frames_are_spoilt(seed: int) -> None:
    with machine_with(flip_every=100) as machine:
        row = traffic.udp(machine, SECURE, seed)
    assert not row.ok
    assert row.value is not None
    assert 900 < row.value < 1000


# ---- throughput ------------------------------------------------------------------------------------------


def test_throughput_fails_when_the_pump_is_slow() -> None:
    with HostMachine(plain=True) as baseline, machine_with(late_every=1, late_us=5_000) as machine:
        rows = by_id(throughput.throughput(machine, baseline))
    assert set(rows) == {"tcp.to_secure", "tcp.to_normal"}
    assert not any(row.ok for row in rows.values())
    assert all(row.value is not None for row in rows.values())


# ---- the critical task ------------------------------------------------------------------------------------


def watched(machine: HostMachine, work: Callable[[], Any]) -> dict[str, Row]:
    """The rows of what the critical task reports of a time of its own."""
    account = Account()
    account.look(machine)
    work()
    account.look(machine)
    return by_id(account.rows())


def test_missed_moves_when_the_receive_path_stalls(machine: HostMachine) -> None:
    def stalled() -> None:
        machine.stall(2000)
        list(traffic.ping(machine, SECURE, []))

    before = machine.status("secure")["critical"]["missed"]
    row = watched(machine, stalled)["critical.missed"]
    assert not row.ok
    assert row.value is not None
    assert row.value > before
    machine.kill("secure")  # its account is spoilt for the tests behind this one
    machine.wait_up()
    assert watched(machine, lambda: list(traffic.ping(machine, SECURE, [])))["critical.missed"].ok


def test_periods_fail_when_the_task_does_not_run(machine: HostMachine) -> None:
    def stand_still() -> None:
        with stopped(machine.pid("secure")):
            time.sleep(0.5)

    assert holds(lambda: watched(machine, lambda: time.sleep(0.3))["critical.periods"].ok)
    row = watched(machine, stand_still)["critical.periods"]
    assert not row.ok


def debugged(tid: int, seconds: float) -> None:
    """Stops one thread again and again, as a debugger does, and no other of its process."""
    seize, interrupt, go_on, detach, wall = 0x4206, 0x4207, 7, 17, 0x40000000
    libc = ctypes.CDLL(None, use_errno=True)

    def ptrace(request: int) -> None:
        if libc.ptrace(request, tid, None, None) < 0:
            raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))

    ptrace(seize)
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        ptrace(interrupt)
        os.waitpid(tid, wall)
        time.sleep(0.03)
        ptrace(go_on)
        time.sleep(0.002)
    ptrace(interrupt)
    os.waitpid(tid, wall)
    ptrace(detach)


def test_lateness_fails_when_the_kernel_treats_the_task_worse_than_the_timer() -> None:
    with HostMachine(bare_timer=True) as machine:
        machine.kill("secure")  # a new life, all of it spent like this
        machine.wait_up()
        row = watched(machine, lambda: debugged(machine.pid("secure"), 0.5))["critical.late_kernel"]
    assert not row.ok
    assert row.value is not None


# ---- restarts
# ------------------------------------------------------------------------------------------------


def killed_once(machine: HostMachine, seed: int) -> dict[str, Row]:
    return by_id(restart.rows(restart.campaign(machine, Account(), seed, kills=1)))


def test_restarts_hold_without_a_fault(machine: HostMachine, seed: int) -> None:
    found: list[Row] = []

    def hold() -> bool:
        found[:] = killed_once(machine, seed).values()
        return all(row.ok for row in found)

    assert holds(hold), found


@pytest.mark.parametrize("world", ["normal", "secure"])
def test_restart_fails_when_it_takes_too_long(machine: HostMachine, seed: int, world: World) -> None:
    sluggish: Any = Sluggish(machine, world)
    row = killed_once(sluggish, seed)[f"restart.{world}"]
    assert not row.ok
    assert row.value is not None
    assert row.value > 1


def test_torn_counts_frames_of_a_stranger(machine: HostMachine, seed: int) -> None:
    """Torn and repeated frames arrive at the Secure world, which counts them; what it answers is not ours."""

    def strange(over: threading.Event) -> None:
        whole = raw_frame(1, 1, 100)
        with machine.socket(socket.AF_PACKET, socket.SOCK_RAW) as link:
            link.bind((machine.board.normal.interface, 0))
            while not over.wait(0.02):
                link.send(whole)  # of an incarnation long past
                link.send(whole[:60] + b"?" + whole[61:])

    with in_thread(strange):
        row = killed_once(machine, seed)["restart.torn"]
    assert not row.ok
    assert "by the Secure world: 0 torn" not in row.detail


def test_torn_counts_frames_that_come_twice(seed: int) -> None:
    with machine_with(double_every=100) as machine:
        row = killed_once(machine, seed)["restart.torn"]
    assert not row.ok
    assert row.value is not None
    assert "seen here: 0 torn, 0 stale" not in row.detail


def test_torn_counts_frames_that_are_spoilt(seed: int) -> None:
    with machine_with(flip_every=20) as machine:
        row = killed_once(machine, seed)["restart.torn"]
    assert not row.ok
    assert "seen here: 0 torn" not in row.detail


# ---- isolation
# -----------------------------------------------------------------------------------------------


class Exposed(Disguised):
    """A machine with a Secure world that has none of its defences: a memfd without seals, and a process that
    may be looked into, in the Normal world's own namespaces.
    """

    def __init__(self, machine: HostMachine) -> None:
        super().__init__(machine)
        self.entered = machine.popen(["sleep", "60"])
        self.memory = os.memfd_create("open", os.MFD_CLOEXEC | os.MFD_ALLOW_SEALING)
        os.ftruncate(self.memory, 1 << 16)

    def buffer(self, world: World) -> int:
        return os.dup(self.memory)

    def pid(self, world: World) -> int:
        if world == "normal":
            return self.machine.pid("normal")
        enter = self.entered.pid
        children: list[str] = []

        def found() -> bool:
            children[:] = Path(f"/proc/{enter}/task/{enter}/children").read_text().split()
            return bool(children) and Path(f"/proc/{children[0]}/comm").read_text().strip() == "sleep"

        assert eventually(found)
        return int(children[0])

    def close(self) -> None:
        self.entered.kill()
        self.entered.wait()
        os.close(self.memory)


def test_isolation_holds(machine: HostMachine) -> None:
    assert [row for row in isolation.isolation(machine) if not row.ok] == []


def test_every_attempt_succeeds_against_a_world_without_defences(machine: HostMachine) -> None:
    exposed: Any = Exposed(machine)
    try:
        rows = by_id(isolation.isolation(exposed))
    finally:
        exposed.close()
    assert not any(row.ok for row in rows.values())
    for row in rows.values():
        assert "0 of " in row.detail.split("; ")[-1], (
            f"an attempt that cannot succeed proves nothing: {row.detail}"
        )
    for way in ("write", "map writable", "mprotect", "reopen", "chmod and reopen", "truncate", "ptrace"):
        assert way in rows["isolation.write"].detail
    for way in ("process_vm_readv", "pidfd_getfd", "/proc/PID/mem"):
        assert way in rows["isolation.read"].detail


def test_isolation_fails_when_the_probe_cannot_run(
    machine: HostMachine, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(isolation, "argv", lambda *a: argv("no_such_program"))
    assert [row.ok for row in isolation.isolation(machine)] == [False, False]


# ---- counters
# ---------------------------------------------------------------------------------------------------


class Tampered(Disguised):
    """A machine with one counter of one world's report falsified."""

    def __init__(self, machine: HostMachine, world: World, name: str, by: int) -> None:
        super().__init__(machine)
        self.world, self.name, self.by = world, name, by

    def status(self, world: World) -> dict[str, Any]:
        report = self.machine.status(world)
        if world == self.world:
            place = report["counters"] if self.name in report["counters"] else report
            place[self.name] += self.by
        return report


@pytest.fixture
def fresh() -> Iterator[HostMachine]:
    with HostMachine() as machine:
        list(traffic.ping(machine, SECURE, []))
        yield machine


def test_counters_fail_when_one_is_falsified(fresh: HostMachine) -> None:
    def counted(machine: Any) -> Row:
        ledger = Ledger()
        ledger.close(machine)
        return ledger.row()

    assert counted(fresh).ok
    faults: list[tuple[World, str, int]] = [
        ("normal", "sent", 1),
        ("secure", "OK", -1),
        ("normal", "OK", 1),
        ("secure", "GAP", 2),
    ]
    for world, name, by in faults:
        row = counted(Tampered(fresh, world, name, by))
        assert (row.ok, row.value) == (False, abs(by)), (world, name)


def test_counters_fail_when_the_link_does_not_rest(fresh: HostMachine) -> None:
    with fresh.popen(argv("ping", SECURE, 20_000, 500), stdout=subprocess.DEVNULL) as noise:
        before = fresh.status("secure")["sent"]
        assert eventually(lambda: fresh.status("secure")["sent"] > before + 10)
        ledger = Ledger()
        ledger.close(fresh)
        noise.kill()
    row = ledger.row()
    assert (row.ok, row.value) == (False, None)
    assert "did not come to rest" in row.detail


def test_counters_name_the_end_of_a_session(fresh: HostMachine) -> None:
    ledger = Ledger()
    fresh.kill("normal")
    fresh.wait_up()
    ledger.close(fresh)
    row = ledger.row()
    assert (row.ok, row.value) == (False, None)
    assert row.detail == "the session ended while it was watched: SIGKILL"


def test_counters_name_a_session_that_ends_while_it_comes_to_rest(
    fresh: HostMachine, monkeypatch: pytest.MonkeyPatch
) -> None:
    at_rest = counters.at_rest

    def ended(machine: HostMachine) -> Rest:
        machine.kill("normal")
        machine.wait_up()
        return at_rest(machine)

    monkeypatch.setattr(counters, "at_rest", ended)
    ledger = Ledger()
    ledger.close(fresh)
    assert ledger.row().detail == "the session ended while it was watched: SIGKILL"
