#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""What a frame's defences cost in instructions, counted by valgrind's callgrind: the same each time.

    .venv/bin/python tools/defence_cost.py

The loops are those of `isthmus bench --only 'defences.*,filter.*'`, which has their times. Exit status 1: the
checks alone take more than LIMIT of the throughput of the smallest frames.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence

from callgrind import collected

from isthmus.bench import defences
from isthmus.bench.cases import CASES, FRAMES, Case
from isthmus.errors import EnvironmentProblem

LIMIT = 0.10  # of the throughput without them
FEW, MANY = 3200, 9600  # frames: multiples of a batch


def instructions(command: Sequence[str], fds: Sequence[int]) -> float:
    """Of one frame of a loop's; `command` as defences.loop() gives it. OSError without valgrind."""

    def counted(frames: int) -> int:
        program, *own = command
        return collected([program, "0", str(frames), "1", "0", *own], fds)

    return (counted(MANY) - counted(FEW)) / (MANY - FEW)


def of(case: Case, frame: int) -> float:
    with defences.loop(case, frame) as (command, fds):
        return instructions(command, fds)


def main() -> int:
    found: dict[tuple[str, int], float] = {}
    for case in CASES:
        for frame in (FRAMES if case.sized else (0,)) if case.loop else ():
            found[case.name, frame] = number = of(case, frame)
            print(f"{case.name}{f', {frame} B' * bool(frame)}: {number:.1f} instructions")
    share = 1 - found["defences.unchecked", 64] / found["defences.checks", 64]
    print(f"throughput that the checks take at 64 B: {share:.1%}")
    return 0 if share <= LIMIT else 1


if __name__ == "__main__":
    try:
        sys.exit(main())
    except (OSError, EnvironmentProblem) as error:
        print(f"defence_cost: {error}", file=sys.stderr)
        sys.exit(2)
