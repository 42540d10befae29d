# SPDX-License-Identifier: MIT
"""Attacks on the host machine's border: ways past it for a program of the Normal world, or root there."""

from __future__ import annotations

import os
import random
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, cast

from isthmus.attack.catalogue import Outcome, attack
from isthmus.attack.rig import Rig, difference
from isthmus.check.isolation import isolation
from isthmus.host import HostMachine

FLOW_S = 1.0
HOST: Any = ("host",)


class Exposed:
    """A machine with a Secure world that has none of its defences: a memfd without seals, and a process that
    may be looked into, in the Normal world's own namespaces. Everything else is the machine's."""

    def __init__(self, machine: HostMachine) -> None:
        self.machine = machine
        self.entered = machine.popen(["sleep", "60"])
        self.memory = os.memfd_create("open", os.MFD_CLOEXEC | os.MFD_ALLOW_SEALING)
        os.ftruncate(self.memory, 1 << 16)

    def __getattr__(self, name: str) -> Any:
        return getattr(self.machine, name)

    def buffer(self, world: str) -> int:
        return os.dup(self.memory)

    def pid(self, world: str) -> int:
        """The sleeper that stands in for the Secure world's process."""
        if world == "normal":
            return self.machine.pid("normal")
        enter, end = self.entered.pid, time.monotonic() + 5
        while time.monotonic() < end:
            with suppress(OSError, IndexError):
                child = int(Path(f"/proc/{enter}/task/{enter}/children").read_text().split()[0])
                if Path(f"/proc/{child}/comm").read_text().strip() == "sleep":
                    return child
            time.sleep(0.01)
        raise OSError("the stand-in did not start")

    def close(self) -> None:
        self.entered.kill()
        self.entered.wait()
        os.close(self.memory)


@contextmanager
def under_attack(s: Rig) -> Iterator[HostMachine]:
    """The machine, or in a control the stand-in without defences."""
    if not s.exposed:
        yield s.machine
        return
    exposed = Exposed(s.machine)
    try:
        yield cast(HostMachine, exposed)
    finally:
        exposed.close()


def border(s: Rig, ident: str) -> Outcome:
    before = s.status()
    with under_attack(s) as machine:
        (row,) = (row for row in isolation(machine) if row.id == ident)
    recovered = s.recovers()
    after = s.status()
    missed = after["critical"]["missed"] - before["critical"]["missed"]
    good = row.ok and recovered is not None and not missed
    return Outcome(good, row.detail, difference(before, after), missed, recovered_s=recovered)


@attack(
    "host-74",
    "writing, remapping, truncating the Secure world's memory",
    "U",
    machines=HOST,
    off={"exposed": True},
)
def write_the_buffer(s: Rig, dice: random.Random) -> Outcome:
    return border(s, "isolation.write")


@attack(
    "host-75",
    "ptrace, /proc/PID/mem, process_vm_readv, pidfd_getfd on the Secure process",
    "U",
    machines=HOST,
    off={"exposed": True},
)
def look_into_the_process(s: Rig, dice: random.Random) -> Outcome:
    return border(s, "isolation.read")


BARRIERS = """
import ctypes, sys, time
call = ctypes.CDLL(None).syscall
done, end = 0, time.monotonic() + float(sys.argv[1])
while time.monotonic() < end:
    for _ in range(64):
        call(324, 2, 0, 0)  # membarrier, MEMBARRIER_CMD_GLOBAL_EXPEDITED
    done += 64
print(done)
"""


@attack("host-77", "membarrier flood at the Secure process", "U", machines=HOST, off=None)
def barriers(s: Rig, dice: random.Random) -> Outcome:
    """Both worlds are registered for each other's barriers, and so for anybody's: each interrupts them for a
    moment. The kernel lets nobody refuse that; what it costs is what echoes take meanwhile."""
    before, quiet = s.status(), s.round_trip()
    flood = s.machine.popen([sys.executable, "-I", "-S", "-c", BARRIERS, str(FLOW_S)], stdout=subprocess.PIPE)
    try:
        beside = s.round_trip(FLOW_S / 2)
        done = int(flood.communicate(timeout=30)[0])
    finally:
        flood.kill()
        flood.wait()
    recovered, after = s.recovers(), s.status()
    missed = after["critical"]["missed"] - before["critical"]["missed"]
    moved = difference(before, after)
    good = done > 0 and not missed and not moved and recovered is not None
    echo = f"an echo takes {beside:.0f} us beside them, {quiet:.0f} without"
    return Outcome(
        good, f"{done / FLOW_S:,.0f} barriers a second; {echo}", moved, missed, recovered_s=recovered
    )
