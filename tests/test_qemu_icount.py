# SPDX-License-Identifier: MIT
"""Counted time is shared by the cores: none of Linux's stands still because another one is busy."""

from __future__ import annotations

from pathlib import Path

import pytest

from isthmus.build import firmware
from isthmus.qemu import icount
from isthmus.qemu.linked import LinkedMachine
from isthmus.qemu.machine import QemuMachine
from isthmus.trustzone.board import TrustZone, load

PLACES = {
    "[0]": (0,),
    "[1]": (1,),
    "[0, 1]": (0, 2),
    "[1, 2]": (1, 3),
    "[2, 1]": (2, 4),
    "[0, 1, 2]": (0, 2, 4),
    "[1, 3]": (1, 3),
}


@pytest.mark.parametrize("cores", PLACES)
def test_linuxs_cores_stand_apart(cores: str) -> None:
    board = icount.apart(load(changes=(f"core.normal={cores}",)))
    assert (board.core.normal, board.core.secure) == (PLACES[cores], 0)
    assert icount.apart(board) == board


@pytest.mark.parametrize(("own", "patient"), [(5000, 1_000_000), (2_000_000, 2_000_000), (0, 0)])
def test_a_watchdog_is_patient_in_real_time_alone(
    own: int, patient: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The monitor is the board's in any case, and so is a Secure world that was built elsewhere."""
    board, waits, monitors = load(changes=(f"secure.watchdog_us={own}",)), list[int](), list[TrustZone]()

    def payload(board: TrustZone) -> Path:
        waits.append(board.secure.watchdog_us)
        return tmp_path / "payload"

    def stages(board: TrustZone, instead: object) -> Path:
        monitors.append(board)
        return tmp_path

    (tmp_path / "payload").write_bytes(b"")
    monkeypatch.setattr(firmware, "payload", payload)
    monkeypatch.setattr(firmware, "stages", stages)
    monkeypatch.setattr(firmware, "_run", lambda command, log: Path(command[-1]).write_bytes(b""))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    for part in ("bl1", "bl2", "bl31"):
        (tmp_path / f"{part}.bin").write_bytes(b"")
    for machine in (QemuMachine(board), QemuMachine(board, counted=True)):
        machine.flash()
    QemuMachine(board, payload=tmp_path / "payload").flash()
    assert waits == [patient, own]
    assert monitors == [board] * 3


BUSY = "sh -c 'while :; do :; done' >/dev/null 2>&1 & echo $! >/tmp/busy"
WORK = "sh -c 'n=0; while [ $n -lt 20000 ]; do n=$((n + 1)); done'"


@pytest.mark.parametrize("cores", ["[0, 1]", "[1, 2]"])
@pytest.mark.qemu
def test_a_core_goes_on_beside_one_that_never_waits(cores: str) -> None:
    """At about half the speed that it has alone, since the machine's time is that of both."""
    with LinkedMachine(load(changes=(f"core.normal={cores}",)), counted=True) as machine:

        def seconds(core: int) -> float:
            before = machine.uptime()
            machine.run(f"taskset {1 << core} {WORK}")
            return machine.uptime() - before

        for busy, other in ((0, 1), (1, 0)):
            alone = seconds(other)
            machine.run(f"taskset {1 << busy} {BUSY}")
            beside = seconds(other)
            machine.run("kill $(cat /tmp/busy)")
            assert beside < 4 * alone, f"core {other} beside {busy}"
