# SPDX-License-Identifier: MIT
"""The critical application is asked for its safe state when the peer breaks the protocol, at a fault, and
when a task overruns: each of the three on both machines, seen by an application of the test's
(tests/worlds/safe).

What becomes of Linux once the Secure world has stopped after its fault: it lives on, restarts by itself, has
no channel, and nobody restarts it when it is silent.
"""

from __future__ import annotations

import dataclasses
import os
import struct
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from isthmus.build import payload as building
from isthmus.build.program import Unit, build_program
from isthmus.build.secure import secure_world
from isthmus.host import HostMachine
from isthmus.qemu.linked import LinkedMachine
from isthmus.trustzone.board import load

APPLICATION = Path(__file__).parent / "worlds" / "safe" / "actuator.c"
PORT, HEAD = 7700, 0x080
SILENT_MS = 200

SAY = f"""
import socket, sys
s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
s.sendto(sys.argv[2].encode(), (sys.argv[1], {PORT}))
print("{{}}")
"""


def with_application(unit: Unit) -> list[Unit]:
    sources = [APPLICATION if p.name == APPLICATION.name else p for p in unit.sources]
    return [dataclasses.replace(unit, sources=sources)]


def eventually(what: Callable[[], bool], limit: float = 60.0) -> None:
    end = time.monotonic() + limit
    while not what():
        assert time.monotonic() < end, f"did not happen within {limit:g} s"
        time.sleep(0.02)


# ---- on the TrustZone machine --------------------------------------------------------------------


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LinkedMachine]:
    say = tmp_path_factory.mktemp("guest") / "say.py"
    say.write_text(SAY)

    def build(name: str, sources: Any, includes: Any, **rest: Any) -> Path:
        rest["more"] = [made for unit in rest["more"] for made in with_application(unit)]
        return build_program(name, sources, includes, **rest)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(building, "build_program", build)
        board = load(changes=[f"restart.silent_ms={SILENT_MS}", "channel.silence_ms=100"])
        with LinkedMachine(board, files={"programs/say.py": say}, counted=True) as machine:
            yield machine


def heard(machine: LinkedMachine) -> str:
    return (machine.logs / "secure.log").read_text(errors="replace")


@pytest.mark.qemu
def test_dead(running: LinkedMachine) -> None:
    head = running.buffer("normal")[HEAD : HEAD + 4]
    for _ in range(50):  # the driver writes its head, too
        head[:] = struct.pack("<I", (int.from_bytes(head, "little") + 0x40000000 + 1) & 0xFFFFFFFF)
        running.run("usleep 5000", 240)
        if "safe state: DEAD" in heard(running):
            break
    assert "safe state: DEAD" in heard(running)
    head.release()
    running.wait_up()


@pytest.mark.qemu
def test_overrun(running: LinkedMachine) -> None:
    running.ask("say", running.board.secure.address, "overrun", limit=20.0)
    eventually(lambda: "safe state: OVERRUN" in heard(running))


@pytest.mark.qemu
def test_fault(running: LinkedMachine) -> None:
    """The hook comes first, then the report, then nothing any more; the last but one here."""
    running.ask("say", running.board.secure.address, "fault", limit=20.0)
    eventually(lambda: "  lr " in heard(running))
    said = heard(running)
    assert said.index("safe state: FAULT") < said.index("stopped: unexpected exception, synchronous")
    assert said.count("safe state: FAULT") == 1


@pytest.mark.qemu
def test_after_a_fault_linux_is_left_alone(running: LinkedMachine) -> None:
    name, last = running.board.normal.interface, running.boot_id
    running.run(f"usleep {10 * SILENT_MS * 1000}", 240)
    assert running.boot_id == last, "nobody is left to find it silent"
    assert running.run(f"cat /sys/class/net/{name}/carrier", 240).output.strip() != "1"
    running.reboot(timeout=240)
    assert running.run("insmod /modules/isthmus.ko 2>/dev/null; true", 240).status == 0
    running.run(f"ip link set {name} up; usleep 1000000", 240)
    assert running.run(f"cat /sys/class/net/{name}/carrier", 240).output.strip() != "1", "no session"


# ---- on the host ---------------------------------------------------------------------------------


@pytest.fixture
def host() -> Iterator[HostMachine]:
    with HostMachine(programs={"secure": secure_world(with_application)}) as machine:
        yield machine


def says(machine: HostMachine, why: str) -> None:
    line = f"safe state: {why}"
    eventually(lambda: any((e.what, e.detail) == ("output", line) for e in machine.events))


def send(machine: HostMachine, text: bytes) -> None:
    with machine.socket(2, 2) as s:
        s.sendto(text, (machine.board.secure.address, PORT))


@pytest.mark.host
@pytest.mark.needs("processes")
def test_dead_on_the_host(host: HostMachine) -> None:
    """Through the memory of a pump that was taken over."""
    pid = host.pid("normal")
    maps = Path(f"/proc/{pid}/maps").read_text().splitlines()
    base = next(int(line.split("-")[0], 16) for line in maps if "rw-s" in line and "memfd:" in line)
    memory = os.open(f"/proc/{pid}/mem", os.O_RDWR)
    try:
        os.pwrite(memory, struct.pack("<I", 0x40000000), base + HEAD)
    finally:
        os.close(memory)
    says(host, "DEAD")


@pytest.mark.host
@pytest.mark.needs("processes")
def test_overrun_and_fault_on_the_host(host: HostMachine) -> None:
    before = host.pid("secure")
    send(host, b"overrun")
    says(host, "OVERRUN")
    assert host.pid("secure") == before
    send(host, b"fault")
    says(host, "FAULT")
    eventually(lambda: bool(host.restarts))
    host.wait_up(timeout=20)
    assert host.pid("secure") != before
    assert host.restarts[-1].cause == "SIGSEGV"
