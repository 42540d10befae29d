# SPDX-License-Identifier: MIT
"""Builds the monitor for this computer, over doubles of TF-A (tests/monitor), for boards of each kind."""

from __future__ import annotations

import re
from pathlib import Path

from core_programs import CORE, ROOT, SOURCES, compiler
from isthmus.trustzone import generate
from isthmus.trustzone.board import load

__all__ = ["BOARDS", "build", "compiled"]

DOUBLES = ROOT / "tests" / "monitor"
MONITOR = ROOT / "worlds" / "monitor" / "tfa"
AMONG = (
    "interrupt.timer_priority=0x90",
    "interrupt.kick_priority=0xa0",
    "emulator.machine=virt-7.0,secure=on,gic-version={gic}",
)
BOARDS: dict[str, tuple[str, ...]] = {
    "shared": (),
    "shared, two cores, GICv2": ("core.normal=[0, 1]", "gic.version=2"),
    "own": ("core.normal=[1, 2]",),
    "shared, among Linux's": AMONG,
    "shared, FP": ("secure.fp=switched",),
    "shared, two cores": ("core.normal=[0, 1]",),
    "own, GICv2": ("core.normal=[1, 2]", "gic.version=2"),
    "own, polled": ("core.normal=[1, 2]", "core.doorbell=poll"),
}
HARDWARE_ENTROPY = "own"  # a platform with random words, here; the others have the test key's
#: What assembler in these files does here: an ordinary computer has no such instruction.
INSTRUCTIONS = {"power.c": "(running = running_priority())", "restart.c": 'gone("back")'}


def build(folder: Path, board: str, instead: Path | None = None) -> Path:
    """Links the tests' program; objects lie in `folder`, for this board alone. `instead` stands in for the
    monitor's file of the same name; the executable then lies beside it."""
    core = [CORE / "names.c"]
    sources = [*sorted(MONITOR.glob("*.c")), *core, *sorted(DOUBLES.glob("*.c"))]
    objects = [str(compiled(folder, board, source, instead)) for source in sources]
    program = (instead.parent if instead else folder) / "unit_monitor"
    compiler("gcc", "-Wl,--gc-sections", *objects, "-o", str(program))
    return program


def compiled(
    folder: Path, board: str, source: Path, instead: Path | None = None, cc: tuple[str, ...] = ("gcc", "-O0")
) -> Path:
    """The object of one file."""
    place, extra = folder, []
    if source.name in INSTRUCTIONS and cc[0] == "gcc":
        extra += [f"-DINSTRUCTION={INSTRUCTIONS[source.name]}"]
    if instead and source.name == instead.name:
        place, source = instead.parent, instead
    elif instead and instead.suffix == ".h":  # its guard keeps the original out
        place, extra = instead.parent, [*extra, "-include", str(instead)]
    made = place / f"{source.stem}.o"
    if place != folder or not made.exists():
        headers = _headers(folder, board)
        entropy = f"-DTRNG_SUPPORT={int(board == HARDWARE_ENTROPY)}"
        flags = ["-std=gnu11", "-w", "-ffunction-sections", entropy]
        includes = [f"-I{path}" for path in (headers, DOUBLES, MONITOR, CORE, SOURCES)]
        compiler(*cc, *flags, *includes, *extra, "-c", str(source), "-o", str(made))
    return made


def _headers(folder: Path, board: str) -> Path:
    """The board's, and for each of TF-A's headers one that is the doubles'."""
    place = folder / "headers"
    if not place.is_dir():
        for source in MONITOR.glob("*.[ch]"):
            for header in re.findall(r"^#include <(?!std)(.+)>", source.read_text(), re.MULTILINE):
                (place / header).parent.mkdir(parents=True, exist_ok=True)
                (place / header).write_text('#include "tfa.h"\n')
        (place / "board.h").write_text(generate.header(load(changes=BOARDS[board])))
    return place
