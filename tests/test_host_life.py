# SPDX-License-Identifier: MIT
"""The host machine's life: up, killed, restarted, down; and that it keeps to itself."""

from __future__ import annotations

import fcntl
import os
import signal
import socket
import stat
import struct
import subprocess
import sys
import time
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path
from typing import Literal

import msgspec
import pytest

from host_tools import (
    RawTraffic,
    echo_world,
    eventually,
    interfaces,
    mounts,
    namespaces_of,
    no_timer_helps,
    raw_frame,
    raw_identity,
)
from isthmus.board import Board, Channel
from isthmus.errors import ClosedError, EnvironmentProblem, PeerDead
from isthmus.host import HostMachine, World, supervisor
from isthmus.host.pump import frame_pump
from isthmus.host.supervisor import ATTACH_INTERVAL_S, backoff

pytestmark = [pytest.mark.host, pytest.mark.needs("processes")]

WORLDS: tuple[World, World] = ("normal", "secure")
SIOCGIFNAME = 0x8910


@pytest.fixture(scope="module", params=["auto", "packet"])
def machine(request: pytest.FixtureRequest) -> Iterator[HostMachine]:
    """A machine whose Secure world echoes frames, over whatever carries them here, and over veth. Shared: a
    test may kill its worlds, not close it."""
    with HostMachine(packet=request.param, programs={"secure": echo_world()}) as m:
        yield m


@pytest.fixture
def own() -> Iterator[HostMachine]:
    """The same, for one test alone."""
    with HostMachine(programs={"secure": echo_world()}) as m:
        yield m


@pytest.fixture(scope="module")
def whole() -> Iterator[HostMachine]:
    """A machine with lwIP, shared by tests that leave it as they found it."""
    with HostMachine() as m:
        yield m


# ---- up ----------------------------------------------------------------------------------------------


def test_the_pump_counts_what_passes(machine: HostMachine) -> None:
    machine.kill("normal")  # so that its counters start anew
    machine.wait_up()
    with RawTraffic(machine, incarnation=1) as traffic:
        traffic.send(30)
        assert traffic.settle()
        normal = machine.status("normal")
        assert normal["packet"]["read"] == normal["sent"] == traffic.sent
        assert normal["packet"]["written"] == normal["counters"]["OK"] == traffic.sent
        assert normal["packet"]["dropped"] == normal["packet"]["malformed"] == 0


@pytest.mark.parametrize("tag", ["crc32c", "siphash"])
def test_with_a_tag_and_cursors_below_the_wrap(tag: Literal["crc32c", "siphash"]) -> None:
    channel = Channel(tag=tag, first_cursor=0xFFFFF000, first_sequence=(1 << 32) - 3)
    machine = HostMachine(Board(channel=channel), programs={"secure": echo_world()})
    with machine, RawTraffic(machine, incarnation=3) as traffic:
        for _ in range(40):
            traffic.send()
            assert traffic.settle()
        assert traffic.faults() == (0, 0, 0)


def test_jumbo_frames() -> None:
    board = Board(channel=Channel(mtu=9000, frame_max=9024))
    machine = HostMachine(board, programs={"secure": echo_world()})
    with machine, RawTraffic(machine, incarnation=4, sizes=(8900, 8976)) as traffic:
        traffic.send(4)
        assert traffic.settle()
        assert traffic.sent == 4
        assert traffic.faults() == (0, 0, 0)


def test_a_full_ring_makes_the_kernel_queue_not_the_pump_drop() -> None:
    """Smallest rings, and a Secure world that stands still for a while: nothing is lost on the way there."""
    small = msgspec.structs.replace
    board = Board()
    board = Board(
        channel=Channel(frame_max=1536),
        normal=small(board.normal, ring_bytes=4096),
        secure=small(board.secure, ring_bytes=65536),
    )
    with HostMachine(board, programs={"secure": echo_world()}) as machine:
        os.kill(machine.pid("secure"), signal.SIGSTOP)
        with RawTraffic(machine, incarnation=5, sizes=(1000,)) as traffic:
            traffic.send(50)
            time.sleep(0.1)
            assert machine.status("normal")["packet"]["read"] < 50
            os.kill(machine.pid("secure"), signal.SIGCONT)
            assert traffic.settle()
            assert traffic.sent == 50
            assert traffic.faults() == (0, 0, 0)
            assert machine.status("normal")["counters"]["FULL"] == 0


# ---- it keeps to itself ------------------------------------------------------------------------------


