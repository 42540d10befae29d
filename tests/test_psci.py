# SPDX-License-Identifier: MIT
"""PSCI from a hostile Linux: whatever it asks of the firmware's power control, the Secure world runs on.

What stops Linux is in test_restart.py; here Linux lives on, too.
"""

from __future__ import annotations

import random
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest

from isthmus.build.guest import kernel_module
from isthmus.build.packages import debian_kernel
from isthmus.qemu.machine import QemuMachine

pytestmark = pytest.mark.qemu

FILE = "/sys/kernel/debug/isthmus_smc"
SUCCESS, NOT_SUPPORTED, INVALID, DENIED, ALREADY_ON, INVALID_ADDRESS = 0, -1, -2, -3, -4, -9
STOPPERS = {0x84000008, 0x84000009, 0x84000012, 0xC4000012}  # SYSTEM_OFF, SYSTEM_RESET, SYSTEM_RESET2
ENTRY, SECURE = 0x40200000, 0x0E100000
POWER_DOWN, STANDBY = 1 << 16 | 2, 1
VENDOR = 1 << 31

# Function, arguments, result.
CALLS: dict[str, tuple[tuple[int, ...], int]] = {
    "version": ((0x84000000,), 0x10001),
    "suspend to power-down": ((0xC4000001, POWER_DOWN, ENTRY, 0), INVALID),
    "suspend the cluster": ((0xC4000001, 1 << 24 | 1 << 16 | 0x22, ENTRY, 0), INVALID),
    "suspend, 32 bits": ((0x84000001, POWER_DOWN, ENTRY, 0), INVALID),
    "standby": ((0xC4000001, STANDBY, 0, 0), SUCCESS),
    "the Secure world's core off": ((0x84000002,), DENIED),
    "the Secure world's core on again": ((0xC4000003, 0, ENTRY, 0), ALREADY_ON),
    "a core that is not Linux's": ((0xC4000003, 1, ENTRY, 0), DENIED),
    "the same, 32 bits": ((0x84000003, 1, ENTRY, 0), DENIED),
    "a core started in secure memory": ((0xC4000003, 1, SECURE, 0), INVALID_ADDRESS),
    "no such core": ((0xC4000003, 0xFFFFFF, ENTRY, 0), INVALID),
    "another's state": ((0xC4000004, 1, 0), 1),
    "migrate": ((0xC4000005, 1), DENIED),
    "migrate, type": ((0x84000006,), 1),
    "migrate, where": ((0xC4000007,), 0),
    "freeze": ((0x8400000B,), NOT_SUPPORTED),
    "default suspend": ((0xC400000C, ENTRY, 0), NOT_SUPPORTED),
    "node state": ((0xC400000D, 0, 0), NOT_SUPPORTED),
    "system suspend": ((0xC400000E, ENTRY, 0), NOT_SUPPORTED),
    "suspend mode": ((0x8400000F, 1), NOT_SUPPORTED),
    "memory protection": ((0x84000013, 1), NOT_SUPPORTED),
    "memory check": ((0xC4000014, 0, 1 << 30), NOT_SUPPORTED),
    "a vendor's reset": ((0xC4000012, VENDOR, 0), INVALID),
    "an unknown reset": ((0xC4000012, 1, 0), INVALID),
    "is system suspend offered": ((0x8400000A, 0xC400000E), NOT_SUPPORTED),
    "is the reset offered": ((0x8400000A, 0xC4000012), SUCCESS),
}


@pytest.fixture(scope="module")
def machine() -> Iterator[QemuMachine]:
    module = kernel_module(debian_kernel(), "smc", {"": Path(__file__).parent / "worlds" / "smc"})
    with QemuMachine(modules=[module], counted=True) as machine:
        yield machine


def call(machine: QemuMachine, calls: Sequence[tuple[int, ...]]) -> list[int]:
    """w0 of each, signed."""
    lines = (f"echo {' '.join(f'{n:#x}' for n in numbers)} >{FILE}; cat {FILE}" for numbers in calls)
    done = machine.run("\n".join(lines), 240)
    words = [int(line.split()[0], 16) & 0xFFFFFFFF for line in done.output.splitlines()]
    assert len(words) == len(calls), done.errors
    return [w - (1 << 32) if w >> 31 else w for w in words]


@pytest.fixture(autouse=True)
def nothing_else_happens(machine: QemuMachine) -> Iterator[None]:
    yield
    assert machine.console is not None
    status = machine.console.status(240)
    assert (status["normal"]["state"], status["normal"]["starts"]) == ("running", 1)
    assert (status["critical"]["missed"], status["critical"]["skipped"]) == (0, 0)
    assert machine.run("true", 240).status == 0


def test_each_call_with_the_arguments_that_hurt(machine: QemuMachine) -> None:
    got = call(machine, [numbers for numbers, _ in CALLS.values()])
    assert dict(zip(CALLS, got, strict=True)) == {name: result for name, (_, result) in CALLS.items()}


def test_any_call_with_any_arguments(machine: QemuMachine, seed: int) -> None:
    dice = random.Random(seed)
    ids = [base | n for base in (0x84000000, 0xC4000000) for n in range(0x20)]
    ids = [n for n in ids if n not in STOPPERS]
    taken = (0, 1, 2, 0x22, 0x100, POWER_DOWN, STANDBY, ENTRY, SECURE, 0xFFFFFFFF, (1 << 63) - 1, VENDOR)
    calls = [(dice.choice(ids), *(dice.choice(taken) for _ in range(3))) for _ in range(200)]
    call(machine, calls)
