# SPDX-License-Identifier: MIT
"""Who is let in by the monitor's short way, who is left to TF-A, and which core is held in the pen.

The machine code of entry.S and pen.S runs on an emulated processor. What that one has no register for, or
belongs to TF-A, is a macro or a label here: where the code gets to is what is asked.
"""

from __future__ import annotations

import struct
import subprocess
from pathlib import Path

import pytest
import unicorn
from unicorn import arm64_const as arm

from arm_trace import CROSS, symbols
from isthmus.resources import tree
from isthmus.trustzone import generate
from isthmus.trustzone.board import TrustZone, load
from smc_numbers import values

MONITOR = tree() / "worlds" / "monitor" / "tfa"
CORE = tree() / "core"
PAGE, CODE, CONTEXT, STACK = 0x1000, 0x100000, 0x200000, 0x300000
LR, EL3 = 0xF0, 0x100  # places in a context
SMC, FP = 0x17, 0x07  # classes of exceptions

#: TF-A's names, and its context as far as the code knows it.
NAMES = f"""
#define ESR_EC_SHIFT 26
#define EC_AARCH64_SMC {SMC:#x}
#define EC_FP_SIMD {FP:#x}
#define SCR_NS_BIT 1
#define CPTR_EZ_BIT 0x100
#define MODE_SP_EL0 0
#define MODE_SP_ELX 1
#define DAIF_ABT_BIT 4
#define CTX_GPREGS_OFFSET 0
#define CTX_GPREG_LR {LR:#x}
#define CTX_EL3STATE_OFFSET {EL3:#x}
#define CTX_IS_IN_EL3 0
#define CTX_RUNTIME_SP 0x10
#define CTX_SPSR_EL3 0x20
#define CTX_SCR_EL3 0x30
#define CTX_CPTR_EL3 0x40
"""
#: x27 is SCR_EL3, x28 ESR_EL3; x26 what was written to ZCR_EL3. A core that would sleep stops at `asleep`.
MACROS = """
.macro func name
\\name:
.endm
.macro endfunc name
.endm
.macro mov_imm reg, value
ldr \\reg, =(\\value)
.endm
.macro mrs reg, name
.ifc \\name,scr_el3
mov \\reg, x27
.else
.ifc \\name,esr_el3
mov \\reg, x28
.endif
.endif
.endm
.macro msr name, value
.ifc \\name,S3_6_C1_C2_0
mov x26, \\value
.endif
.endm
.macro wfi
b asleep
.endm
.macro exception_return
b el3_exit
.endm
"""
STOPS = ("__real_sync_exception_aarch64", "__real_plat_secondary_cold_boot_setup", "asleep", "el3_exit",
         "on_doorbell", "on_yield", "on_fp")  # fmt: skip
PASSED = ("prepare_el3_entry", "switch_registers", "restore_gp_pmcr_pauth_regs")
BOARDS = {
    "FP trapped": ("core.normal=[1, 2]",),
    "FP switched": ("secure.fp=switched", "core.normal=[0, 2]"),
}


