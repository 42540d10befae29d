# SPDX-License-Identifier: MIT
"""The Linux driver through an interface's life: down and up, MTU, large frames, unloading under traffic, the
peer's death and return. Whatever happens, Linux's log stays free of complaints and the control task keeps
its period: the machine's time counts instructions, so a deadline sees the work, not this computer's load.
"""

from __future__ import annotations

import random
from collections.abc import Iterator
from pathlib import Path

import pytest

from isthmus.build.guest import kernel_module
from isthmus.build.packages import debian_kernel
from isthmus.build.python import INTERPRETER
from isthmus.qemu.linked import LinkedMachine
from isthmus.resources import tree

pytestmark = pytest.mark.qemu

BYTES = 2_000_000


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LinkedMachine]:
    data = tmp_path_factory.mktemp("guest") / "data"
    data.write_bytes(random.Random(2).randbytes(BYTES))
    folders = {"": Path(__file__).parent / "worlds" / "detach", "core": tree() / "core"}
    detach = kernel_module(debian_kernel(), "detach", folders)
    with LinkedMachine(files={"data": data, "detach.ko": detach}, counted=True) as machine:
        yield machine


@pytest.fixture
def machine(running: LinkedMachine) -> Iterator[LinkedMachine]:
    yield running
    complaints = running.run("dmesg | grep -E 'BUG|WARNING|Oops|Call trace|refcount|lockup'").output
    assert not complaints
    critical = running.status("secure")["critical"]
    assert (critical["missed"], critical["skipped"]) == (0, 0)
    assert critical["wait_us_max"] <= running.board.secure.blocking.us
    assert "stopped" not in (running.logs / "secure.log").read_text()


def pings(machine: LinkedMachine, more: str = "") -> bool:
    done = machine.run(f"ping -c 20 -i 0.005 -q {more} {machine.board.secure.address}")
    return "20 packets received" in done.output


def echoes(machine: LinkedMachine) -> bool:
    done = machine.run(
        f"(cat /data; sleep 1) | nc {machine.board.secure.address} 7 | cmp - /data", timeout=120
    )
    return done.status == 0


def test_statistics_tell_what_passed(machine: LinkedMachine) -> None:
    before = machine.status("normal")
    assert pings(machine)
    after = machine.status("normal")
    assert after["state"] == "RUN"
    assert 20 <= after["sent"] - before["sent"] < 30
    assert after["counters"]["OK"] - before["counters"]["OK"] >= 20
    assert after["sent_bytes"] - before["sent_bytes"] >= 20 * 98
    assert 0 < after["doorbells"] - before["doorbells"] <= 60
    assert after["epoch"] == machine.epoch


def test_linux_hears_by_interrupt(machine: LinkedMachine) -> None:
    """Answers are there when the doorbell's call returns. What the Secure world begins by itself comes by
    interrupt: here it closes a connection that never asks for anything."""
    before = machine.status("normal")["interrupts"]
    done = machine.run(f"sleep 30 | timeout 25 nc {machine.board.secure.address} 80", timeout=240)
    assert machine.status("normal")["interrupts"] > before, done


def test_large_frames_pass_whole(machine: LinkedMachine) -> None:
    """Linux's TCP leaves the segmentation to the driver, which leaves it out."""
    send = f"""import socket
with socket.create_connection(("{machine.board.secure.address}", 5001)) as s:
    s.sendall(bytes({BYTES}))"""
    before = machine.status("normal")
    done = machine.run(f"{INTERPRETER} -I -S -c '{send}'", timeout=120)
    after = machine.status("normal")
    assert after["sent_bytes"] - before["sent_bytes"] > BYTES, done
    assert after["sent"] - before["sent"] < BYTES / 1460 / 4
    assert echoes(machine)


def test_down_and_up(machine: LinkedMachine) -> None:
    name, epoch = machine.board.normal.interface, machine.epoch
    for _ in range(5):
        assert machine.run(f"ip link set {name} down").status == 0
        assert machine.run(f"cat /sys/class/net/{name}/carrier").status != 0
        assert machine.wait_up() != epoch
        epoch = machine.epoch
        assert pings(machine)


def test_mtu_within_its_bounds(machine: LinkedMachine) -> None:
    name, mtu = machine.board.normal.interface, machine.board.channel.mtu
    set_mtu = f"ip link set {name} mtu"
    assert machine.run(f"{set_mtu} {mtu + 1}").status != 0
    assert machine.run(f"{set_mtu} 67").status != 0
    try:
        for smaller in (68, 576, mtu - 1):
            assert machine.run(f"{set_mtu} {smaller}").status == 0
            assert pings(machine, f"-s {smaller - 28}")
        assert echoes(machine)
    finally:
        assert machine.run(f"{set_mtu} {mtu}").status == 0
    assert pings(machine, f"-s {mtu - 28}")


def test_unloaded_and_loaded_under_traffic(machine: LinkedMachine) -> None:
    secure = machine.board.secure.address
    machine.run(
        f"ping -i 0.001 -q {secure} >/dev/null 2>&1 & echo $! >/run/noise\n"
        f"(while :; do nc {secure} 5001 </data; usleep 1000; done) >/dev/null 2>&1 & echo $! >>/run/noise"
    )
    try:
        for _ in range(5):
            done = machine.run("usleep 30000; rmmod isthmus && usleep 20000 && insmod /modules/isthmus.ko")
            assert done.status == 0, done.errors
            machine.wait_up()
    finally:
        machine.run("kill $(cat /run/noise); killall nc ping")
    assert pings(machine)
    assert echoes(machine)


def test_the_peer_dies_and_returns(machine: LinkedMachine) -> None:
    assert machine.console is not None
    name = machine.board.normal.interface
    before = machine.status("normal")
    for _ in range(3):
        machine.console.restart()
        machine.run(
            f"for i in $(seq 500); do ping -c 1 -W 1 -q {machine.board.secure.address} && exit 0; done"
        )
        machine.wait_up()
        assert pings(machine)
    after = machine.status("normal")
    assert after["links_lost"] - before["links_lost"] == 3
    assert after["registrations"] - before["registrations"] == 3
    assert after["epoch"] != before["epoch"]
    assert machine.run(f"cat /sys/class/net/{name}/carrier").output.strip() == "1"
    assert echoes(machine)


def test_a_session_that_the_peer_never_joins_is_given_up(machine: LinkedMachine) -> None:
    """Somebody ends it as soon as the driver has it, before the Secure world has heard of it."""
    name, before = machine.board.normal.interface, machine.status("normal")["registrations"]
    again = f"ip link set {name} down && insmod /detach.ko && ip link set {name} up"
    assert machine.run(again).status == 0
    try:
        machine.wait_up()
        assert machine.run("cat /sys/module/detach/parameters/ended").output.strip() == "1"
        assert machine.status("normal")["registrations"] - before == 2
    finally:
        machine.run("rmmod detach")
    assert pings(machine)
