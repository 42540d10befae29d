#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""What the checks on a peer's values cost a frame, and what a tag adds: instructions and processor time.

    .venv/bin/python tools/check_cost.py [--rounds N] [--frame BYTES]

The same loop is built from the core as it is and from a copy in which every judgement of check.h says OK.
Instructions are counted by valgrind's callgrind and are the same each time; times are of one thread, taken
in turn: the median of ratios. Exit status 1: the checks alone take more than LIMIT of the throughput,
by instructions.
"""

from __future__ import annotations

import argparse
import re
import sys
import tempfile
from pathlib import Path
from statistics import median

from callgrind import collected, run

ROOT = Path(__file__).parent.parent
LIMIT = 0.10  # of the throughput without them
FRAMES = 32_000
TAGS = ("none", "crc32c", "siphash")
FLAGS = ("-std=c11", "-O2", "-D_GNU_SOURCE", "-w", f"-I{ROOT}/core", f"-I{ROOT}/host")

_REFUSAL = re.compile(r"    if \([^\n]*\)(?: /\*[^\n]*\*/)?\n        return IST_V_(?!OK)\w+;\n")
_CHOICES = {
    "return *size > available ? IST_V_LENGTH_OVERRUN : IST_V_OK;": "return IST_V_OK;",
    "    if (*gap <= slack)\n        return IST_V_OK;\n    return *gap >> 31 ? IST_V_REPLAY : IST_V_GAP;":
        "    return IST_V_OK;",
}  # fmt: skip


def unchecked(text: str) -> str:
    """check.h whose judgements all say OK. ValueError where one is left, or was not found."""
    text, n = _REFUSAL.subn("", text)
    for was, becomes in _CHOICES.items():
        if text.count(was) != 1:
            raise ValueError(f"check.h no longer says {was!r}")
        text = text.replace(was, becomes)
    if n != 6 or re.search(r"return .*IST_V_(?!OK)", text):
        raise ValueError("check.h has other refusals than this tool knows")
    return text


def build(folder: Path) -> dict[str, Path]:
    """The loop with the checks and without."""
    header = folder / "check.h"
    header.write_text(unchecked((ROOT / "core" / "check.h").read_text(encoding="utf-8")), encoding="utf-8")
    loop = Path(__file__).with_suffix(".c")
    sources = [loop, ROOT / "host" / "link.c", *sorted((ROOT / "core").glob("*.c"))]
    made = {}
    for name, more in (("on", ()), ("off", ("-include", str(header)))):
        objects = []
        for source in sources:
            target = folder / f"{source.stem}-{name}.o"
            extra = more if '#include "check.h"' in source.read_text(encoding="utf-8") else ()
            run(["gcc", *FLAGS, *extra, "-c", str(source), "-o", str(target)])
            objects.append(str(target))
        made[name] = folder / f"loop-{name}"
        run(["gcc", *objects, "-o", str(made[name])])
    return made


def instructions(program: Path, frame: int, tag: int) -> float:
    """Of one frame, sent and received. OSError without valgrind."""

    def counted(frames: int) -> int:
        return collected([str(program), str(frame), str(frames), str(tag)])

    return (counted(9600) - counted(3200)) / 6400


def nanoseconds(program: Path, frame: int, tag: int) -> float:
    return float(run([str(program), str(frame), str(FRAMES * 10), str(tag)]))


def main() -> int:
    parser = argparse.ArgumentParser(description="What the checks and the tags cost a frame.")
    parser.add_argument("--rounds", type=int, default=15, help="of times, in turn")
    parser.add_argument("--frame", type=int, default=64, help="bytes")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="isthmus-") as folder:
        loops = build(Path(folder))
        off = instructions(loops["off"], options.frame, 0)
        print(f"{options.frame} B, sent and received: {off:.1f} instructions without the checks")
        on = 0.0
        for tag, name in enumerate(TAGS):
            number = instructions(loops["on"], options.frame, tag)
            on = on or number
            print(f"  tag {name}: {number:.1f} instructions, {number / off:.3f} of that")
        ratios = [
            nanoseconds(loops["on"], options.frame, 0) / nanoseconds(loops["off"], options.frame, 0)
            for _ in range(options.rounds)
        ]
    print(f"  time with the checks: {median(ratios):.3f} ({min(ratios):.3f}-{max(ratios):.3f}) of that")
    by_time, by_number = 1 - 1 / median(ratios), 1 - off / on
    print(f"  throughput that the checks take: {by_time:.1%} by time, {by_number:.1%} by instructions")
    return 0 if by_number <= LIMIT else 1


if __name__ == "__main__":
    try:
        sys.exit(main())
    except (OSError, ValueError) as error:
        print(f"check_cost: {error}", file=sys.stderr)
        sys.exit(2)
