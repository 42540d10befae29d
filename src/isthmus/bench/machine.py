# SPDX-License-Identifier: MIT
"""The machine beneath a run: which two processors carry the ends, and what was taken from them."""

from __future__ import annotations

import os
from collections.abc import Iterable
from pathlib import Path

from isthmus.errors import EnvironmentProblem

__all__ = ["describe", "pick_processors", "steal_seconds"]


def siblings(cpu: int) -> str:
    """The hardware threads that share a core with `cpu`, in the kernel's notation."""
    path = Path(f"/sys/devices/system/cpu/cpu{cpu}/topology/thread_siblings_list")
    try:
        return path.read_text().strip()
    except OSError:
        return str(cpu)


def pick_processors(allowed: Iterable[int] | None = None) -> tuple[int, int]:
    """Two processors that we may use, on different cores.

    Raises EnvironmentProblem where there is one core only: two spinning ends would take turns.
    """
    cores: dict[str, int] = {}
    for cpu in sorted(os.sched_getaffinity(0) if allowed is None else allowed):
        cores.setdefault(siblings(cpu), cpu)
    if len(cores) < 2:
        raise EnvironmentProblem("bench needs two processor cores, one for each end; this machine offers one")
    first, second = list(cores.values())[:2]
    return first, second


def steal_seconds(cpus: Iterable[int], stat: str | None = None) -> float:
    """Time that the hypervisor took from `cpus` since boot; resolution is the kernel's tick of 10 ms."""
    wanted = {f"cpu{cpu}" for cpu in cpus}
    text = Path("/proc/stat").read_text() if stat is None else stat
    fields = (line.split() for line in text.splitlines())
    ticks = sum(int(f[8]) for f in fields if f and f[0] in wanted and len(f) > 8)
    return ticks / os.sysconf("SC_CLK_TCK")


def describe() -> dict[str, str]:
    """What a reader needs to know before comparing absolute numbers."""
    model = next(
        (
            line.split(":", 1)[1].strip()
            for line in Path("/proc/cpuinfo").read_text().splitlines()
            if line.startswith(("model name", "CPU part"))
        ),
        "unknown",
    )
    return {"processor": model, "kernel": os.uname().release, "architecture": os.uname().machine}
