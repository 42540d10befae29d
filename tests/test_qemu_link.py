# SPDX-License-Identifier: MIT
"""Real traffic between Linux and the critical OS on the TrustZone machine; the control task keeps its period.

       busybox: ping, nc, wget
         |
       Linux --- isthmus.ko === buffers === runtime --- lwIP: echo, status page

The machine's time counts instructions: a deadline sees the work done, not how busy this computer is.
"""

from __future__ import annotations

import json
import random
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from isthmus.build.guest import driver
from isthmus.build.packages import debian_kernel
from isthmus.qemu.machine import QemuMachine

pytestmark = pytest.mark.qemu


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("guest") / "data"
    path.write_bytes(random.Random(1).randbytes(300_000))
    return path


@pytest.fixture(scope="module")
def machine(data: Path) -> Iterator[QemuMachine]:
    with QemuMachine(modules=[driver(debian_kernel())], files={"data": data}, counted=True) as machine:
        up(machine)
        yield machine


def up(machine: QemuMachine) -> None:
    board = machine.board
    script = f"""
        ip addr add {board.normal.ip} dev {board.normal.interface}
        ip link set {board.normal.interface} up
        for i in $(seq 200); do
            [ "$(cat /sys/class/net/{board.normal.interface}/carrier)" = 1 ] && exit 0
            usleep 10000
        done
        exit 1"""
    done = machine.run(script)
    assert done.status == 0, done.errors + machine.run("dmesg | tail -5").output


def status(machine: QemuMachine) -> dict[str, Any]:
    done = machine.run(f"wget -q -O - http://{machine.board.secure.address}/status.json")
    assert done.status == 0, done.errors
    found: dict[str, Any] = json.loads(done.output)
    return found


def keeps_its_period(machine: QemuMachine) -> None:
    """No deadline missed since the start, and no wait beyond what the board says may block."""
    critical = status(machine)["critical"]
    assert critical["periods"] > 0
    assert (critical["missed"], critical["skipped"]) == (0, 0), critical
    assert critical["wait_us_max"] <= machine.board.secure.blocking.us, critical


def test_ping(machine: QemuMachine) -> None:
    done = machine.run(f"ping -c 200 -i 0.005 -q {machine.board.secure.address}")
    assert "200 packets received, 0% packet loss" in done.output, done
    keeps_its_period(machine)


def test_tcp_echo_is_exact(machine: QemuMachine) -> None:
    echo = f"(cat /data; sleep 1) | nc {machine.board.secure.address} 7 | cmp - /data"
    done = machine.run(echo, timeout=120)
    assert done.status == 0, done
    keeps_its_period(machine)


def test_status_page(machine: QemuMachine) -> None:
    found = status(machine)
    assert found["state"] == "RUN"
    refused = {n: v for n, v in found["counters"].items() if v and n not in ("OK", "PEER_LEFT")}
    assert not refused


def test_linux_hears_by_interrupt(machine: QemuMachine) -> None:
    """Answers are there when the doorbell's call returns. What the Secure world begins by itself comes by
    interrupt: here it closes a connection that never asks for anything."""
    count = "awk '/ist0/ {print $2}' /proc/interrupts"
    before = int(machine.run(count).output)
    done = machine.run(f"sleep 30 | timeout 25 nc {machine.board.secure.address} 80", timeout=120)
    assert int(machine.run(count).output) > before, done


def test_driver_goes_and_comes_back(machine: QemuMachine) -> None:
    epoch = status(machine)["epoch"]
    for _ in range(3):
        done = machine.run("rmmod isthmus && insmod /modules/isthmus.ko")
        assert done.status == 0, done.errors
        up(machine)
    assert status(machine)["epoch"] != epoch
    keeps_its_period(machine)
    assert "stopped" not in (machine.logs / "secure.log").read_text()