def test_namespaces_of_its_own(machine: HostMachine) -> None:
    script = "for n in user mnt net pid ipc; do readlink /proc/self/ns/$n; done; ls /proc | grep -c '^[0-9]'"
    with machine.popen(["sh", "-c", script], stdout=subprocess.PIPE, text=True) as process:
        *inside, processes = (process.communicate()[0] or "").split()
    assert len(inside) == 5
    assert not set(inside) & namespaces_of(os.getpid())
    assert int(processes) < 10  # init, pump, the shell and its children; not the machine's
    if os.geteuid() == 0:  # nobody else may look: it is not dumpable
        secure = namespaces_of(machine.pid("secure"))
        assert len(secure) == 5
        assert not secure & (set(inside) | namespaces_of(os.getpid()))


def test_the_secure_world_has_no_interface(machine: HostMachine) -> None:
    supervisor = machine._live
    namespaces = supervisor.sides["secure"].namespaces
    assert namespaces is not None
    with machine._wait(namespaces.socket(socket.AF_INET, socket.SOCK_DGRAM, 0)) as inside:
        names = []
        for index in range(1, 64):
            request = bytearray(struct.pack("16si20x", b"", index))
            try:
                fcntl.ioctl(inside, SIOCGIFNAME, request)
            except OSError:
                continue
            names.append(bytes(request[:16]).rstrip(b"\0").decode())
    assert names == ["lo"]


def test_the_machine_is_as_before(machine: HostMachine) -> None:
    assert "ist0" not in interfaces()
    assert "port" not in interfaces()
    assert not any(name in mount for mount in mounts() for name in ("isthmus", "nsfs"))
    for table in ("route", "fib_trie"):
        assert "10.77.0" not in Path(f"/proc/self/net/{table}").read_text()


def test_the_pump_may_not_do_much(machine: HostMachine) -> None:
    status = Path(f"/proc/{machine.pid('normal')}/status").read_text()
    assert "Seccomp:\t2" in status
    assert "NoNewPrivs:\t1" in status


INTO_THE_PUMP = """
import ctypes, os
libc = ctypes.CDLL(None, use_errno=True)
numbers = [p for p in os.listdir("/proc") if p.isdigit()]
(pump,) = [p for p in numbers if open(f"/proc/{p}/comm").read() == "isthmus-normal\\n"]
for name in ("mem", "maps", "environ"):
    try:
        os.close(os.open(f"/proc/{pump}/{name}", os.O_RDONLY))
        print("opened", name)
    except PermissionError:
        pass
if libc.ptrace(0x4206, int(pump), None, None) == 0:  # PTRACE_SEIZE
    print("traced")
print("done")
"""


def test_no_program_of_the_normal_world_looks_into_the_pump(machine: HostMachine) -> None:
    """It holds the key of the tag, which is to bind just those programs, root of the world among them."""
    argv = [sys.executable, "-I", "-S", "-c", INTO_THE_PUMP]
    with machine.popen(argv, stdout=subprocess.PIPE, text=True) as process:
        assert process.communicate(timeout=30)[0] == "done\n"


def test_the_pump_leaves_no_core_file(machine: HostMachine) -> None:
    """The world's root may end it with a signal that does, and read the key of the tag there."""
    limits = Path(f"/proc/{machine.pid('normal')}/limits").read_text()
    (line,) = (line for line in limits.splitlines() if line.startswith("Max core file size"))
    assert line.split()[4:6] == ["0", "0"]


def test_buffers_are_sealed(machine: HostMachine) -> None:
    for world in WORLDS:
        fd = machine.buffer(world)
        try:
            assert stat.S_ISREG(os.fstat(fd).st_mode)
            with pytest.raises(PermissionError):
                os.ftruncate(fd, 0)
            with pytest.raises(PermissionError):
                os.pwrite(fd, b"x", 0)
        finally:
            os.close(fd)


