# SPDX-License-Identifier: MIT
"""The Secure world as a process of the host machine: what it takes, hangs on, and is started with."""

from __future__ import annotations

import ctypes
import os
import socket
import struct
import subprocess
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from host_tools import connection_flood, eventually
from isthmus.build import secure_world
from isthmus.check.program import answer
from isthmus.host import HostMachine

IP = "10.77.0.2"
ETH_P_ALL = 3

pytestmark = [pytest.mark.host, pytest.mark.needs("processes")]


@pytest.fixture(scope="module")
def machine() -> Iterator[HostMachine]:
    with HostMachine() as machine:
        yield machine


def virtual_size(machine: HostMachine) -> str:
    lines = Path(f"/proc/{machine.pid('secure')}/status").read_text().splitlines()
    return next(line for line in lines if line.startswith("VmSize:"))


def test_connections_take_no_memory(machine: HostMachine) -> None:
    before = virtual_size(machine)
    for _ in range(3):
        with connection_flood(machine):
            assert machine.run(["ping", "-q", "-c1", IP], timeout=20) == 0
    assert virtual_size(machine) == before


@pytest.mark.parametrize("plain", [False, True], ids=["channel", "plain"])
def test_iperf_as_debian_has_it(plain: bool) -> None:
    """The programs of `check` speak its protocol; this is the client that everybody has."""
    argv = ["iperf", "-c", IP, "-t", "1", "-r", "-y", "C"]
    with (
        HostMachine(plain=plain) as machine,
        machine.popen(argv, stdout=subprocess.PIPE, text=True) as iperf,
    ):
        said, _ = iperf.communicate(timeout=60)
    rates = [int(line.rsplit(",", 1)[1]) for line in said.splitlines()]
    assert len(rates) == 2
    assert min(rates) > 0


#: Keeps 64 bytes of each frame beyond 60,000, and nothing of another (classic BPF).
LONG_FRAMES = ((0x80, 0, 0, 0), (0x25, 1, 0, 60_000), (0x06, 0, 0, 0), (0x06, 0, 0, 64))
SO_ATTACH_FILTER = 26


def test_segments_towards_linux_are_64_kilobytes(machine: HostMachine) -> None:
    """Half of Linux's window at most, which grows while it reads."""
    code = ctypes.create_string_buffer(b"".join(struct.pack("=HBBI", *step) for step in LONG_FRAMES))
    with machine.socket(socket.AF_PACKET, socket.SOCK_RAW, 0) as tap:
        program = struct.pack("=HxxxxxxQ", len(LONG_FRAMES), ctypes.addressof(code))
        tap.setsockopt(socket.SOL_SOCKET, SO_ATTACH_FILTER, program)
        tap.bind((machine.board.normal.interface, ETH_P_ALL))
        tap.settimeout(0)
        for _ in range(10):
            assert answer(machine, "stream", "from", IP, 5001, 300, limit=20.0)["bytes"] > 0
            with suppress(BlockingIOError):
                assert len(tap.recv(100)) == 64
                return
        pytest.fail("no frame beyond 60,000 bytes came")


@pytest.mark.needs("stall")
def test_stall_of_the_receive_path_is_a_missed_deadline(machine: HostMachine) -> None:
    def missed() -> int:
        return int(machine.status("secure")["critical"]["missed"])

    for _ in range(5):
        before = missed()
        machine.stall(3000)
        assert eventually(lambda before=before: missed() > before)  # type: ignore[misc]
    assert machine.status("secure")["critical"]["wait_us_max"] >= 2000


def test_idle_world_leaves_the_processor(machine: HostMachine) -> None:
    def used() -> float:
        fields = Path(f"/proc/{machine.pid('secure')}/stat").read_text().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    time.sleep(0.2)
    before, begun = used(), time.monotonic()
    time.sleep(2)
    assert used() - before < 0.6 * (time.monotonic() - begun)  # the tasks themselves take a quarter


