# SPDX-License-Identifier: MIT
"""Lanes on the host machine: the pump sorts what the kernel sends, both worlds serve every lane, and all of
them have one fate. What a flood does to them is in the campaign (dos-19).
"""

from __future__ import annotations

import socket
import time
from collections.abc import Iterator
from typing import Any

import pytest

from isthmus import board
from isthmus.attack.lane import with_lane
from isthmus.attack.rig import LANE, LANE_RULES
from isthmus.host import HostMachine

pytestmark = [pytest.mark.host, pytest.mark.needs("processes")]

WAIT_S = 20.0


@pytest.fixture(scope="module")
def machine() -> Iterator[HostMachine]:
    with HostMachine(with_lane(board.load(), LANE, LANE_RULES)) as running:
        yield running


def counted(machine: HostMachine, world: Any) -> list[int]:
    """Frames accepted in each lane."""
    status = machine.status(world)
    return [status["counters"]["OK"], *(lane["counters"]["OK"] for lane in status["lanes"])]


def asked(machine: HostMachine, port: int, frames: int) -> None:
    with machine.socket(socket.AF_INET, socket.SOCK_DGRAM) as s:
        s.connect((machine.board.secure.address, port))
        for _ in range(frames):
            s.send(b"1.0")
            time.sleep(0.002)


def moved(machine: HostMachine, port: int, frames: int, lane: int) -> list[int]:
    """What each lane of the Secure world accepted while `frames` datagrams went to a port."""
    before, end = counted(machine, "secure"), time.monotonic() + WAIT_S
    asked(machine, port, frames)
    while time.monotonic() < end:
        change = [b - a for a, b in zip(before, counted(machine, "secure"), strict=True)]
        if change[lane] >= frames:
            break
    return change


def test_each_flow_goes_by_its_lane(machine: HostMachine) -> None:
    bulk, critical = moved(machine, 7, 20, 0)
    assert bulk == 20
    assert critical <= 4  # an ARP request or two
    bulk, critical = moved(machine, 7700, 20, 1)
    assert 20 <= critical <= 24
    assert bulk == 0
    assert machine.status("secure")["counters"]["LANE"] == 0


def test_answers_come_back_by_the_lane(machine: HostMachine) -> None:
    """The Secure world's ARP goes by the lane that the rule for ARP names."""
    assert machine.run(["ping", "-q", "-c3", "-i0.05", "-W5", machine.board.secure.address]) == 0
    bulk, critical = counted(machine, "normal")
    assert bulk >= 3
    assert critical >= 1


def test_lanes_have_one_fate(machine: HostMachine) -> None:
    epoch = machine.epoch
    machine.kill("normal")
    assert machine.wait_up(WAIT_S) != epoch
    status = machine.status("secure")
    assert {lane["state"] for lane in status["lanes"]} == {"RUN"} == {status["state"]}
    assert {lane["epoch"] for lane in status["lanes"]} == {machine.epoch}
    assert moved(machine, 7700, 5, 1)[1] >= 5


def test_each_lane_has_a_ledger(machine: HostMachine) -> None:
    status = machine.status("secure")
    period = machine.board.secure.budget.period_us
    assert status["lane_work"]["1"]["frames_bound"] == 2 * machine.board.lane[0].frames
    assert status["work"]["frames_bound"] == 2 * machine.board.lanes[0].frames
    assert status["lane_work"]["1"]["over"] == 0
    assert status["work"]["period_us"] == period
