# SPDX-License-Identifier: MIT
"""The Secure world of a TrustZone machine: runtime, core, lwIP and the applications, as one ELF file."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable
from pathlib import Path

from isthmus.build import cache
from isthmus.build.program import Unit, ask_compiler, build_program
from isthmus.build.secure import LWIP
from isthmus.build.source import debian_source, read_pin
from isthmus.resources import tree
from isthmus.trustzone import generate
from isthmus.trustzone.board import TrustZone

__all__ = ["CROSS", "FLAGS", "generated", "payload"]

CROSS = "aarch64-linux-gnu-"

# Bare metal: no libc, addresses fixed at link time; FP registers only where the board gives it its own.
_NO_FP = "-mgeneral-regs-only"
FLAGS = (
    *("-std=c11", "-O2", "-ffreestanding", "-nostdinc", _NO_FP, "-fno-strict-aliasing"),
    *("-fno-pic", "-fno-stack-protector", "-ffunction-sections", "-fdata-sections"),
    *("-fno-asynchronous-unwind-tables", "-fno-tree-loop-distribute-patterns", "-mno-outline-atomics"),
    "-DLWIP_NO_CTYPE_H=1",
)
_WARNINGS = ("-Wall", "-Wextra", "-Wconversion", "-pedantic")
_LINK = ("-nostdlib", "-static", "-no-pie", "-Wl,--gc-sections,--build-id=none,--no-warn-rwx-segments")
_STRICT = "mmu.c"  # runs before there is normal memory


def generated(board: TrustZone) -> Path:
    """A folder with what is made of the board file, and the payload's linker script beside it."""
    script = tree() / "worlds" / "secure" / "runtime" / "payload.ld"
    files = {
        "board.h": generate.header(board),
        "memory.ld": generate.memory_map(board),
        "board.dtsi": generate.device_tree(board),
        "payload.ld": script.read_text(encoding="utf-8"),
    }
    key = hashlib.sha256("\0".join(files.values()).encode()).hexdigest()
    place = cache.folder("boards") / key
    if not place.is_dir():
        with cache.staging(f"board-{key[:16]}") as staging:
            if not place.is_dir():
                for name, text in files.items():
                    (staging / name).write_text(text, encoding="utf-8")
                os.rename(staging, place)
                staging.mkdir()
    return place


def payload(board: TrustZone, alter: Callable[[Unit], list[Unit]] | None = None) -> Path:
    """The ELF file, linked where the board's secure memory is. Fetches lwIP at the first call.

    `alter` makes a test build of our own sources. Raises EnvironmentProblem, one line.
    """
    lwip = debian_source(read_pin(tree() / "worlds" / "secure" / "lwip" / "source.toml"))
    core, world, made = tree() / "core", tree() / "worlds" / "secure", generated(board)
    runtime, port, apps, critical = (world / name for name in ("runtime", "lwip", "apps", "critical"))
    folders = (core, runtime, runtime / "libc", port, apps, critical)
    others = {"gicv2.c", "gicv3.c"} - {f"gicv{board.gic.version}.c"}
    own = [p for folder in folders for p in sorted(folder.glob("*.c")) if p.name not in others]
    includes = [runtime / "libc", runtime, made, core, world / "port", port, apps, critical]
    system = [Path(ask_compiler(f"{CROSS}gcc", "-print-file-name=include"))]
    upstream = [lwip / "src" / "include", lwip / "src" / "apps" / "lwiperf"]
    base = [f for f in FLAGS if f != _NO_FP or board.secure.fp == "none"]
    flags = [*base, *_WARNINGS]
    strict = [p for p in own if p.name == _STRICT]
    portable = [p for p in own if p not in strict]
    stack = [lwip / "src" / name for name in LWIP]
    ours = [
        Unit(portable, includes, flags, system + upstream),
        Unit(strict, includes, [*flags, "-mstrict-align"], system + upstream),
    ]
    return build_program(
        "payload.elf",
        sorted(runtime.glob("*.S")),
        [made],
        ldflags=[*_LINK, f"-L{made}", f"-T{made / 'payload.ld'}"],
        more=(
            *(changed for unit in ours for changed in (alter(unit) if alter else [unit])),
            Unit(stack, [runtime / "libc", port], [*base, "-w"], system + upstream),
        ),
        compiler=f"{CROSS}gcc",
    )