def test_world_is_closed_to_others(machine: HostMachine) -> None:
    process = Path(f"/proc/{machine.pid('secure')}")
    assert "NoNewPrivs:\t1\n" in (process / "status").read_text()
    (core,) = [line for line in (process / "limits").read_text().splitlines() if line.startswith("Max core")]
    assert core.split()[4:6] == ["0", "0"]


# ---- its environment -----------------------------------------------------------------------------

GOOD = {
    "ISTHMUS_IP": IP,
    "ISTHMUS_NETMASK": "255.255.255.0",
    "ISTHMUS_PEER_IP": "10.77.0.1",
    "ISTHMUS_MAC": "02:49:53:00:00:02",
    "ISTHMUS_TASKS": "above control - 100 500 1000;inside setpoints setpoints 60 1300 2000",
    "ISTHMUS_FLOWS": "setpoints udp 7700",
    "ISTHMUS_WATCHDOG_US": "0",
    "ISTHMUS_RX_BUDGET": "64 98304 1000 512 1048576",
}


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("ISTHMUS_IP", "10.77.0"),
        ("ISTHMUS_IP", "300.1.1.1"),
        ("ISTHMUS_NETMASK", ""),
        ("ISTHMUS_PEER_IP", None),
        ("ISTHMUS_MAC", "02:49:53:00:00"),
        ("ISTHMUS_MAC", "02:49:53:00:00:02:03"),
        ("ISTHMUS_TASKS", "above control - 600 500 1000"),
        ("ISTHMUS_TASKS", "above control - 100 2000 1000"),
        ("ISTHMUS_TASKS", "above control - 100 500"),
        ("ISTHMUS_TASKS", "above control - 100 500 1000 x"),
        ("ISTHMUS_TASKS", "above control - 100 500 1000;above other - 100 500 1000"),
        ("ISTHMUS_TASKS", "below control - 100 500 1000"),
        ("ISTHMUS_TASKS", ""),
        ("ISTHMUS_FLOWS", "setpoints sctp 7700"),
        ("ISTHMUS_FLOWS", "setpoints udp 77000"),
        ("ISTHMUS_FLOWS", "other udp 7700"),
        ("ISTHMUS_WATCHDOG_US", "soon"),
        ("ISTHMUS_RX_BUDGET", "0 98304 1000 512 1048576"),
        ("ISTHMUS_RX_BUDGET", "64"),
        ("ISTHMUS_SPIN_US", "much"),
        ("ISTHMUS_PACKET", "99"),
        ("ISTHMUS_PACKET", "tap"),
        ("ISTHMUS_CONFIG", "mtu=70000"),
        (None, None),  # neither a channel nor a packet descriptor
    ],
)
def test_bad_environment_is_one_line(name: str | None, value: str | None) -> None:
    env = dict(GOOD)
    if name is not None:
        env["ISTHMUS_PACKET"] = "0"
        if value is None:
            del env[name]
        else:
            env[name] = value
    done = subprocess.run(
        [secure_world()],
        env=env,
        stdin=subprocess.DEVNULL,
        check=False,
        capture_output=True,
        text=True,
        timeout=20,
    )
    assert done.returncode == 2
    assert done.stdout == ""
    (line,) = done.stderr.splitlines()
    if name is not None:
        assert name in line


@pytest.mark.parametrize("end", ["control", "device"])
def test_world_ends_with_what_it_hangs_on(end: str) -> None:
    ours, theirs = socket.socketpair()
    packet, other = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    with ours, packet, other:
        env = {**GOOD, "ISTHMUS_PACKET": str(packet.fileno()), "ISTHMUS_CONTROL": str(theirs.fileno())}
        with theirs:
            world = subprocess.Popen([secure_world()], env=env, pass_fds=(packet.fileno(), theirs.fileno()))
        assert other.recv(2000)[12:14] == b"\x08\x06"  # its gratuitous ARP: it is up
        assert world.poll() is None
        (ours if end == "control" else other).close()
        assert world.wait(20) == 0
