# SPDX-License-Identifier: MIT
"""Counted time is shared by the cores: none of Linux's stands still because another one is busy."""

from __future__ import annotations

import pytest

from isthmus.qemu import icount
from isthmus.qemu.linked import LinkedMachine
from isthmus.trustzone.board import load

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
