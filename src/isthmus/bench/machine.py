# SPDX-License-Identifier: MIT
"""The machine beneath a run: which two processors carry the ends, and what was taken from them."""

from __future__ import annotations

import os
import resource
from collections.abc import Callable, Collection, Iterable
from dataclasses import dataclass
from pathlib import Path

from isthmus.errors import EnvironmentProblem

__all__ = ["TICK", "Taken", "describe", "pick_processors", "processor_seconds", "watch"]

TICK = 1.0 / os.sysconf("SC_CLK_TCK")  # seconds


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


@dataclass(frozen=True, slots=True)
class Taken:
    """Processor time in seconds, of some processors together. The kernel counts in ticks, mostly of 10 ms."""

    stolen: float  # by the hypervisor
    foreign: float  # by programs other than this process and its children that have ended


def processor_seconds(cpus: Iterable[int], stat: str | None = None) -> tuple[float, float]:
    """Since boot: what programs used of `cpus` (interrupts left out), what the hypervisor took."""
    wanted = {f"cpu{cpu}" for cpu in cpus}
    text = Path("/proc/stat").read_text() if stat is None else stat
    fields = [[int(x) for x in f[1:]] for f in map(str.split, text.splitlines()) if f and f[0] in wanted]
    busy = sum(user + nice + system for user, nice, system, *_ in fields)
    stolen = sum(f[7] for f in fields if len(f) > 7)
    return busy * TICK, stolen * TICK


def own_seconds() -> float:
    """Processor time of this process and of its children that have ended, with theirs."""
    usages = (resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))
    return sum(u.ru_utime + u.ru_stime for u in usages)


def watch(cpus: Collection[int]) -> Callable[[], Taken]:
    """Begins to watch. The result, called when every child has ended, says what was taken from `cpus`."""
    busy, stolen = processor_seconds(cpus)
    own = own_seconds()

    def taken() -> Taken:
        busy_now, stolen_now = processor_seconds(cpus)
        return Taken(stolen_now - stolen, max(0.0, busy_now - busy - (own_seconds() - own)))

    return taken


def describe() -> dict[str, str]:
    """What a reader needs to know before comparing absolute numbers."""
    lines = Path("/proc/cpuinfo").read_text().split("\n\n")[0].splitlines()
    first = {name.strip(): value.strip() for name, _, value in (line.partition(":") for line in lines)}
    model = first.get("model name") or first.get("CPU part") or "unknown"
    if number := first.get("model"):
        model += f", family {first.get('cpu family')}, model {number}"
    return {
        "processor": model,
        "kernel": os.uname().release,
        "architecture": os.uname().machine,
        "topology": _topology(),
        "governor": _said("/sys/devices/system/cpu/cpu0/cpufreq/scaling_governor") or "no frequency control",
        "hypervisor": _hypervisor(),
    }


def _topology() -> str:
    """Processors, cores, packages, and the caches that one of them has, the largest shared."""
    cpus = sorted(os.sched_getaffinity(0))
    here = [Path(f"/sys/devices/system/cpu/cpu{cpu}") for cpu in cpus]
    packages = {_said(cpu / "topology/physical_package_id") for cpu in here}
    parts = [
        f"{len(cpus)} processors",
        f"{len({siblings(c) for c in cpus})} cores",
        f"{len(packages)} package",
    ]
    for cache in sorted((here[0] / "cache").glob("index*")):
        level, kind, size = (_said(cache / name) for name in ("level", "type", "size"))
        if kind != "Instruction" and size:
            sharing = len({_said(cpu / "cache" / cache.name / "shared_cpu_list") for cpu in here})
            parts.append(f"L{level} {size}" + (" each" if sharing == len(cpus) else " shared"))
    return ", ".join(parts)


def _hypervisor() -> str:
    """Whose guest this is, as far as the processor says so."""
    flags = (line for line in Path("/proc/cpuinfo").read_text().splitlines() if line.startswith("flags"))
    guest = "hypervisor" in next(flags, "").split()
    return (_said("/sys/class/dmi/id/sys_vendor") or "a hypervisor") if guest else "none"


def _said(path: Path | str) -> str:
    """What the kernel says in a file, or nothing where it has none."""
    try:
        return Path(path).read_text(encoding="utf-8").strip()
    except OSError:
        return ""
