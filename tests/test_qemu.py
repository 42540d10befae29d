# SPDX-License-Identifier: MIT
"""The TrustZone machine boots, and the monitor answers every call of the Normal world as core/smc.h says.

   pytest --- agent's port --- /init  Linux          one machine for all of this file
     |                          | smc.ko: any call
memory file                  monitor
     |                          |
   buffers ================= runtime
"""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from isthmus.qemu.machine import QemuMachine
from smc_calls import SMC, Normal, module

pytestmark = pytest.mark.qemu

STATE, EPOCH, BEAT = 0x000, 0x008, 0x020  # IST_CTL_*


@pytest.fixture(scope="module")
def machine() -> Iterator[QemuMachine]:
    with QemuMachine(modules=[module()]) as machine:
        yield machine


@pytest.fixture
def normal(machine: QemuMachine) -> Iterator[Normal]:
    normal = Normal(machine)
    normal.detach()
    yield normal
    normal.detach()


def word(machine: QemuMachine, offset: int, size: int = 4) -> int:
    """A control word of the Secure world's buffer, read from outside the machine."""
    return int.from_bytes(machine.buffer("secure")[offset : offset + size], "little")


def test_the_secure_world_is_up_before_linux(machine: QemuMachine) -> None:
    console = (machine.logs / "secure.log").read_text()
    assert "first period done, Linux may start" in console
    assert "stopped" not in console


def test_the_general_queries(normal: Normal) -> None:
    assert normal.call("CALL_COUNT")[0] == SMC["IST_SMC_COUNT"]
    assert normal.call("UID") == [SMC[f"IST_SMC_UID_{i}"] for i in range(4)]
    assert normal.call("REVISION")[:2] == [SMC["IST_SMC_MAJOR"], SMC["IST_SMC_MINOR"]]
    assert normal.call("GET_VERSION")[0] == SMC["IST_SMC_VERSION_WORD"]
    assert normal.call("GET_VERSION")[1] & SMC["IST_SMC_FEATURE_TEST_KEY"]


@pytest.mark.parametrize("name", ["READY", "YIELD", "RING", "SESSION", "QUIESCED", "LOG"])
def test_the_secure_worlds_calls_are_not_linuxs(normal: Normal, name: str) -> None:
    assert normal.result(name, 0, 1) == "NOT_SUPPORTED"


@pytest.mark.parametrize("function", [0xC7000005, 0xC700FFFF, 0x8700FF02, 0x87000001, 0xC7000000, 0x47000001])
def test_unknown_functions_and_the_wrong_width(normal: Normal, function: int) -> None:
    assert normal.result(function, 0, 1) == "NOT_SUPPORTED"


def test_a_session_from_registration_to_quiescence(normal: Normal, machine: QemuMachine) -> None:
    x0, epoch, *key = normal.call("REGISTER", *normal.claim)
    assert x0 == 0
    assert epoch
    assert any(key)
    assert normal.call("STATUS", 0)[1:3] == [SMC["IST_SESSION_SEALED"], epoch]
    normal.machine.run("usleep 20000")
    assert word(machine, EPOCH, 8) == epoch, "the Secure world entered the epoch"
    assert normal.result("REGISTER", *normal.claim) == "ALREADY"
    assert normal.result("DETACH", 0, epoch ^ 1) == "DENIED"
    assert normal.result("DETACH", 0, epoch) == "OK"
    assert normal.result("DETACH", 0, epoch) == "DENIED"
    normal.detach()
    assert normal.call("REGISTER", *normal.claim)[1] != epoch


def test_only_the_boards_registration_fits(normal: Normal) -> None:
    """Off by a byte or a page at either end, wrapped, zero, aliased, another's memory: all refused alike."""
    secure = normal.machine.board.memory.secure
    good = normal.claim
    bad = [[1, *good[1:]]]
    for index in range(1, 5):
        wrong = [good[index] + change for change in (1, -1, 4096, -4096)]
        bad += [[*good[:index], value, *good[index + 1 :]] for value in (*wrong, 0, (1 << 64) - 1)]
    bad += [
        [0, good[3], good[4], good[1], good[2]],
        [0, good[1], good[2], good[1], good[2]],
        [0, secure.base, good[2], *good[3:]],
        [0, good[1] + (1 << 32), *good[2:]],
    ]
    for claim in bad:
        assert normal.result("REGISTER", *(v % (1 << 64) for v in claim)) == "INVALID", claim
    assert normal.call("STATUS", 0)[1] == SMC["IST_SESSION_NONE"]


def test_doorbells_need_a_session_and_name_a_lane(normal: Normal) -> None:
    assert normal.result("DOORBELL", 0, 1) == "DENIED"
    normal.call("REGISTER", *normal.claim)
    assert normal.result("DOORBELL", 0, 1) == "OK"
    for channel, lanes in ((1, 1), (0, 0), (0, 16), (0, 1 << 32), (1 << 63, 1)):
        assert normal.result("DOORBELL", channel, lanes) == "INVALID"


def test_the_secure_world_beats_while_linux_spins(normal: Normal, machine: QemuMachine) -> None:
    normal.call("REGISTER", *normal.claim)
    normal.machine.run("usleep 20000")
    before = word(machine, BEAT)
    machine.run("i=0; while [ $i -lt 20000 ]; do i=$((i+1)); done")
    assert (word(machine, BEAT) - before) & 0xFFFFFFFF > 10


def test_linux_cannot_take_the_secure_worlds_core(normal: Normal, machine: QemuMachine) -> None:
    """PSCI says that the core's trusted OS cannot move; CPU_OFF is refused all the same where Linux asks."""
    assert "Trusted OS resident on physical CPU 0x0" in machine.run("dmesg | grep psci:").output
    cpu_off = 0x84000002
    assert normal.call(cpu_off)[0] & 0xFFFFFFFF == (-3) & 0xFFFFFFFF, "PSCI DENIED"
    assert machine.run("true").status == 0
