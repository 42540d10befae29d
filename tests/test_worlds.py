# SPDX-License-Identifier: MIT
"""Both worlds and the link between them, on every machine: frames, commands, and the end of either world."""

from __future__ import annotations

import random
import re
import socket
import time

import pytest

from host_tools import RawTraffic, eventually
from isthmus.check.counters import at_rest, balance
from isthmus.host import World
from machines import Machine

WORLDS: tuple[World, World] = ("normal", "secure")


def renewed(machine: Machine, world: World) -> None:
    """Restarts it; returns when frames pass in a new session."""
    before = machine.epoch
    machine.restart(world)
    assert eventually(lambda: machine.wait_up() != before)


def test_frames_are_counted_where_they_pass(machine: Machine) -> None:
    before = machine.status("normal")
    with RawTraffic(machine, incarnation=1) as traffic:
        for _ in range(20):
            traffic.send()
            assert traffic.settle()
        assert traffic.faults() == (0, 0, 0)
        normal = machine.status("normal")
        assert normal["state"] == "RUN"
        assert normal["epoch"] == machine.epoch == machine.status("secure")["epoch"]
        for count in (normal["sent"] - before["sent"], normal["counters"]["OK"] - before["counters"]["OK"]):
            assert traffic.sent <= count <= traffic.sent + 10, "beside these nothing but a few frames of ARP"


@pytest.mark.also("packet")
def test_every_kind_of_size_up_to_the_mtu(machine: Machine) -> None:
    mtu = machine.board.channel.mtu
    sizes = [*range(70), *range(70, mtu - 40, 37), *range(mtu - 40, mtu - 23)]
    with RawTraffic(machine, incarnation=time.time_ns(), sizes=sizes) as traffic:
        for _ in range(0, len(sizes), 16):
            traffic.send(16)
            assert traffic.settle()
        assert traffic.faults() == (0, 0, 0)


def test_every_frame_is_explained(machine: Machine) -> None:
    """Delivered, refused by name or in flight, in both directions, after more than the rings take."""
    since = at_rest(machine.real)
    with RawTraffic(machine, incarnation=time.time_ns()) as traffic:
        for _ in range(20):
            traffic.send(16)
            traffic.collect()
        found = balance(since, at_rest(machine.real))
    assert {world: b.unexplained for world, b in found.items()} == {"normal": 0, "secure": 0}
    assert found["secure"].delivered >= traffic.sent


@pytest.mark.also("packet", "plain")
def test_the_interface_is_as_the_board_says(machine: Machine) -> None:
    side = machine.board.normal
    found = machine.command("ip", "addr", "show", side.interface).output
    assert f"mtu {machine.board.channel.mtu}" in found
    assert f"link/ether {side.mac}" in found
    assert f"inet {side.ip}" in found
    assert "inet6" not in found, "it would announce itself"
    names = re.findall(r"^\d+: (\w+)", machine.command("ip", "link", "show", "up").output, re.MULTILINE)
    assert names == ["lo", side.interface]


STATUSES = {
    "success": (["true"], {0}),
    "its own": (["sh", "-c", "exit 7"], {7}),
    "not found": (["isthmus-no-such-program"], {126, 127}),  # 126: a folder of PATH may not be searched
    "not found by path": (["/nonexistent/program"], {127}),
    "not executable": (["/proc/version"], {126}),
    "killed": (["sh", "-c", "kill -9 $$"], {137}),
    "terminated": (["sh", "-c", "kill -15 $$"], {143}),
}


@pytest.mark.parametrize("name", STATUSES)
def test_a_commands_status_is_its_own(machine: Machine, name: str) -> None:
    argv, expected = STATUSES[name]
    done = machine.command(*argv)
    assert done.status in expected, done.errors
    assert done.output == ""


def test_a_commands_streams_are_its_own(machine: Machine) -> None:
    done = machine.command("sh", "-c", "echo 'out  put'; echo err >&2; exit 7")
    assert (done.status, done.output, done.errors) == (7, "out  put\n", "err\n")


@pytest.mark.also("packet")
@pytest.mark.parametrize("world", WORLDS)
def test_a_world_that_ended_is_back(machine: Machine, world: World) -> None:
    other: World = "secure" if world == "normal" else "normal"
    ended = machine.status(other)["counters"]["PEER_LEFT"]
    renewed(machine, world)
    assert machine.status("normal")["epoch"] == machine.epoch == machine.status("secure")["epoch"]
    if machine.name == "qemu":
        assert machine.status(other)["counters"]["PEER_LEFT"] == ended + 1
    with RawTraffic(machine, incarnation=time.time_ns()) as traffic:
        assert eventually(lambda: traffic.exchange() > 0)
        assert traffic.faults() == (0, 0, 0)


def test_a_connection_outlives_the_normal_worlds_end(machine: Machine) -> None:
    """A program, its socket and the TCP connection behind it notice no more than a pause."""
    with machine.socket(socket.AF_INET, socket.SOCK_STREAM) as connection:
        connection.settimeout(20)
        connection.connect((machine.board.secure.address, 7))
        for i in range(3):
            connection.sendall(b"%d" % i)
            assert connection.recv(1) == b"%d" % i
            renewed(machine, "normal")
        connection.sendall(b"still here")
        assert connection.recv(100) == b"still here"


@pytest.mark.also("packet")
def test_both_worlds_end_again_and_again_under_traffic(machine: Machine, seed: int) -> None:
    """Frames are lost with the session that carried them; none is torn, stale or doubled."""
    dice = random.Random(seed)
    rounds = 6 if machine.name == "qemu" else 40
    with RawTraffic(machine, incarnation=time.time_ns()) as traffic:
        for i in range(rounds):
            for _ in range(dice.randrange(1, 4)):
                traffic.send(dice.randrange(1, 16))
                traffic.collect()
            world = dice.choice(WORLDS)
            machine.restart(world)
            traffic.send(dice.randrange(0, 4))
            machine.wait_up()
            assert eventually(lambda: traffic.exchange() > 0), f"no frames after {i}: {world}"
            assert traffic.faults() == (0, 0, 0), f"{i}: {world}"

        def raw() -> dict[str, int]:
            found: dict[str, int] = machine.status("secure")["apps"]["raw"]
            return found

        # What came back last may be the answer of a Secure world that is no more.
        assert eventually(lambda: raw()["ok"] > 0 or traffic.exchange() < 0)
        assert (raw()["torn"], raw()["stale"]) == (0, 0)
