# SPDX-License-Identifier: MIT
"""What AArch64 machine code does to the channel's buffers, in order: an emulated processor runs the core's
functions as a compiler made them, and every access and every barrier is noted.

    image(...)     the core, compiled here        driver, runtime     as they were built for the machine
         \\______________________________________________/
                              Processor: two endpoints, one trace per call

The emulator executes in order, and that is all that is asked of it: which accesses a weaker processor may
reorder is for litmus.py to say.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import unicorn
from unicorn import arm64_const as arm

from core_programs import CORE, compiler
from litmus import Fence, Order

CROSS = "aarch64-linux-gnu-"
COMPILERS = {"gcc": (f"{CROSS}gcc",), "clang": ("clang", "--target=aarch64-linux-gnu")}
_FLAGS = ("-std=c11", "-ffreestanding", "-fno-pic", "-fno-stack-protector", "-w")

OWNERS: tuple[Literal["normal"], Literal["secure"]] = ("normal", "secure")
RING, FRAME_MAX, FRAME = 8192, 1518, 1000
_BUFFERS = (0x40000000, 0x40100000)  # by role
_BUFFER_SIZE = 0x10000
_ENDPOINTS = (0x50000000, 0x50010000)
_CONFIG, _KEY, _FOUND, _PRIVATE = 0x50020000, 0x50021000, 0x50022000, 0x50030000
_STACK_TOP, _STOP, _THREAD = 0x60100000, 0x70000000, 0x70010000

_PAGE = 4096


@dataclass(frozen=True, slots=True)
class Seen:
    """One access: whose buffer, where in it, how."""

    owner: Literal["normal", "secure"]
    offset: int
    size: int
    store: bool
    order: Order


Trace = list[Seen | Fence]


# ---- images -------------------------------------------------------------------------------------------


def core_image(folder: Path, cc: str, level: str, change: Callable[[str, str], str] | None = None) -> Path:
    """The core as one AArch64 executable. `change` makes another text of each source, by its name."""
    source = folder / "core"
    source.mkdir(parents=True)
    for file in sorted(CORE.glob("*.[ch]")):
        text = file.read_text()
        (source / file.name).write_text(change(file.name, text) if change else text)
    files = sorted(p.name for p in source.glob("*.c"))
    compiler(*COMPILERS[cc], *_FLAGS, level, "-c", *files, folder=source)
    return linked(folder / "core.elf", sorted(source.glob("*.o")))


def module_image(folder: Path, module: Path) -> Path:
    """A kernel module, with the one function of the kernel's that the core's part of it may call."""
    folder.mkdir(parents=True, exist_ok=True)
    source = folder / "memset.c"
    source.write_text(
        "void *memset(void *d, int c, unsigned long n) { char *p = d; while (n--) *p++ = c; return d; }"
    )
    compiler(*COMPILERS["gcc"], *_FLAGS, "-O1", "-fno-builtin", "-c", source.name, folder=folder)
    return linked(folder / "module.elf", [module, folder / "memset.o"])


def linked(place: Path, objects: Sequence[Path]) -> Path:
    """Objects at fixed addresses. What they lack of others is never called here."""
    compiler(
        *(f"{CROSS}ld", "--unresolved-symbols=ignore-all", "--no-warn-rwx-segments", "-Ttext=0x100000"),
        *("-e", "0", "-o", str(place), *map(str, objects)),
    )
    return place


def _segments(elf: bytes) -> list[tuple[int, bytes]]:
    """What is loaded, and where."""
    start, size, count = (*struct.unpack_from("<Q", elf, 32), *struct.unpack_from("<HH", elf, 54))
    found = []
    for i in range(count):
        kind, _, offset, address, _, length, memory, _ = struct.unpack_from(
            "<IIQQQQQQ", elf, start + i * size
        )
        if kind == 1 and memory:
            found.append((address, elf[offset : offset + length].ljust(memory, b"\0")))
    return found


def symbols(elf: Path) -> dict[str, int]:
    lines = (line.split() for line in compiler(f"{CROSS}nm", str(elf)).splitlines())
    return {words[2]: int(words[0], 16) for words in lines if len(words) == 3}


# ---- the processor ------------------------------------------------------------------------------------


class Processor:
    """Two endpoints of one channel over an image's functions. Normal is the sender in all that follows,
    Secure the receiver: the core's code is the same for both."""

    def __init__(self, elf: Path, tag: int = 0) -> None:
        self.symbols = symbols(elf)
        self.uc = unicorn.Uc(unicorn.UC_ARCH_ARM64, unicorn.UC_MODE_ARM)
        self.uc.ctl_set_cpu_model(arm.UC_CPU_ARM64_A57)
        segments = _segments(elf.read_bytes())
        self._map(min(at for at, _ in segments), max(at + len(data) for at, data in segments))
        for address, data in segments:
            self.uc.mem_write(address, data)
        for base, size in (
            (_BUFFERS[0], 0x200000),
            (_ENDPOINTS[0], 0x100000),
            (_STACK_TOP - 0x100000, 0x100000),
        ):
            self._map(base, base + size)
        self._map(_STOP, _STOP + 0x20000)
        self.uc.reg_write(
            arm.UC_ARM64_REG_SP_EL0, _THREAD
        )  # where Linux keeps a task, and in it a stack's canary
        self.uc.reg_write(arm.UC_ARM64_REG_CPACR_EL1, 3 << 20)
        self.trace: Trace = []
        self._watch(segments)
        self.uc.mem_write(_KEY, bytes(16))
        for role in (0, 1):
            config = struct.pack(
                "<IIIIIxxxxQIIIIQQQ", RING, RING, FRAME_MAX, tag, 0, 0, 1500, role, 0, 0, 0, 0, 0
            )
            self.uc.mem_write(_CONFIG, config)
            own, peer = _BUFFERS[role], _BUFFERS[1 - role]
            assert self.call("ist_init", _ENDPOINTS[role], _CONFIG, own, peer) == 0
        self.connect()

    def connect(self) -> None:
        for role in (0, 1):
            self.begin(role)
        for _ in range(3):
            for role in (0, 1):
                state = self.call("ist_poll", _ENDPOINTS[role], 1)
        assert state == 3, "RUN"

    def _map(self, start: int, end: int) -> None:
        start -= start % _PAGE
        self.uc.mem_map(start, -(-(end - start) // _PAGE) * _PAGE)

    def _watch(self, segments: Sequence[tuple[int, bytes]]) -> None:
        """Only barriers and accesses to the buffers are noted; the rest runs at full speed. A hook is there
        before what it hooks is translated."""
        for base, data in segments:
            for i, opcode in enumerate(struct.unpack_from(f"<{len(data) // 4}I", data)):
                if barrier := barrier_of(opcode):
                    at = base + 4 * i
                    self.uc.hook_add(unicorn.UC_HOOK_CODE, self._on_barrier, barrier, at, at)
        both = unicorn.UC_HOOK_MEM_READ | unicorn.UC_HOOK_MEM_WRITE
        self.uc.hook_add(both, self._on_access, None, _BUFFERS[0], _BUFFERS[1] + _BUFFER_SIZE - 1)

    # ---- calls ----------------------------------------------------------------------------------------

    def call(self, name: str, *arguments: int) -> int:
        """The function's result, 32 bits of it."""
        uc = self.uc
        for register, value in zip(
            range(arm.UC_ARM64_REG_X0, arm.UC_ARM64_REG_X0 + 8), arguments, strict=False
        ):
            uc.reg_write(register, value)
        uc.reg_write(arm.UC_ARM64_REG_SP, _STACK_TOP - 0x1000)
        uc.reg_write(arm.UC_ARM64_REG_LR, _STOP)
        uc.emu_start(self.symbols[name], _STOP, timeout=20_000_000)
        assert uc.reg_read(arm.UC_ARM64_REG_PC) == _STOP, f"{name} did not return"
        return int(uc.reg_read(arm.UC_ARM64_REG_W0))

    def begin(self, role: int) -> int:
        return self.call("ist_begin", _ENDPOINTS[role], 7, _KEY, 1)

    def sender(self, function: str, *arguments: int) -> int:
        return self.call(function, _ENDPOINTS[0], *arguments)

    def receiver(self, function: str, *arguments: int) -> int:
        return self.call(function, _ENDPOINTS[1], *arguments)

    def send(self) -> int:
        return self.sender("ist_send", _PRIVATE, FRAME, 0)

    def receive(self) -> int:
        verdict = self.receiver("ist_peek", 1, _FOUND)
        return verdict or self.receiver("ist_take", _PRIVATE + 0x4000)

    def receive_at_once(self) -> int:
        return self.receiver("ist_receive", 1, _PRIVATE + 0x4000, _FOUND)

    def append(self) -> int:
        """A frame in pieces."""
        verdict = self.sender("ist_reserve", FRAME, 0)
        if verdict:
            return verdict
        for _ in range(4):
            assert self.sender("ist_append", _PRIVATE, FRAME // 4) == 0
        return self.sender("ist_commit", FRAME)

    def write_in_place(self) -> int:
        """A frame whose bytes somebody else puts where they belong, as Linux's driver does."""
        verdict = self.sender("ist_reserve", FRAME, 0)
        if verdict:
            return verdict
        assert self.sender("ist_place")
        self.trace.append(Seen("normal", 0x210, 8, True, ""))
        return self.sender("ist_commit", FRAME)

    # ---- traces ---------------------------------------------------------------------------------------

    def traced(self, *work: Callable[[], int]) -> Trace:
        """What happens to the buffers while each of `work` runs, one after the other."""
        self.trace = []
        for step in work:
            step()
        trace, self.trace = self.trace, []
        return trace

    def _on_barrier(self, _uc: object, _address: int, _size: int, barrier: Fence) -> None:
        self.trace.append(barrier)

    def _on_access(
        self, uc: unicorn.Uc, kind: int, address: int, size: int, _value: int, _data: object
    ) -> None:
        role = int(address >= _BUFFERS[1])
        opcode = int.from_bytes(uc.mem_read(uc.reg_read(arm.UC_ARM64_REG_PC), 4), "little")
        store = kind == unicorn.UC_MEM_WRITE
        self.trace.append(Seen(OWNERS[role], address - _BUFFERS[role], size, store, order_of(opcode)))


def barrier_of(opcode: int) -> Fence | None:
    """DMB, DSB and ISB. One of a narrower domain than the inner shareable is none between two worlds."""
    if opcode & 0xFFFFF0FF in (0xD50330BF, 0xD503309F):  # DMB, DSB
        option = opcode >> 8 & 0xF
        if option >> 2 in (2, 3):  # inner shareable, full system
            kinds: dict[int, Literal["load", "store", "full"]] = {1: "load", 2: "store", 3: "full"}
            return Fence(kinds[option & 3]) if option & 3 else None
        return None
    return Fence("isb") if opcode & 0xFFFFF0FF == 0xD50330DF else None


def order_of(opcode: int) -> Order:
    """Of the access that the instruction makes."""
    assert opcode & 0x0A000000 == 0x08000000, f"{opcode:#x} is no load or store"
    if opcode & 0x3FFFFC00 == 0x08DFFC00:  # LDAR
        return "acquire"
    if opcode & 0x3FFFFC00 == 0x38BFC000:  # LDAPR
        return "acquire_pc"
    if opcode & 0x3FFFFC00 == 0x089FFC00:  # STLR
        return "release"
    return ""
