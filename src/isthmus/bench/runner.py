# SPDX-License-Identifier: MIT
"""Runs one case once and says whether the machine left it alone.

The ends run in a runner of their own (the C program, or `isthmus.bench.ends` for the Python interface), which
prints one line of JSON; this process sleeps meanwhile.
"""

from __future__ import annotations

import contextlib
import itertools
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from isthmus.bench import defences, network
from isthmus.bench.cases import RING_BYTES, SLOTS, TAGS, Case
from isthmus.bench.machine import TICK, Taken, watch
from isthmus.bench.program import PEERS, peer_runner
from isthmus.bench.rounds import Broken, Job, Missing, Sample
from isthmus.errors import EnvironmentProblem

__all__ = ["Durations", "Runner", "disturbance"]

WAITS = {"spin": 0, "adaptive": 1, "sleep": 2}
PYTHON_ENDS = Path(__file__).with_name("ends.py")
STACK_ENDS = Path(__file__).with_name("stack_ends.py")
STACK_SECONDS = 30.0  # to bring both worlds up, to ping, and to take them down
HUGE_PAGES = Path(__file__).with_name("hugepages.py")
GRACE_SECONDS = 32.0  # beyond the run itself, before it counts as stuck
PINGPONG_US = 20_000  # of the ping-pong beside a run whose ends are in Python

# What a run may lose and still count, as parts of its time.
LOST_MOST = 0.05  # of a spinning end's time on its processor
STEAL_MOST = 0.02  # of both processors, by the hypervisor
FOREIGN_MOST = 0.05  # of both processors, by other programs; ends that sleep do not notice otherwise
LEAST_TICKS = 2  # the two above are counted in ticks of the kernel's; fewer than these say nothing
SWITCHES_MOST = 200.0  # involuntary context switches per second and end


@dataclass(frozen=True, slots=True)
class Durations:
    """Microseconds of each phase of a run."""

    warm: int = 100_000
    rtt: int = 100_000
    rewarm: int = 30_000
    flood: int = 100_000

    def seconds(self) -> float:
        return (self.warm + self.rtt + self.rewarm + self.flood) / 1e6


def disturbance(result: dict[str, Any], case: Case, taken: Taken, elapsed: float) -> str:
    """Why a run does not count, or nothing. `elapsed`: seconds that both processors had together."""
    for seconds, most, who in (
        (taken.stolen, STEAL_MOST, "the hypervisor"),
        (taken.foreign, FOREIGN_MOST, "other programs"),
    ):
        if seconds > max(most * elapsed, LEAST_TICKS * TICK):
            return f"{who} took {seconds / elapsed:.0%} of the processors"
    for phase, end in itertools.product(("rtt", "flood"), (0, 1)):
        meters = result.get(f"{phase}_meter")
        if meters is None or meters[end]["wall_s"] <= 0:
            continue
        meter = meters[end]
        lost = 1.0 - meter["cpu_s"] / meter["wall_s"]
        switches = meter["involuntary"] / meter["wall_s"]
        if case.mode == "spin" and not case.kernel and lost > LOST_MOST:
            return f"an end was off its processor for {lost:.0%} of the time"
        if not case.company and switches > SWITCHES_MOST:
            return f"{switches:.0f} involuntary context switches per second"
    return ""


