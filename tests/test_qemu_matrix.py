# SPDX-License-Identifier: MIT
"""The whole check on every kind of machine: core and FP mode, Linux's cores, interrupt controller.

All of them in the slow set; a diagonal of it always, each with the link up and the control task judged.
"""

from __future__ import annotations

import itertools

import pytest

from isthmus.check.evidence import Evidence
from isthmus.check.qemu import check_qemu
from isthmus.qemu.linked import LinkedMachine
from isthmus.trustzone.board import TrustZone, load

pytestmark = pytest.mark.qemu

CORES = {
    "shared": "core.normal=[0]",
    "shared, Linux on two": "core.normal=[0, 1]",
    "its own": "core.normal=[1]",
    "its own, Linux on two": "core.normal=[1, 2]",
}
FP = ("none", "switched")
GIC = (3, 2)
MATRIX = [
    pytest.param((cores, f"secure.fp={fp}", f"gic.version={gic}"), id=f"{name}; fp {fp}; GICv{gic}")
    for (name, cores), fp, gic in itertools.product(CORES.items(), FP, GIC)
]
# Every value of every dimension once or more, beside the usual machine, which has a check of its own.
DIAGONAL = [MATRIX[3], MATRIX[4], MATRIX[15]]


@pytest.mark.slow
@pytest.mark.parametrize("changes", MATRIX)
def test_every_row_holds(changes: tuple[str, ...]) -> None:
    _, rows = check_qemu(load(changes=changes), 7, lambda topic: None, Evidence())
    assert [row for row in rows if not row.ok] == []


@pytest.mark.parametrize("changes", DIAGONAL)
def test_the_link_comes_up_and_the_control_task_keeps_its_periods(changes: tuple[str, ...]) -> None:
    board: TrustZone = load(changes=changes)
    with LinkedMachine(board, counted=True) as machine:
        assert machine.run("nproc").output.split() == [str(len(board.core.normal))]
        said = machine.run(f"ping -q -c 10 -i 0.01 {board.secure.address}", 60).output
        assert "10 packets received" in said, said
        task = machine.status("secure")["critical"]
        assert (task["missed"], task["skipped"]) == (0, 0), task
        assert task["late_kernel_us"]["max"] <= board.secure.blocking.us, task
