# SPDX-License-Identifier: MIT
"""Nothing that Linux does to the interrupt controller silences the Secure world or keeps it waiting.

A kernel module is the attacker (worlds/normal/attack/storm). While it attacks, the control task's periods and
lateness are judged in counted time: the task is late by no more than the board's longest masked stretch. That
an attack is one shows on Linux itself, whose own timer interrupts stay away.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from isthmus.build.guest import kernel_module
from isthmus.build.packages import debian_kernel
from isthmus.errors import EnvironmentProblem
from isthmus.qemu.linked import LinkedMachine
from isthmus.resources import tree
from isthmus.trustzone.board import TrustZone, load

pytestmark = pytest.mark.qemu

FILE = "/sys/kernel/debug/isthmus_storm"
US = 5000
SILENCED = 2  # of Linux's 25 timer interrupts at most so many come
ATTACKS = ("mask", "hold", "sgi", "spi")

#: An OS that wants its interrupts where Linux's are; with 8 bits of priority, since this emulator lets the
#: active priorities be written with no fewer.
AMONG = (
    "interrupt.timer_priority=0x90",
    "interrupt.kick_priority=0xa0",
    "emulator.machine=virt-7.0,secure=on,gic-version={gic}",
)

# The first of them always, the others in the slow set.
MACHINES = {
    "GICv3, shared": (),
    "GICv2, shared": ("gic.version=2",),
    "GICv3, shared, among Linux's": AMONG,
    "GICv3, two cores": ("core.normal=[0, 1]",),
    "GICv2, two cores": ("gic.version=2", "core.normal=[0, 1]"),
    "GICv3, own": ("core.normal=[1]",),
    "GICv3, own, polled": ("core.normal=[1]", "core.doorbell=poll"),
    "GICv2, own": ("gic.version=2", "core.normal=[1]"),
}
SLOW = [pytest.param(name, marks=pytest.mark.slow) for name in list(MACHINES)[3:]]


@pytest.fixture(scope="module", params=[*list(MACHINES)[:3], *SLOW])
def machine(request: pytest.FixtureRequest) -> Iterator[LinkedMachine]:
    with attacked(load(changes=MACHINES[request.param])) as machine:
        yield machine


@contextmanager
def attacked(board: TrustZone) -> Iterator[LinkedMachine]:
    module = kernel_module(debian_kernel(), "storm", {"": tree() / "worlds" / "normal" / "attack" / "storm"})
    private = board.gic_private.base + 0x10000 * (board.gic.version == 3)
    with LinkedMachine(board, counted=True, files={"storm.ko": module}) as machine:
        arguments = (
            f"version={board.gic.version} target={board.core.secure} "
            f"kick={board.interrupt.kick} spi={board.interrupt.doorbell} "
            f"gicd={board.device.gic_distributor.base:#x} private={private:#x}"
        )
        done = machine.run(f"insmod /storm.ko {arguments}")
        assert done.status == 0, done.errors
        yield machine


def attack(machine: LinkedMachine, what: str, core: int) -> tuple[int, int]:
    """Linux's own timer interrupts during it, and its rounds."""
    done = machine.run(f"taskset {1 << core:x} sh -c 'echo {what} {US} >{FILE}' && cat {FILE}", 60)
    assert done.status == 0, done.errors
    came, rounds = (int(word) for word in done.output.split())
    return came, rounds


def task(machine: LinkedMachine) -> dict[str, Any]:
    found: dict[str, Any] = machine.status("secure")["critical"]
    return found


@pytest.mark.parametrize("what", ATTACKS)
def test_no_attack_costs_the_control_task_a_period(machine: LinkedMachine, what: str) -> None:
    before = task(machine)
    for core in range(len(machine.board.core.normal)):
        came, rounds = attack(machine, what, core)
        assert rounds > 0
        if what in ("mask", "hold"):
            assert came <= SILENCED, "Linux itself hears nothing: the attack is one"
    after = task(machine)
    assert after["periods"] >= before["periods"] + US // 1000
    assert (after["missed"], after["skipped"]) == (0, 0), after
    assert after["late_kernel_us"]["max"] <= machine.board.secure.blocking.us, after


def test_without_an_attack_linux_hears_its_timer(machine: LinkedMachine) -> None:
    came, _ = attack(machine, "calm", 0)
    assert came >= US // 200 // 2


def test_a_monitor_that_leaves_linux_its_priorities_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    """Its own mask for a moment here and there is enough that the link may not come up, or comes too late."""
    monkeypatch.setattr(TrustZone, "priorities_move", False)
    try:
        with attacked(load(changes=AMONG)) as machine:
            attack(machine, "mask", 0)
            assert task(machine)["late_kernel_us"]["max"] > 1000, "masked for as long as Linux wants"
    except EnvironmentProblem as problem:
        if "no carrier" not in str(problem):
            raise


def test_frames_pass_afterwards(machine: LinkedMachine) -> None:
    said = machine.run(f"ping -q -c 5 -i 0.01 {machine.board.secure.address}", 60).output
    assert "5 packets received" in said, said
