# SPDX-License-Identifier: MIT
"""Every EL1, EL0 and FP register of each world is its own: kept across every call and pre-emption.

Both worlds fill all their registers with patterns before they give the core away, and look for them when
they have it again (tests/worlds/registers). The Secure world here is the test's own; its timer pre-empts
Linux a thousand times a second. A world that sees what it put in has not seen the other's.
"""

from __future__ import annotations

import re
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from isthmus.build import firmware, payload
from isthmus.build.guest import kernel_module
from isthmus.build.packages import debian_kernel
from isthmus.build.program import build_program
from isthmus.qemu.machine import QemuMachine
from isthmus.resources import tree
from isthmus.trustzone.board import TrustZone, load
from restarts import BOARDS
from smc_numbers import values

pytestmark = pytest.mark.qemu

SOURCES = Path(__file__).parent / "worlds" / "registers"
SMC = values()
FILE = "/sys/kernel/debug/isthmus_registers"
LOOKED = re.compile(r"registers: looked (\w+) wrong (\w+) fixed(.*)")
CALLS = 200  # of each kind
SPINS, TURNS = 4, 5_000_000  # a loop is interrupted by several of the timer's periods
LOOKS = 1000  # of the Secure world, beside those loops: eight for each time that it had the core


def secure_world(board: TrustZone, try_fp: int = 0) -> Path:
    """The test's Secure world for this board, as payload() gives the product's. `try_fp`: see its main.c."""
    runtime, made, own = (
        tree() / "worlds" / "secure" / "runtime",
        payload.generated(board),
        SOURCES / "secure",
    )
    return build_program(
        "registers.elf",
        [own / "start.S", own / "main.c", SOURCES / "exchange.S", runtime / f"gicv{board.gic.version}.c"],
        [SOURCES, made, tree() / "core", runtime],
        (
            *(
                "-std=c11",
                "-O2",
                "-ffreestanding",
                "-mstrict-align",
                "-mgeneral-regs-only",
                "-Wall",
                "-Wextra",
            ),
            *("-fno-pic", "-fno-stack-protector", f"-DEXCHANGE_FP={int(board.secure.fp == 'switched')}"),
            f"-DTRY_FP={try_fp}",
        ),
        (
            *("-nostdlib", "-static", "-no-pie", "-Wl,--build-id=none,--no-warn-rwx-segments"),
            *(f"-L{made}", f"-T{own / 'payload.ld'}"),
        ),
        compiler=f"{payload.CROSS}gcc",
    )


class Worlds:
    """Both of them, on one machine."""

    def __init__(self, machine: QemuMachine) -> None:
        self.machine = machine

    def exchange(self, seed: int, times: int, results: int, *x: int) -> tuple[str, list[str]]:
        """Linux's calls, or with `results` -1 its loops: `kept` or the register that was not, and which
        registers have taken no pattern so far."""
        text = " ".join(str(n) for n in (seed, times, results, *x))
        done = self.machine.run(f"echo {text} >{FILE} && cat {FILE}", timeout=120)
        assert done.status == 0, done.errors
        first, fixed, *_ = [*done.output.splitlines(), ""]
        return first, fixed.split()

    def console(self) -> str:
        return (self.machine.logs / "secure.log").read_text()

    def looked(self) -> tuple[int, int, list[str]]:
        """How often the Secure world has looked, how often in vain, and which registers took no pattern."""
        found = LOOKED.findall(self.console())
        looks, wrong, fixed = found[-1] if found else ("0", "0", "")
        return int(looks, 16), int(wrong, 16), fixed.split()

    def registration(self) -> tuple[int, ...]:
        own, peer = (self.machine.board.buffer_region(role) for role in ("normal", "secure"))
        return 4, SMC["IST_SMC_REGISTER"], 0, own.base, own.size, peer.base, peer.size

    def lost(self, seed: int) -> set[str]:
        """The registers that a world did not find as it left them, over every call and pre-emption."""
        calls = [
            (1, SMC["IST_SMC_CALL_COUNT"]),
            (4, SMC["IST_SMC_UID"]),
            (2, SMC["IST_SMC_REVISION"]),
            (2, SMC["IST_SMC_GET_VERSION"]),
            (1, SMC["IST_SMC_DOORBELL"], 0, 1),  # no session
            self.registration(),
            (1, SMC["IST_SMC_DOORBELL"], 0, 1),  # to the Secure world and back; then over the rate
            (1, SMC["IST_SMC_DOORBELL"], 0, 0),
            (4, SMC["IST_SMC_STATUS"], 0),
            (1, SMC["IST_SMC_DETACH"], 0, 1),
            (1, SMC["IST_SMC_YIELD"], 0),
            (1, SMC["IST_SMC_READY"], 0),
            (1, 0xC7000FFF),
            (4, 0x84000000),  # PSCI_VERSION
            (4, 0x8400FFFF),
        ]
        lost = set()
        for results, *x in calls:
            verdict, _ = self.exchange(seed, CALLS, results, *x)
            lost.add(verdict.split()[0])
        before, end = self.looked()[0], time.monotonic() + 120
        while self.looked()[0] < before + LOOKS and self.looked()[1] == 0:
            assert time.monotonic() < end, self.console()[-500:]
            verdict, self.fixed = self.exchange(seed, SPINS, -1, TURNS)
            lost.add(verdict.split()[0])
        assert "exception" not in self.console()
        lost |= set(re.findall(r"registers: (\w+) changed ", self.console()))
        return lost - {"kept"}


