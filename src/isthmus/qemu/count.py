# SPDX-License-Identifier: MIT
"""Executed instructions of an emulated machine, per core and world: a QEMU plugin, and what it wrote.

The guest passes marks (native/count.c); at each of them all counters are written out. What ran between two
marks is the difference of two laps. Instructions are counted, not time: a core that waits counts nothing.
"""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from isthmus.build.payload import CROSS, payload
from isthmus.build.program import build_program
from isthmus.errors import EnvironmentProblem, IsthmusError
from isthmus.trustzone.board import Region, TrustZone

__all__ = ["END", "Counts", "Lap", "arguments", "laps"]

_NATIVE = Path(__file__).parent / "native" / "count.c"
END = 32  # the mark of the first instruction within `until`
_COLUMNS = 6  # of one core in a lap; the last is of its own


@dataclass(frozen=True, slots=True)
class Counts:
    """Instructions executed by Linux and its programs, by the Secure world's network work, by its
    scheduler with the tasks above and below that, and at EL3. `crossing` is part of `secure`: giving the core
    away and getting it back."""

    normal: int
    secure: int
    critical: int
    monitor: int
    crossing: int = 0

    def __sub__(self, other: Counts) -> Counts:
        return Counts(
            self.normal - other.normal,
            self.secure - other.secure,
            self.critical - other.critical,
            self.monitor - other.monitor,
            self.crossing - other.crossing,
        )

    def __add__(self, other: Counts) -> Counts:
        return self - (Counts(0, 0, 0, 0, 0) - other)

    @property
    def work(self) -> int:
        """All of it but the critical task's, which runs at its period whether or not there is traffic."""
        return self.normal + self.secure + self.monitor


@dataclass(frozen=True, slots=True)
class Lap:
    """The counters of all cores, as a mark (0..31, or END) was passed on one of them; `masked`: the longest
    stretch since the mark before that no interrupt of the Secure world's could cut short, of each core."""

    mark: int
    core: int
    cores: tuple[Counts, ...]
    masked: tuple[int, ...] = ()

    @property
    def total(self) -> Counts:
        """Of all cores together."""
        return sum(self.cores[1:], self.cores[0])


def arguments(
    board: TrustZone, out: Path, until: Region | None = None, program: Path | None = None
) -> list[str]:
    """What QEMU is to be given; `out` is written while it runs. Builds the plugin. The machine must count
    time in instructions: its cores take turns then. The first instruction of the Normal world's within
    `until` ends the counting, and has a lap of its own, END. `program`: the Secure world, if it is not the
    package's own."""
    plugin = build_program(
        "count.so",
        [_NATIVE],
        cflags=("-std=c11", "-O2", "-fPIC", "-fvisibility=hidden", "-Wall", "-Wextra"),
        ldflags=("-shared",),
    )
    elf = program or payload(board)
    giving, given_back = _symbol(elf, "yield"), _symbol(elf, "yield_end")
    ranges = {
        "monitor": (board.memory.monitor.base, board.memory.monitor.end),
        "secure": (board.memory.secure.base, board.memory.secure.end),
        "crossing": (giving, given_back),
        "critical": (_symbol(elf, "decide"), _symbol(elf, "network_goes_on")),
        "vectors": (vectors := _symbol(elf, "vectors"), vectors + 0x800),
    }
    if until is not None:
        ranges["until"] = (until.base, until.end)
    given = [f"{name}={low:#x}-{high:#x}" for name, (low, high) in ranges.items()]
    return ["-plugin", ",".join([str(plugin), *given, f"out={out}"])]


def laps(out: Path) -> Iterator[Lap]:
    """What the plugin wrote, in order."""
    for line in out.read_text(encoding="ascii").splitlines():
        mark, core, *numbers = (int(word) for word in line.split())
        if not numbers or len(numbers) % _COLUMNS:
            raise IsthmusError(f"{out}: not a lap: {line[:80]!r}")
        groups = [numbers[i : i + _COLUMNS] for i in range(0, len(numbers), _COLUMNS)]
        yield Lap(mark, core, tuple(Counts(*g[:-1]) for g in groups), tuple(g[-1] for g in groups))


def _symbol(elf: Path, name: str) -> int:
    done = subprocess.run([f"{CROSS}nm", str(elf)], check=False, capture_output=True, text=True)
    for line in done.stdout.splitlines():
        words = line.split()
        if len(words) == 3 and words[2] == name:
            return int(words[0], 16)
    raise EnvironmentProblem(f"{elf} has no symbol {name}: {done.stderr.strip() or 'it was stripped'}")