@dataclass(slots=True)
class Runner:
    """`program` is the C runner, `cpus` the two processors, `threads` both ends in one process,
    `world` the one that was built elsewhere."""

    program: Path
    cpus: tuple[int, int]
    durations: Durations
    seed: int
    threads: bool = False
    world: Path | None = None
    ends: Callable[[str], network.Ends] = network.ends
    _ends: dict[str, network.Ends] = field(default_factory=dict, init=False)

    def __call__(self, job: Job) -> Sample:
        """Raises Missing or Broken."""
        taken, start = watch(self.cpus), time.monotonic()
        if job.case.loop:
            result = self._alone(job)
        elif job.case.stack or job.case.api == "python":
            result = self._beside(job, STACK_ENDS if job.case.stack else PYTHON_ENDS)
        else:
            result = self._c(job, self.durations)
        elapsed = time.monotonic() - start
        return Sample(
            values={k: float(v) for k, v in result.items() if isinstance(v, int | float)},
            pingpong_us=float(result["pingpong_us"]),
            disturbed=disturbance(result, job.case, taken(), elapsed * len(self.cpus)),
        )

    def close(self) -> None:
        for fd in itertools.chain.from_iterable(self._ends.values()):
            os.close(fd)
        self._ends.clear()

    def _settings(self, job: Job, d: Durations) -> list[str]:
        case = job.case
        values = {
            "frame": job.frame or 64,
            "batch": case.batch,
            **({"buffers": int(case.buffers)} if case.api == "python" else {}),
            **({"channels": case.channels, "busy": case.busy} if case.channels else {}),
            "ring": RING_BYTES,
            "slots": SLOTS,
            "seed": self.seed,
            "tag": TAGS[case.tag],
            "wait": WAITS[case.mode],
            "threads": int(self.threads),
            "cpu0": self.cpus[0],
            "cpu1": self.cpus[1],
            "warm_us": d.warm,
            "rtt_us": d.rtt,
            "rewarm_us": d.rewarm,
            "flood_us": d.flood,
        }
        return [f"{key}={value}" for key, value in values.items()]

    def _c(self, job: Job, durations: Durations) -> dict[str, Any]:
        settings, fds = self._settings(job, durations), self._descriptors(job.case.ends)
        settings += [f"fd{end}={fd}" for end, fd in enumerate(fds)]
        return execute([*self._program(job.case), *settings], durations.seconds(), fds)

    def _program(self, case: Case) -> list[str]:
        if case.runner not in PEERS:
            return [str(self.program), case.runner]
        command = [str(peer_runner(case.runner)), case.runner]
        return [sys.executable, "-P", str(HUGE_PAGES), *command] if case.huge else command

    def _beside(self, job: Job, ends: Path) -> dict[str, Any]:
        """A runner in Python, with the ping-pong measured beside it."""
        command = [sys.executable, "-P", str(ends), job.case.runner]
        if job.case.stack:
            command.append(str(self.world) if job.case.given else "lwip")
        seconds = self.durations.seconds() + (STACK_SECONDS if job.case.stack else 0.0)
        result = execute([*command, *self._settings(job, self.durations)], seconds, [])
        return {**result, "pingpong_us": self._pingpong_us()}

    def _alone(self, job: Job) -> dict[str, Any]:
        """A loop of one thread, on the second processor: the kernel favours the first."""
        try:
            with defences.loop(job.case, job.frame or 64) as (command, fds):
                settings = defences.settings(self.cpus[1], job.frame, self.durations.flood)
                result = execute([command[0], *settings, *command[1:]], self.durations.seconds(), fds)
        except EnvironmentProblem as problem:
            raise Missing(str(problem)) from None
        return {**result, "pingpong_us": self._pingpong_us()}

    def _pingpong_us(self) -> float:
        """Of the machine as it is now, for runs whose ends do not measure it."""
        yardstick = Case("cacheline", "bound", "cacheline", sized=False)
        beside = self._c(Job(yardstick, 0), Durations(warm=5_000, rtt=PINGPONG_US, rewarm=0, flood=0))
        return float(beside["pingpong_us"])

    def _descriptors(self, kind: str) -> Sequence[int]:
        if not kind:
            return ()
        if kind not in self._ends:
            self._ends[kind] = self.ends(kind)
        network.drain(self._ends[kind])
        return self._ends[kind]


def execute(command: Sequence[str], seconds: float, fds: Sequence[int]) -> dict[str, Any]:
    """Runs a runner to its end. It leads a process group of its own: a Ctrl-C reaches us, and we end it."""
    try:
        process = subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            pass_fds=fds,
            process_group=0,
        )
    except OSError as error:
        raise Missing(f"{command[0]}: {error.strerror}") from None
    with process:
        try:
            output, complaint = process.communicate(timeout=seconds + GRACE_SECONDS)
        except subprocess.TimeoutExpired:
            end(process)
            raise Broken(f"{command[1]}: stuck for {seconds + GRACE_SECONDS:.0f} s") from None
        except BaseException:
            end(process)
            raise
    if process.returncode != 0:
        lines = complaint.strip().splitlines()
        reason = lines[-1] if lines else f"{command[1]} ended with status {process.returncode}"
        raise Missing(reason) if process.returncode == 2 else Broken(reason)
    result: dict[str, Any] = json.loads(output)
    return result


def end(process: subprocess.Popen[str]) -> None:
    """Ends the runner and its ends, which are its process group."""
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()