def worlds(mode: str, try_fp: int = 0, changes: tuple[str, ...] = ()) -> Iterator[Worlds]:
    """A machine with the test's Secure world, and its FP registers as the board's `fp` says."""
    board = load(changes=(*changes, f"secure.fp={mode}"))
    module = kernel_module(debian_kernel(), "registers", {"": SOURCES})
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(firmware, "payload", lambda board: secure_world(board, try_fp))
        with QemuMachine(board, modules=[module]) as machine:
            yield Worlds(machine)


def slow(*values: object) -> object:
    return pytest.param(*values, marks=pytest.mark.slow)


@pytest.mark.parametrize("mode", ["none", "switched"])
@pytest.mark.parametrize(
    "changes",
    [
        (),
        *(
            slow(BOARDS[name])
            for name in ("shared, two cores", "own", "GICv2", "GICv2, two cores", "GICv2, own")
        ),
    ],
    ids=" ".join,
)
def test_each_world_keeps_its_registers(mode: str, changes: tuple[str, ...], seed: int) -> None:
    for both in worlds(mode, changes=changes):
        assert both.lost(seed) == set()
        assert both.fixed == both.looked()[2] == ["amair_el1"], "all others have carried patterns"


@pytest.mark.parametrize(
    ("mode", "register", "listed", "without"),
    [
        ("none", "contextidr_el1", "pair(mair_el1, contextidr_el1)", "pair(mair_el1, mair_el1)"),
        slow("none", "par_el1", "pair(par_el1, csselr_el1)", "pair(csselr_el1, csselr_el1)"),
        slow("none", "csselr_el1", "pair(par_el1, csselr_el1)", "pair(par_el1, par_el1)"),
        slow("none", "cntkctl_el1", "pair(cntkctl_el1, amair_el1)", ""),
        slow("switched", "fpsr", "pair(fpsr, fpcr)", "pair(fpcr, fpcr)"),
        slow("switched", "v30", "pair(q30, q31)", ""),
    ],
)
def test_a_register_that_is_not_switched_is_found(
    mode: str,
    register: str,
    listed: str,
    without: str,
    tmp_path: Path,
    seed: int,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    files = firmware._dispatcher

    def dispatcher(board: TrustZone) -> list[Path]:
        (old,) = [file for file in files(board) if file.name == "registers.h"]
        text = old.read_text()
        assert listed in text
        (tmp_path / old.name).write_text(text.replace(listed, without))
        return [tmp_path / old.name if file == old else file for file in files(board)]

    monkeypatch.setattr(firmware, "_dispatcher", dispatcher)
    for both in worlds(mode):
        assert register in both.lost(seed)


@pytest.mark.parametrize(
    ("mode", "try_fp", "log", "seen"),
    [
        slow("none", 1, "secure.log", "registers: exception 000000001fe00000"),  # its own vector: FP trapped
        ("none", 2, "normal.log", "isthmus: the Secure world used FP"),
        slow("switched", 2, "secure.log", "registers: has used FP"),
    ],
)
def test_the_secure_world_uses_fp_as_the_board_says(mode: str, try_fp: int, log: str, seen: str) -> None:
    for both in worlds(mode, try_fp):
        assert both.exchange(1, 1, *both.registration())[0].startswith("kept")
        both.machine.run(
            f"(usleep 100000; echo 1 1 1 {SMC['IST_SMC_DOORBELL']} 0 1 >{FILE}) >/dev/null 2>&1 </dev/null &"
        )
        end = time.monotonic() + 60
        while seen not in (both.machine.logs / log).read_text(errors="replace"):
            assert time.monotonic() < end, (both.machine.logs / log).read_text(errors="replace")[-500:]
            time.sleep(0.1)
        assert both.machine.run("echo Linux goes on").output == "Linux goes on\n"
