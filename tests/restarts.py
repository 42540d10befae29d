# SPDX-License-Identifier: MIT
"""Ways for Linux to stop, and what has to hold after each of them; for tests of the TrustZone machine."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest

from isthmus.build.guest import kernel_module
from isthmus.build.packages import debian_kernel
from isthmus.errors import RestartedError
from isthmus.qemu.linked import LinkedMachine
from isthmus.trustzone.board import load

BOARDS = {
    "shared": (),
    "shared, two cores": ("core.normal=[0,1]",),
    "own": ("core.normal=[1,2]",),
    "GICv2": ("gic.version=2",),
    "GICv2, two cores": ("gic.version=2", "core.normal=[0,1]"),
    "GICv2, own": ("gic.version=2", "core.normal=[1,2]"),
    "EL2": ("emulator.machine=virt,secure=on,virtualization=on,gic-version={gic}", "core.normal=[0,1]"),
}
WORLDS = Path(__file__).parent / "worlds"
# A silent Linux is found out soon, and may be restarted as often as a test wants.
POLICY = ("channel.silence_ms=100", "restart.silent_ms=200", "restart.burst=1000", "restart.interval_ms=1")
BOOT_S = 240.0  # of a machine that counts instructions, on a busy host
FLOOD = "cat /dev/zero | nc 10.77.0.2 5001 & usleep 20000;"  # as much TCP as goes, to the Secure world
STOP, CALL = "/sys/kernel/debug/isthmus_stop", "/sys/kernel/debug/isthmus_smc"


def machine(*changes: str, counted: bool = True) -> LinkedMachine:
    """A machine whose Linux holds the modules stop and smc, not yet loaded."""
    files = {
        f"modules/{name}.ko": kernel_module(debian_kernel(), name, {"": WORLDS / name})
        for name in ("stop", "smc")
    }
    return LinkedMachine(load(changes=(*POLICY, *changes)), counted=counted, files=files)


def gic(m: LinkedMachine) -> str:
    """The module's arguments."""
    board = m.board
    return (
        f"version={board.gic.version} gicd={board.device.gic_distributor.base:#x} "
        f"private={board.gic_private.base:#x}"
    )


def by(script: str) -> Callable[[LinkedMachine], None]:
    """Linux stops by a script that never ends."""

    def act(m: LinkedMachine) -> None:
        try:
            done = m.run(f"insmod /modules/stop.ko {gic(m)}; insmod /modules/smc.ko; {script}", BOOT_S)
        except RestartedError:
            return
        raise AssertionError(f"Linux lives on after {script!r}: {done}")

    return act


def off_and_on(m: LinkedMachine) -> None:
    with pytest.raises(RestartedError, match="switched itself off before it had finished 'poweroff -f'"):
        m.run("poweroff -f", BOOT_S)
    with pytest.raises(RestartedError, match="Linux is off"):
        m.run("true")
    assert m.console is not None
    assert m.console.status(BOOT_S)["normal"]["state"] == "off"
    m.console.restart_linux(BOOT_S)


def by_the_secure_world(m: LinkedMachine) -> None:
    assert m.console is not None
    m.console.restart_linux(BOOT_S)


WAYS: dict[str, Callable[[LinkedMachine], None]] = {
    "reboot": by("reboot -f"),
    "panic": by(f"echo panic >{STOP}"),
    "crash": by("echo c >/proc/sysrq-trigger"),
    "sysrq-b in traffic": by(f"{FLOOD} echo b >/proc/sysrq-trigger"),
    "unloaded in traffic": by(f"{FLOOD} rmmod isthmus; reboot -f"),
    "reset2": by(f"echo 0xc4000012 0 0 >{CALL}"),
    "off and on": off_and_on,
    "hang": by(f"echo hang-all >{STOP}"),
    "mess": by(f"echo mess >{STOP}"),
    "by the Secure world": by_the_secure_world,
}
SILENT = {"hang"}


@dataclass(frozen=True)
class Before:
    """What is known of a machine whose link is up."""

    boot_id: str
    epoch: int
    starts: int
    silent: int
    periods: int


def look(m: LinkedMachine) -> Before:
    status = m.status("secure")
    normal = status["normal"]
    assert (status["state"], normal["state"]) == ("RUN", "running")
    return Before(
        m.boot_id, status["epoch"], normal["starts"], normal["silent"], status["critical"]["periods"]
    )


def restart(m: LinkedMachine, way: str) -> None:
    """Stops Linux in this way, and checks that it alone was affected and that frames pass again."""
    before = look(m)
    WAYS[way](m)
    m.wait_boot(before.boot_id, BOOT_S)
    m.wait_up(BOOT_S)
    ping = m.run(f"ping -c 3 -W 5 {m.board.secure.address}", BOOT_S)
    assert "3 packets received" in ping.output, ping
    after = look(m)
    assert after.boot_id != before.boot_id
    assert after.epoch not in (0, before.epoch)
    assert after.starts == before.starts + 1, way
    assert after.silent == before.silent + (way in SILENT), way
    assert after.periods > before.periods


def no_gap(m: LinkedMachine) -> list[str]:
    """Every period of the hardware counter's was one of the task's, from the start to now, and in time.
    Returns the events on record since the last time."""
    assert m.console is not None
    critical = m.status("secure")["critical"]
    assert (critical["missed"], critical["skipped"]) == (0, 0)
    lines = list(m.console.record(BOOT_S))
    line = lines[-1]
    periods = (line["now_ns"] - line["born_ns"]) // (critical["period_us"] * 1000) + 1
    assert abs(line["written"] - periods) <= 1, line
    return [what for line in lines for _, what in line["events"]]
