# SPDX-License-Identifier: MIT
"""What Linux finds at its first instruction is the same after every restart as after a cold boot: the
registers of each of its cores, the interrupt controller as each of them sees it, timers, power states.

The kernel that is started writes it down before it is Linux (tests/worlds/first). Of the ways to stop, `mess`
leaves all that a kernel can (tests/worlds/stop).
"""

from __future__ import annotations

import contextlib
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

import isthmus.qemu.machine
from first import Probe, registers, registers_of_el2
from isthmus.build import storage
from isthmus.qemu.linked import LinkedMachine
from isthmus.resources import tree
from restarts import BOARDS, BOOT_S, WAYS, machine
from test_registers import SPEC, rows

pytestmark = pytest.mark.qemu

USUAL = "shared, two cores"
SOON = [(USUAL, ("mess",)), ("EL2", ("mess",))]
LOADER = Path("worlds", "normal", "loader", "loader.S")


@contextlib.contextmanager
def probed(folder: Path, *changes: str) -> Iterator[tuple[LinkedMachine, Probe]]:
    m = machine(*changes)
    gic, emulator = m.board.gic.version, m.board.emulator
    listed = registers(rows(SPEC.read_text()), gic)
    if emulator is not None and "virtualization=on" in emulator.machine:
        listed += registers_of_el2(gic)
    probe = Probe(m.board, listed)
    kernel = probe.kernel(folder)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(isthmus.qemu.machine, "debian_kernel", lambda: kernel)
        patch.setattr(isthmus.qemu.machine, "device_tree", probe.device_tree)
        with m:
            yield m, probe


def changed(cold: dict[str, int], now: dict[str, int]) -> dict[str, tuple[str, str]]:
    """Cold and now, of what differs."""
    assert len(cold) > 500
    return {name: (hex(cold[name]), hex(now[name])) for name in cold if cold[name] != now[name]}


def after(m: LinkedMachine, probe: Probe, way: str) -> dict[str, int]:
    last = m.boot_id
    WAYS[way](m)
    m.wait_boot(last, BOOT_S)
    m.wait_up(BOOT_S)
    return probe.look(m)


@pytest.mark.timeout(1800)
@pytest.mark.parametrize(
    ("board", "ways"),
    [*SOON, *(pytest.param(board, WAYS, marks=pytest.mark.slow) for board in BOARDS)],
)
def test_every_restart_is_as_a_cold_boot(board: str, ways: tuple[str, ...], tmp_path: Path) -> None:
    with probed(tmp_path, *BOARDS[board]) as (m, probe):
        cold = probe.look(m)
        assert {way: changed(cold, after(m, probe, way)) for way in ways} == {way: {} for way in ways}


@pytest.mark.slow
@pytest.mark.parametrize(
    ("left_out", "found"),
    [
        ("msr cntp_cval_el0, xzr", "cntp_cval_el0"),
        ("clear_pairs 16, dbgbcr, _el1, dbgbvr, _el1", "core 1: dbgbvr5_el1"),
        ("msr oslar_el1, x0", "oslsr_el1"),
        ("msr pmcr_el0, x0", "core 1: pmcr_el0"),
        ("movi v\\n\\().2d, #0", "v31 high"),
        ("msr ICC_BPR1_EL1, xzr", "core 1: icc_bpr1_el1"),
        ("cmp x21, #STEP_VISIT", "core 1: cntp_cval_el0"),
    ],
)
def test_what_is_not_reset_is_found(
    left_out: str, found: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shutil.copytree(tree() / LOADER.parent, tmp_path / LOADER.parent)
    text = (tmp_path / LOADER).read_text()
    assert left_out in text
    (tmp_path / LOADER).write_text(text.replace(left_out, "cmp x21, #-1" if "STEP" in left_out else "nop"))
    monkeypatch.setattr(storage, "tree", lambda: tmp_path)
    with probed(tmp_path, *BOARDS[USUAL]) as (m, probe):
        assert found in changed(probe.look(m), after(m, probe, "mess"))
