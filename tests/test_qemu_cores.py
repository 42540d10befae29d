# SPDX-License-Identifier: MIT
"""Several cores: a Secure world that shares Linux's first one, and a Secure world that has a core of its own.

    shared    core 0  Secure world, Linux     core 1  Linux
    its own   core 0  Secure world            core 1  Linux     core 2  Linux

Both run in counted time: what the control task sees does not depend on how busy this computer is.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path

import pytest

from isthmus.build.guest import kernel_module
from isthmus.build.packages import debian_kernel
from isthmus.qemu.linked import LinkedMachine
from isthmus.trustzone.board import load
from smc_numbers import values

pytestmark = pytest.mark.qemu

SMC = values()
SHARED = ("core.normal=[0, 1]",)
OWN = ("core.normal=[1, 2]",)
CPU_ON, AFFINITY_INFO, CPU_OFF = 0xC4000003, 0xC4000004, 0x84000002
DENIED, ALREADY_ON, ON = -3, -4, 0
CALL = "/sys/kernel/debug/isthmus_smc"


class Cores(LinkedMachine):
    """A machine with the link up and a module that makes any call, from the core that is asked for."""

    def call(self, core: int, function: int, *arguments: int) -> int:
        """x0 of a call that Linux makes on one of its cores, as a signed 32-bit number."""
        text = " ".join(f"{n:#x}" for n in (function, *arguments))
        done = self.run(f"taskset {1 << core:x} sh -c 'echo {text} >{CALL}' && cat {CALL}")
        assert done.status == 0, done.errors
        x0 = int(done.output.split()[0], 16) & 0xFFFFFFFF
        return x0 - (1 << 32) if x0 >> 31 else x0


@contextlib.contextmanager
def machine_of(changes: tuple[str, ...]) -> Iterator[Cores]:
    module = kernel_module(debian_kernel(), "smc", {"": Path(__file__).parent / "worlds" / "smc"})
    with Cores(load(changes=changes), counted=True, files={"smc.ko": module}) as machine:
        assert machine.run("insmod /smc.ko").status == 0
        yield machine


@pytest.fixture(scope="module")
def shared() -> Iterator[Cores]:
    with machine_of(SHARED) as machine:
        yield machine


@pytest.fixture(scope="module")
def own() -> Iterator[Cores]:
    with machine_of(OWN) as machine:
        yield machine


@pytest.fixture(params=["shared", "own"])
def machine(request: pytest.FixtureRequest) -> Cores:
    found = request.getfixturevalue(request.param)
    assert isinstance(found, Cores)
    return found


def in_time(machine: LinkedMachine) -> None:
    task = machine.status("secure")["critical"]
    assert (task["missed"], task["skipped"]) == (0, 0), task
    assert task["late_kernel_us"]["max"] <= machine.board.secure.blocking.us, task


def test_linux_has_its_cores_and_no_other(machine: Cores) -> None:
    assert machine.run("nproc").output.split() == ["2"]
    nodes = machine.run("ls -d /proc/device-tree/cpus/cpu@*").output.split()
    assert [node[-5:] for node in nodes] == [f"cpu@{core}" for core in machine.board.core.normal]


@pytest.mark.parametrize("core", [0, 1])
def test_a_doorbell_from_any_core_wakes_the_secure_world(machine: Cores, core: int) -> None:
    """A frame is answered soon after the doorbell, well within a period of the Secure world's own look."""
    address = machine.board.secure.address
    script = f"taskset {1 << core:x} ping -q -c 20 -i 0.01 {address}"
    words = machine.run(script, 60).output
    assert "20 packets received" in words, words
    best, average = (float(word) for word in words.split(" = ")[1].split("/")[:2])
    assert 0 < best <= average < 0.6, f"{words}: in ms; a period is 1"
    in_time(machine)


def test_calls_from_all_cores_at_once_are_answered_and_starve_nobody(machine: Cores) -> None:
    """Both cores ring as fast as they can; each gets its answers, and the control task its periods."""
    doorbell, status = SMC["IST_SMC_DOORBELL"], SMC["IST_SMC_STATUS"]
    ring = f"i=0; while [ $i -lt 300 ]; do echo {doorbell:#x} 0 1 >{CALL}; i=$((i+1)); done"
    before = machine.status("secure")["critical"]["periods"]
    done = machine.run(f"for c in 1 2; do (taskset $c sh -c '{ring}') & done; wait", 120)
    assert done.status == 0, done.errors
    assert machine.call(0, status, 0) == 0
    assert machine.status("secure")["critical"]["periods"] > before
    assert machine.status("secure")["state"] == "RUN"
    in_time(machine)


def test_linuxs_first_core_stays(machine: Cores) -> None:
    """The Secure world's where it is shared, and where Linux begins again in any case."""
    done = machine.run("echo 0 >/sys/devices/system/cpu/cpu0/online")
    assert done.status != 0
    assert machine.call(0, CPU_OFF) == DENIED
    assert machine.run("cat /sys/devices/system/cpu/online").output.strip() == "0-1"


def test_another_core_goes_and_comes(machine: Cores) -> None:
    online = "/sys/devices/system/cpu/cpu1/online"
    done = machine.run(f"echo 0 >{online} && cat {online} && echo 1 >{online} && cat {online}", 60)
    assert (done.status, done.output.split()) == (0, ["0", "1"]), done.errors
    in_time(machine)


def test_the_secure_worlds_own_core_is_not_linuxs_to_start(own: Cores) -> None:
    """PSCI tells what is true, and does nothing."""
    entry = own.board.boot.kernel
    assert own.call(0, CPU_ON, 0, entry, 0) in (DENIED, ALREADY_ON)
    assert own.call(0, AFFINITY_INFO, 0, 0) == ON
    assert own.run("ls -d /sys/devices/system/cpu/cpu2").status != 0
    in_time(own)


@pytest.mark.slow
def test_polling_needs_no_doorbell() -> None:
    with machine_of(("core.normal=[1]", "core.doorbell=poll")) as machine:
        before = machine.status("normal")["doorbells"]
        words = machine.run(f"ping -q -c 20 -i 0.01 {machine.board.secure.address}", 60).output
        assert "20 packets received" in words, words
        assert float(words.split(" = ")[1].split("/")[1]) < 0.6, words
        assert machine.status("normal")["doorbells"] == before
        in_time(machine)
