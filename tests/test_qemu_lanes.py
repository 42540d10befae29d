# SPDX-License-Identifier: MIT
"""A critical lane on the TrustZone machine: Linux sends by it what the board's rules name, and a program that
floods the bulk lane costs its flow nothing.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import msgspec
import pytest

from isthmus.build.python import INTERPRETER
from isthmus.lanes import Lane
from isthmus.qemu.linked import LinkedMachine
from isthmus.trustzone import board

pytestmark = pytest.mark.qemu

SENT = 30
#: 100 setpoints a second, each with as many datagrams for the bulk lane behind it as go in 10 ms.
FLOOD = """
import socket, time
flow, flood = (socket.socket(socket.AF_INET, socket.SOCK_DGRAM) for _ in range(2))
flow.connect(("{secure}", 7700))
flood.connect(("{secure}", 7))
flood.setblocking(False)
waste, sent = 0, 0
begun = time.monotonic()
while sent < {count}:
    flow.send(b"1.0")
    sent += 1
    while time.monotonic() < begun + sent / 100:
        try:
            flood.send(bytes(1400))
            waste += 1
        except OSError:
            pass
print(sent, waste)
"""


@pytest.fixture(scope="module")
def machine() -> Iterator[LinkedMachine]:
    b = board.load()
    critical = ("setpoints", "arp", "arp-request")
    rules = tuple(msgspec.structs.replace(r, lane="critical") if r.name in critical else r for r in b.filter)
    lane = Lane("critical", ring_bytes=131072, frames=64, bytes=131072)
    with LinkedMachine(msgspec.structs.replace(b, lane=(lane,), filter=rules), counted=True) as running:
        yield running


def arrived(status: dict[str, Any]) -> int:
    return int(next(f["frames"] for f in status["app"]["flows"] if f["name"] == "setpoints"))


def test_a_flood_of_the_bulk_lane_costs_the_critical_flow_nothing(machine: LinkedMachine) -> None:
    before, driver = machine.status("secure"), machine.status("normal")
    script = FLOOD.format(secure=machine.board.secure.address, count=SENT)
    done = machine.run(f"{INTERPRETER} -I -S -c '{script}'", timeout=300)
    sent, waste = map(int, done.output.split())
    after, then = machine.status("secure"), machine.status("normal")
    assert waste > sent
    assert arrived(after) - arrived(before) == sent == SENT
    lane, was = after["lanes"]["1"], before["lanes"]["1"]
    assert lane["counters"]["OK"] - was["counters"]["OK"] >= sent
    assert lane["lost"] == 0 == after["counters"]["LANE"] == lane["counters"]["LANE"]
    assert then["lane1_sent"] - driver["lane1_sent"] >= sent
    assert then["lane1_verdict_FULL"] == 0
    assert then["sent"] - driver["sent"] > 0
    assert then["lane1_verdict_OK"] >= 1  # the Secure world announces itself by the lane of ARP
    assert (after["critical"]["missed"], after["critical"]["skipped"]) == (0, 0)
    assert after["work"]["over"] == 0 == after["lane_work"]["1"]["over"]


def test_all_lanes_come_back_together(machine: LinkedMachine) -> None:
    name = machine.board.normal.interface
    epoch = machine.epoch
    assert machine.run(f"ip link set {name} down && ip link set {name} up").status == 0
    assert machine.wait_up(20) != epoch
    done = machine.run(f"ping -c 3 -i 0.01 -q {machine.board.secure.address}")
    assert "3 packets received" in done.output
    assert machine.status("secure")["lanes"]["1"]["epoch"] == machine.epoch


def test_linux_says_nothing(machine: LinkedMachine) -> None:
    assert not machine.run("dmesg | grep -E 'BUG|WARNING|Oops|Call trace|refcount|lockup'").output