class Core:
    """One processor in EL3, in front of these functions."""

    def __init__(self, folder: Path, board: TrustZone) -> None:
        (folder / "board.h").write_text(generate.header(board))
        (folder / "arch.h").write_text(NAMES)
        (folder / "context.h").write_text("")
        (folder / "asm_macros.S").write_text(MACROS)
        labels = [f".globl {n}\n{n}: b .\n" for n in STOPS] + [f".globl {n}\n{n}: ret\n" for n in PASSED]
        place = ".globl plat_my_core_pos\nplat_my_core_pos: mov x0, x27\nret\n"
        (folder / "labels.S").write_text("".join([*labels, place]))
        made = folder / "entry.elf"
        sources = (folder / "labels.S", MONITOR / "entry.S", MONITOR / "pen.S")
        include = [f"-I{path}" for path in (folder, MONITOR, CORE)]
        options = ("-nostdlib", "-static", f"-Wl,-Ttext={CODE:#x}", "-Wl,-easleep", "-o", str(made))
        subprocess.run([f"{CROSS}gcc", *include, *options, *map(str, sources)], check=True)
        code = folder / "entry.bin"
        subprocess.run([f"{CROSS}objcopy", "-O", "binary", "-j", ".text", made, code], check=True)
        self.at = symbols(made)
        self.uc = unicorn.Uc(unicorn.UC_ARCH_ARM64, unicorn.UC_MODE_ARM)
        for page in (CODE, CONTEXT, STACK):
            self.uc.mem_map(page, PAGE)
        self.uc.mem_write(CODE, code.read_bytes())
        stops = {self.at[name] for name in STOPS}
        self.uc.hook_add(unicorn.UC_HOOK_CODE, lambda uc, at, *_: uc.emu_stop() if at in stops else None)

    def goes(self, name: str, **registers: int) -> str:
        """Where it gets to from there."""
        for register, value in {"sp": CONTEXT, **registers}.items():
            self.uc.reg_write(getattr(arm, f"UC_ARM64_REG_{register.upper()}"), value)
        self.uc.emu_start(self.at[name], 0, count=1000)
        return {self.at[n]: n for n in STOPS}.get(self["pc"], "nowhere")

    def __getitem__(self, register: str) -> int:
        return int(self.uc.reg_read(getattr(arm, f"UC_ARM64_REG_{register.upper()}")))


@pytest.fixture(scope="module", params=BOARDS)
def board(request: pytest.FixtureRequest) -> TrustZone:
    return load(changes=BOARDS[request.param])


@pytest.fixture(scope="module")
def core(board: TrustZone, tmp_path_factory: pytest.TempPathFactory) -> Core:
    return Core(tmp_path_factory.mktemp("entry"), board)


def test_the_short_way_is_each_worlds_own(core: Core, board: TrustZone) -> None:
    """By class of exception, world and call. Whoever is let in finds the caller's context, its arguments and
    EL3's stack; who is not, all as it was.
    """
    numbers = values()
    doorbell, leave = numbers["IST_SMC_DOORBELL"], numbers["IST_SMC_YIELD"]
    calls = (doorbell, leave, doorbell ^ 1 << 31, 0)
    own = {(1, SMC, doorbell): "on_doorbell", (0, SMC, leave): "on_yield"}
    if board.secure.fp == "none":
        own |= {(0, FP, call): "on_fp" for call in calls}
    core.uc.mem_write(CONTEXT + EL3 + 0x10, struct.pack("<Q", STACK + 0x800))
    let_in = 0
    for normal in (0, 1):
        for kind in range(64):
            for call in calls:
                went = core.goes("__wrap_sync_exception_aarch64", x0=call, x1=5, x2=6, x30=77,
                                 x27=0x400 | normal, x28=kind << 26 | 0x2000000)  # fmt: skip
                expected = own.get((normal, kind, call), "__real_sync_exception_aarch64")
                assert went == expected, (normal, kind, call)
                assert struct.unpack("<Q", core.uc.mem_read(CONTEXT + LR, 8)) == (77,)
                assert (core["x1"], core["x2"]) == (5, 6)
                if (normal, kind, call) in own:
                    assert (core["x0"], core["sp"]) == (CONTEXT, STACK + 0x800)
                    let_in += 1
                else:
                    assert (core["x0"], core["sp"], core["x30"]) == (call, CONTEXT, 77)
    assert let_in == len(own)


@pytest.mark.parametrize("vectors", [0, 1])
def test_a_register_that_is_not_there_is_not_written(core: Core, vectors: int) -> None:
    """Of SVE, where the world that comes has none."""
    core.uc.mem_write(CONTEXT + EL3 + 0x40, struct.pack("<QQ", vectors * 0x100, 9))
    assert core.goes("switch_worlds", x2=CONTEXT, x26=0, x30=0) == "el3_exit"
    assert core["x26"] == 9 * vectors


def test_the_pen_holds_the_cores_of_neither_world(core: Core, board: TrustZone) -> None:
    given = {*board.core.normal, board.core.secure}
    for position in range(8):
        went = core.goes("__wrap_plat_secondary_cold_boot_setup", x27=position)
        assert went == ("__real_plat_secondary_cold_boot_setup" if position in given else "asleep"), position
