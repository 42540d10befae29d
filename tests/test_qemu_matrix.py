# SPDX-License-Identifier: MIT
"""The whole check on every kind of machine: core and FP mode, Linux's cores, interrupt controller.

All of them in the slow set, a diagonal of it always.
"""

from __future__ import annotations

import itertools

import pytest

from isthmus.check.evidence import Evidence
from isthmus.check.qemu import check_qemu
from isthmus.trustzone.board import load

pytestmark = pytest.mark.qemu

CORES = {
    "shared": "core.normal=[0]",
    "shared, Linux on two": "core.normal=[0, 1]",
    "its own": "core.normal=[1]",
    "its own, Linux on two": "core.normal=[1, 2]",
}
FP = ("none", "switched")
GIC = (3, 2)
# Every value of FP, GIC, sharing and number of cores, beside the usual machine, which has a check of its own.
DIAGONAL = {
    ("shared", "switched", 2),
    ("shared, Linux on two", "none", 3),
    ("its own, Linux on two", "switched", 2),
}
MATRIX = [
    pytest.param(
        (cores, f"secure.fp={fp}", f"gic.version={gic}"),
        id=f"{name}; fp {fp}; GICv{gic}",
        marks=() if (name, fp, gic) in DIAGONAL else pytest.mark.slow,
    )
    for (name, cores), fp, gic in itertools.product(CORES.items(), FP, GIC)
]


@pytest.mark.parametrize("changes", MATRIX)
def test_every_row_holds(changes: tuple[str, ...]) -> None:
    _, rows = check_qemu(load(changes=changes), 7, lambda topic: None, Evidence())
    assert [row for row in rows if not row.ok] == []
