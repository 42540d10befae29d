# SPDX-License-Identifier: MIT
"""The monitor's lock is given in the order in which it was asked for, whatever the cores' speeds.

Its machine code runs on several emulated processors with one memory, an instruction of this one and an
instruction of that one as a seed has it.
"""

from __future__ import annotations

import ctypes
import mmap
import random
import subprocess
from pathlib import Path

import pytest
import unicorn
from unicorn import arm64_const as arm

from arm_trace import CROSS
from isthmus.resources import tree

MONITOR = tree() / "worlds" / "monitor" / "tfa"
GIVE = (
    '#include "lock.h"\nvoid given(struct lock *lock);\nvoid given(struct lock *lock) { lock_give(lock); }\n'
)
CODE, LOCK, AWAY = 0x10000, 0x20000, 0x30000
PAGE = 0x1000
# What TF-A's header makes of the two words.
MACROS = ".macro func name\n\\name:\n.endm\n.macro endfunc name\n.endm\n"


def built(folder: Path, text: str) -> tuple[bytes, dict[str, int]]:
    """The machine code of lock.S, and where its functions begin."""
    (folder / "asm_macros.S").write_text(MACROS)
    (folder / "lock.S").write_text(text)
    (folder / "give.c").write_text(GIVE)
    (folder / "board.h").write_text("#define BOARD_CORES 4\n")
    made = folder / "lock.elf"
    include = ("-I", str(folder), "-I", str(MONITOR))
    sources = (folder / "lock.S", folder / "give.c")
    command = [f"{CROSS}gcc", "-Os", "-nostdlib", "-static", "-Wl,-Ttext=0", "-Wl,-elock_take", *include]
    subprocess.run([*command, "-o", made, *sources], check=True)
    subprocess.run([f"{CROSS}objcopy", "-O", "binary", "-j", ".text", made, folder / "lock.bin"], check=True)
    listed = subprocess.run([f"{CROSS}nm", made], capture_output=True, text=True, check=True).stdout
    places = {
        name: int(at, 16) for at, kind, name in (line.split() for line in listed.splitlines()) if kind == "T"
    }
    return (folder / "lock.bin").read_bytes(), places


class Core:
    """One processor. It is away, asks for the lock, has it, or gave it."""

    def __init__(self, code: bytes, shared: ctypes.Array[ctypes.c_char]) -> None:
        self.state = "away"
        self.uc = unicorn.Uc(unicorn.UC_ARCH_ARM64, unicorn.UC_MODE_ARM)
        self.uc.mem_map(CODE, PAGE)
        self.uc.mem_write(CODE, code)
        self.uc.mem_map_ptr(LOCK, PAGE, unicorn.UC_PROT_ALL, ctypes.addressof(shared))

    def call(self, at: int) -> None:
        for register, value in ((arm.UC_ARM64_REG_X0, LOCK), (arm.UC_ARM64_REG_X30, AWAY)):
            self.uc.reg_write(register, value)
        self.uc.reg_write(arm.UC_ARM64_REG_PC, CODE + at)

    def step(self) -> bool:
        """One instruction; True: the call has returned. One that waits for an event is passed over: an event
        may always come for no reason."""
        at = self.uc.reg_read(arm.UC_ARM64_REG_PC)
        self.uc.emu_start(at, AWAY, count=1)
        if self.uc.reg_read(arm.UC_ARM64_REG_PC) == at:
            self.uc.reg_write(arm.UC_ARM64_REG_PC, at + 4)
        return bool(self.uc.reg_read(arm.UC_ARM64_REG_PC) == AWAY)


def contest(folder: Path, text: str, seed: int, cores: int = 4, steps: int = 10_000) -> int:
    """How often the lock was given. AssertionError: two have it, or one with a ticket was passed."""
    code, places = built(folder, text)
    page = mmap.mmap(-1, PAGE)
    shared = (ctypes.c_char * PAGE).from_buffer(page)
    page[:4] = b"\xff\xff\xff\xff"  # free, and both halves about to wrap
    chance = random.Random(seed)
    every = [Core(code, shared) for _ in range(cores)]
    speeds = [chance.choice((1, 3, 9)) for _ in every]
    queue: list[Core] = []
    given = 0
    for _ in range(steps):
        core = chance.choices(every, speeds)[0]
        if core.state == "away":
            core.call(places["lock_take"])
            core.state = "asks"
        served, drawn = page[:2], page[2:4]
        done = core.step()
        if page[2:4] != drawn:
            queue.append(core)
        if page[:2] != served:
            core.state = "gave"
        if core.state == "asks" and done:
            assert all(other.state != "has" for other in every), "two have the lock"
            assert queue.pop(0) is core, "another one was before it"
            given += 1
            core.state = "has"
            core.call(places["given"])
        elif done:
            assert core.state == "gave"
            core.state = "away"
    return given


def lock() -> str:
    return (MONITOR / "lock.S").read_text()


@pytest.mark.parametrize("round_", range(4))
def test_it_is_given_in_order(tmp_path: Path, seed: int, round_: int) -> None:
    assert contest(tmp_path, lock(), seed + round_) > 50


MISTAKES = {
    "nobody waits": ("b.ne\t2b", "nop"),
    "two draw the same": ("cbnz\tw3, 1b", "nop"),
    "whoever comes first": ("cmp\tw2, w1\n", "cmp\tw1, w1\n"),
}


@pytest.mark.parametrize("name", MISTAKES)
def test_a_lock_that_errs_is_found(tmp_path: Path, seed: int, name: str) -> None:
    was, becomes = MISTAKES[name]
    assert lock().count(was) == 1

    def contests() -> None:
        for round_ in range(16):  # it shows in most of them
            contest(tmp_path, lock().replace(was, becomes), seed + round_)

    with pytest.raises((AssertionError, IndexError)):
        contests()
