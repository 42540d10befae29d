#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""What a frame costs the more channels there are: instructions of a 64-byte frame, sent and received, where
one poll serves 1 to 64 channels of two lanes, all of them busy or only one.

    .venv/bin/python tools/scale_cost.py

Instructions are counted by valgrind's callgrind and are the same each time. Exit status 1: a frame costs more
than LIMIT times what it costs over a single channel.
"""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path

from callgrind import collected, run

ROOT = Path(__file__).parent.parent
LIMIT = 1.15
BATCH = 32
NUMBERS = (1, 2, 4, 8, 16, 32, 64)
FLAGS = ("-std=c11", "-O2", "-D_GNU_SOURCE", "-w", f"-I{ROOT}/core", f"-I{ROOT}/worlds/secure/port")


def build(folder: Path, *flags: str) -> Path:
    """The loop. `flags` go before the tool's own."""
    made = folder / "scale_cost"
    sources = [Path(__file__).with_suffix(".c"), *sorted((ROOT / "core").glob("*.c"))]
    run(["gcc", *flags, *FLAGS, *map(str, sources), "-o", str(made)])
    return made


def instructions(program: Path, channels: int, busy: int) -> float:
    """Of one frame. OSError without valgrind."""

    def counted(passes: int) -> int:
        return collected([str(program), str(channels), str(busy), str(passes)])

    some, more = (passes * max(1, 8 // busy) for passes in (8, 24))  # whole cycles of the two lanes
    return (counted(more) - counted(some)) / ((more - some) * busy * BATCH)


def main() -> int:
    with tempfile.TemporaryDirectory(prefix="isthmus-") as folder:
        program = build(Path(folder))
        one = instructions(program, 1, 1)
        ratios = []
        for channels, busy in [*((n, n) for n in NUMBERS), (NUMBERS[-1], 1)]:
            number = instructions(program, channels, busy)
            ratios.append(number / one)
            cost = f"{number:.1f} instructions a frame, {ratios[-1]:.3f} of one's"
            print(f"{channels:3} channels, {busy:2} busy: {cost}")
    return 0 if max(ratios) <= LIMIT else 1


if __name__ == "__main__":
    try:
        sys.exit(main())
    except OSError as error:
        print(f"scale_cost: {error}", file=sys.stderr)
        sys.exit(2)
