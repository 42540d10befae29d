# SPDX-License-Identifier: MIT
"""SPEC's table of interrupts: which exception each raises, per version of the controller, core and world.

The emulator notes every exception that its cores take. Linux sleeps and computes meanwhile, rings from a
core without the Secure world, and is called to restart; what is noted is what the table says, no more and
no less.
"""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from isthmus.qemu.machine import QemuMachine
from isthmus.trustzone.board import TrustZone, load
from smc_calls import Normal, module

pytestmark = pytest.mark.qemu

SPEC = Path(__file__).parents[1] / "docs" / "SPEC.md"
#: By the table's words for a core.
CORES = {
    "shared": {"shared"},
    "Linux's": {"Linux's"},
    "shared or Linux's": {"shared", "Linux's"},
    "its own": {"its own"},
}
SECURE, LINUX = "Secure world", "Linux"

Exception_ = tuple[str, str, str]  # IRQ or FIQ, who was interrupted, where it was taken
TAKEN = re.compile(
    r"^Taking exception \d+ \[(IRQ|FIQ)\] on CPU (\d+)\n"
    r"\.\.\.from EL\d to EL(\d)\n(?:\.\.\.with ESR .*\n)?"
    r"\.\.\.with ELR 0x([0-9a-f]+)\n\.\.\.to EL\d PC 0x([0-9a-f]+) ",
    re.MULTILINE,
)
BOARDS = {
    "GICv3, shared": ("core.normal=[0, 1]",),
    "GICv2, shared": ("core.normal=[0, 1]", "gic.version=2"),
    "GICv3, own": ("core.normal=[1, 2]",),
    "GICv2, own": ("core.normal=[1, 2]", "gic.version=2"),
}


def table(version: int, core: str) -> set[Exception_]:
    """What SPEC says may be taken on such a core."""
    text = SPEC.read_text().partition("\n## Interrupts\n")[2].partition("\n## ")[0]
    lines = (
        text[text.index("| Interrupt | Core | Runs there | GICv3 | GICv2 |") :].split("\n\n")[0].splitlines()
    )
    rows = [[cell.strip() for cell in line.split("|")[1:-1]] for line in lines]
    found = set()
    for _, where, runs, *columns in rows[2:]:
        said = columns[3 - version]
        exception = re.search(r"\b(IRQ|FIQ) (?:at|to) (S-EL1|EL1|EL3)", said)
        if core in CORES[where] and exception is not None and "masked" not in said:
            found.add((exception[1], runs, exception[2]))
    assert found
    return found


def taken(board: TrustZone, log: str) -> dict[str, set[Exception_]]:
    """What was, by kind of core."""

    def secure(address: str) -> bool:
        at, ram = int(address, 16), board.memory.secure
        return ram.base <= at < ram.end

    found: dict[str, set[Exception_]] = {}
    for kind, core, level, came_from, went_to in TAKEN.findall(log):
        mine = "shared" if board.core.shared else "its own"
        where = mine if int(core) == board.core.secure else "Linux's"
        target = "S-EL1" if secure(went_to) else f"EL{level}"
        found.setdefault(where, set()).add((kind, SECURE if secure(came_from) else LINUX, target))
    return found


@pytest.fixture(
    params=[name if "shared" in name else pytest.param(name, marks=pytest.mark.slow) for name in BOARDS]
)
def noted(request: pytest.FixtureRequest, tmp_path: Path) -> tuple[TrustZone, str]:
    log = tmp_path / "exceptions"
    board = load(changes=BOARDS[request.param])
    with QemuMachine(board, modules=[module()], counted=True, more=("-d", "int", "-D", str(log))) as machine:
        normal = Normal(machine)
        normal.call("REGISTER", *normal.claim)
        machine.run("usleep 50000")
        for core in range(len(board.core.normal)):
            machine.run(f"taskset {1 << core:x} sh -c 'for i in $(seq 20); do usleep 1000; done'")
            machine.run(f"taskset {1 << core:x} sh -c 'echo 0xc7000003 0 1 >/sys/kernel/debug/isthmus_smc'")
        machine.reboot()
    return board, log.read_text(errors="replace")


def test_each_interrupt_raises_what_the_table_says(noted: tuple[TrustZone, str]) -> None:
    board, log = noted
    found = taken(board, log)
    home = "shared" if board.core.shared else "its own"
    assert set(found) == {home, "Linux's"}
    for core, exceptions in found.items():
        assert exceptions == table(board.gic.version, core), core
    assert found[home] != table(5 - board.gic.version, home), "the other version's column would not do"