# ---- restart -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("world", WORLDS)
def test_a_killed_world_is_back_at_once(
    machine: HostMachine, world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It waits for none of the supervisor's timers: each would come long after we gave up."""
    no_timer_helps(monkeypatch)
    before = machine.epoch
    other = machine.pid("secure" if world == "normal" else "normal")
    machine.kill(world)
    assert machine.wait_up(60) != before
    restart = machine.restarts[-1]
    assert (restart.world, restart.cause, restart.epoch) == (world, "SIGKILL", machine.epoch)
    assert machine.pid("secure" if world == "normal" else "normal") == other
    with RawTraffic(machine, incarnation=10) as traffic:
        traffic.send()
        assert traffic.settle()


def test_killed_from_outside_it_is_back_too(machine: HostMachine) -> None:
    for world in WORLDS:
        epoch = machine.epoch
        os.kill(machine.pid(world), signal.SIGKILL)
        assert eventually(lambda epoch=epoch: machine.up and machine.epoch != epoch)  # type: ignore[misc]


def test_killed_while_it_starts_it_is_back_too(machine: HostMachine) -> None:
    """Nobody knows its number then: it dies as soon as somebody does."""
    for world in WORLDS:
        machine.kill(world)
        while True:
            try:
                machine.kill(world)
                break
            except PeerDead as not_yet:
                if "is not running" not in str(not_yet):
                    raise
        machine.wait_up(60)


def test_both_at_once(machine: HostMachine) -> None:
    before = len(machine.restarts)
    for world in WORLDS:
        os.kill(machine.pid(world), signal.SIGKILL)
    assert eventually(lambda: len(machine.restarts) == before + 2 and machine.up)


def test_a_frozen_world_is_replaced(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(supervisor, "ATTACH_LIMIT_S", 0.5)
    board = Board(channel=Channel(silence_ms=100))
    with HostMachine(board, programs={"secure": echo_world()}) as machine:
        pid = machine.pid("normal")
        os.kill(pid, signal.SIGSTOP)
        assert eventually(lambda: machine.up and machine.pid("normal") != pid)
        assert machine.restarts


def test_programs_survive_the_pump(whole: HostMachine) -> None:
    sleeper = whole.popen(["sleep", "100"])
    for _ in range(5):
        whole.kill("normal")
        whole.wait_up()
    assert sleeper.poll() is None
    sleeper.kill()
    assert sleeper.wait() == -signal.SIGKILL


def test_namespaces_lost_are_made_anew(own: HostMachine) -> None:
    """Not the pump but PID 1 of a world dies: interface and all."""
    for world in WORLDS:
        epoch = own.epoch
        namespaces = own._live.sides[world].namespaces
        assert namespaces is not None
        assert namespaces._process is not None
        os.kill(namespaces._process.pid, signal.SIGKILL)
        assert eventually(lambda epoch=epoch: own.up and own.epoch != epoch)  # type: ignore[misc]
    with RawTraffic(own, incarnation=11) as traffic:
        traffic.send()
        assert traffic.settle()


def test_sessions_keep_their_distance(machine: HostMachine) -> None:
    """However fast a world comes up and dies again."""
    for _ in range(20):
        machine.kill("normal")
        machine.wait_up()
    times = [event.time for event in machine.events if event.what == "attached"][-20:]
    assert min(b - a for a, b in pairwise(times)) > ATTACH_INTERVAL_S - 1e-6


def test_the_back_off_is_bounded() -> None:
    waits = [backoff(failures) for failures in range(2000)]
    assert waits[:3] == [0.0, 0.01, 0.02]
    assert max(waits) == 1.0
    assert waits == sorted(waits)


# ---- a world against its supervisor ------------------------------------------------------------------


def bad_world(tmp_path: Path, how: str) -> Path:
    link = tmp_path / how
    link.symlink_to(Path(__file__).parent / "worlds" / "bad_world.py")
    return link


@pytest.mark.parametrize(
    ("how", "said"),
    [
        ("exits", "exit status 1): I will not"),
        ("garbage", "broke the control protocol: message of version"),
        ("short", "broke the control protocol: message of 1 bytes"),
        ("version", "broke the control protocol: message of version 77"),
        ("unknown", "broke the control protocol: unexpected message 999"),
        ("unsealed", "broke the control protocol: a buffer that is not a sealed memfd"),
        ("wrong_size", "broke the control protocol: a buffer of"),
        ("no_buffer", "broke the control protocol: HELLO wants one descriptor"),
        ("no_memfd", "broke the control protocol: a buffer of 0 bytes"),
        ("twice", "broke the control protocol: HELLO wants one descriptor, once"),
        ("hangs_up", "SIGKILL"),
    ],
)
@pytest.mark.parametrize("world", WORLDS)
def test_a_world_that_breaks_the_protocol_is_ended_and_named(
    tmp_path: Path, world: World, how: str, said: str
) -> None:
    programs: dict[World, Path] = {
        "normal": frame_pump(),
        "secure": echo_world(),
        world: bad_world(tmp_path, how),
    }
    machine = HostMachine(programs=programs)
    with pytest.raises(EnvironmentProblem) as caught:
        machine.start(10)
    line = str(caught.value)
    assert f"the {world} world died (" in line
    assert said in line
    assert "\n" not in line
    machine.close()


@pytest.mark.parametrize(
    ("how", "seconds", "said"),
    [
        ("silent", 1, "nothing heard in 1 s"),
        ("ignores", 10, "the secure world died .did not answer its supervisor"),
        ("refuses", 3, "the secure world: refused to attach: Invalid argument"),
        ("refuses_another", 10, "the secure world died .did not answer its supervisor"),
        ("strange_state", 3, "the secure world died .broke the control protocol: 12345"),
        ("strange_refusal", 3, "the secure world died .broke the control protocol: -9223372036854775808"),
    ],
)
def test_a_world_that_will_not_come_up(
    tmp_path: Path, how: str, seconds: float, said: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(supervisor, "ATTACH_LIMIT_S", 0.5)
    machine = HostMachine(programs={"normal": frame_pump(), "secure": bad_world(tmp_path, how)})
    with pytest.raises(EnvironmentProblem, match=said):
        machine.start(seconds)


def test_a_world_that_declares_the_channel_dead_gets_a_new_epoch(tmp_path: Path) -> None:
    """... each time a little later: the other side is not to be stormed with sessions."""
    programs: dict[World, Path] = {"normal": frame_pump(), "secure": bad_world(tmp_path, "dies_attached")}
    for seconds in (2, 8, 32):  # a busy computer may need the first for the namespaces alone
        machine = HostMachine(programs=programs)
        with pytest.raises(EnvironmentProblem) as caught:
            machine.start(seconds)
        attached = [event for event in machine.events if event.what == "attached"]
        if len(attached) >= 2:
            break
    assert "DEAD" in str(caught.value)
    assert 2 <= len(attached) <= 8 + seconds  # 10, 20, 40, ... 1000 ms: not one after the other
    assert len({event.detail for event in attached}) == len(attached)


def test_a_program_that_is_missing(tmp_path: Path) -> None:
    for world in WORLDS:
        programs: dict[World, Path] = {
            "normal": frame_pump(),
            "secure": echo_world(),
            world: tmp_path / "none",
        }
        with pytest.raises(EnvironmentProblem, match=r"none: No such file or directory$"):
            HostMachine(programs=programs).start()


# ---- down --------------------------------------------------------------------------------------------


def test_closed_it_says_so(own: HostMachine) -> None:
    pids = [own.pid(world) for world in WORLDS]
    sleeper = own.popen(["sleep", "1000"])
    own.close()
    own.close()
    assert sleeper.wait(10) != 0
    assert not any(Path(f"/proc/{pid}").exists() for pid in pids)
    for call in (
        lambda: own.up,
        lambda: own.status("normal"),
        lambda: own.kill("secure"),
        lambda: own.run(["true"]),
        lambda: own.socket(socket.AF_INET, socket.SOCK_DGRAM),
    ):
        with pytest.raises(ClosedError):
            call()


def test_a_status_that_does_not_come(own: HostMachine) -> None:
    os.kill(own.pid("secure"), signal.SIGSTOP)
    with pytest.raises(PeerDead, match=r"did not report within 0\.1 s"):
        own.status("secure", 0.1)


def test_descriptors_are_given_back() -> None:
    programs: dict[World, Path] = {"secure": echo_world()}
    with HostMachine(programs=programs):
        pass
    before = len(os.listdir("/proc/self/fd"))
    for _ in range(3):
        with HostMachine(programs=programs) as machine:
            for world in WORLDS * 3:
                machine.kill(world)
                machine.wait_up()
            machine.run(["true"])
    assert len(os.listdir("/proc/self/fd")) == before


@pytest.mark.parametrize("count", range(40, 110, 10))
def test_it_minds_no_descriptors_that_are_open_already(count: int) -> None:
    """Whatever numbers its own descriptors get: a world's first process sorts what it receives by number."""
    held = [os.open(os.devnull, os.O_RDONLY) for _ in range(count)]
    try:
        with HostMachine(programs={"secure": echo_world()}) as machine:
            assert machine.run(["true"]) == 0
    finally:
        for fd in held:
            os.close(fd)


def test_restarts_keep_no_descriptors(machine: HostMachine) -> None:
    machine.kill("normal")
    machine.wait_up()
    before = len(os.listdir("/proc/self/fd"))
    for world in WORLDS * 10:
        machine.kill(world)
        machine.wait_up()
    assert len(os.listdir("/proc/self/fd")) == before


def test_a_forked_child_keeps_nothing_alive(machine: HostMachine) -> None:
    """Else a child that lives on would keep both worlds up after the supervisor's death."""
    pid = os.fork()
    if pid == 0:
        signal.alarm(20)  # rather than wait for an answer that nobody gives
        status = 1
        try:
            links = [os.readlink(f"/proc/self/fd/{fd}") for fd in os.listdir("/proc/self/fd") if fd != "3"]
        except OSError:
            links = []
        try:
            machine.status("normal")
        except ClosedError:
            status = 0 if not any("memfd" in link or "/dev/net/tun" in link for link in links) else 2
        finally:
            os._exit(status)
    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0
    assert machine.status("normal")["state"] == "RUN"


# ---- tools of these tests ----------------------------------------------------------------------------


def test_a_torn_frame_is_seen() -> None:
    frame = raw_frame(7, 1, 300)
    assert raw_identity(frame) == (7, 1)
    for at in (14, 25, 33, 40, 200, len(frame) - 1):
        torn = bytearray(frame)
        torn[at] ^= 1
        assert raw_identity(bytes(torn)) is None
    assert raw_identity(frame[:-1]) is None
    assert raw_identity(raw_frame(7, 1, 300)[:100] + raw_frame(7, 2, 300)[100:]) is None
