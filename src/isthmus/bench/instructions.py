# SPDX-License-Identifier: MIT
"""What the border costs on an emulated TrustZone machine, in executed instructions.

One boot runs everything before anything from outside reaches the machine, so a second run counts the same
to the last digit. Linux's ping and TCP over loopback, in the same boot, are the yardstick.
"""

from __future__ import annotations

import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from statistics import median_low

import msgspec

from isthmus.bench import blocking
from isthmus.bench.row import CountRow
from isthmus.build.guest import driver, kernel_module
from isthmus.build.packages import debian_kernel
from isthmus.build.payload import CROSS
from isthmus.build.program import build_program
from isthmus.errors import IsthmusError
from isthmus.qemu import count
from isthmus.qemu.count import Counts, Lap
from isthmus.qemu.machine import QemuMachine
from isthmus.resources import tree
from isthmus.trustzone.board import TrustZone, load

__all__ = ["CountGoal", "CountResult", "CountRow", "goals_of", "rows_of", "run"]

ECHOES = 500
POLLED = 50  # frames that a polling Secure world notices
TCP_BYTES = 8 << 20
TRANSFERS = 12  # towards Linux: one differs from another by 4 %, with how many segments Linux joins
BOOT_SECONDS = 300.0  # the whole measurement is in the boot

# Marks by case: before and after. Those below 11 are passed many times, by costs_main.c.
DOORBELL = (1, 2)
FRAMES = {("channel.send", 64): (3, 4), ("channel.receive", 64): (5, 6),
          ("channel.send", 1500): (7, 8), ("channel.receive", 1500): (9, 10)}  # fmt: skip
PUBLISHED, NOTICED = (21, 22), (23, 24)
LIMITS = {"crossing.roundtrip": 430.0, "doorbell.noswitch": 260.0, "crossing.polled": 60.0,
          "tcp.to_secure": 4.0, "tcp.to_normal": 4.0}  # fmt: skip
TRAFFIC = {"ping.rtt": 11, "loopback.ping": 13, "tcp.to_secure": 15, "tcp.to_normal": 17, "loopback.tcp": 19}


class CountGoal(msgspec.Struct, frozen=True):
    """`measured` is a row's value, or the ratio of two; it must be at most `limit`."""

    id: str
    over: str
    under: str
    measured: float | None
    limit: float
    ok: bool


class CountResult(msgspec.Struct, frozen=True, kw_only=True):
    """What `isthmus bench --machine qemu --json` prints, beside what every command's document says."""

    board: str
    processor: str
    kernel: str
    seconds: float
    rows: list[CountRow]
    goals: list[CountGoal]


def run(
    board: TrustZone | None = None,
    began: Callable[[str], None] = lambda step: None,
    world: Path | None = None,
) -> CountResult:
    """Measures. `world`: a Secure world for this board that was built elsewhere; then no other board is
    booted, and no goal is judged: they are our own world's. Raises EnvironmentProblem where the machine
    cannot run, IsthmusError where a step failed."""
    start = time.monotonic()
    board = board if board is not None else load()
    began("building")
    machine = QemuMachine(board, counted=True, payload=world)
    machine.emulator()
    machine.flash()
    kernel = debian_kernel()
    guest = tree() / "worlds" / "normal" / "guest"
    costs = kernel_module(kernel, "costs", {"": guest / "costs", "core": tree() / "core", "guest": guest})
    folders = {"": guest / "calls", "core": tree() / "core", "guest": guest}
    calls = kernel_module(kernel, "calls", folders)
    program = build_program(
        "traffic",
        [guest / "traffic.c"],
        [guest],
        ("-std=gnu11", "-O2", "-Wall"),
        ("-static",),
        (),
        f"{CROSS}gcc",
    )
    with tempfile.TemporaryDirectory(prefix="isthmus-") as folder:
        files = {"traffic": program, "calls.ko": calls, "costs.ko": costs, "isthmus.ko": driver(kernel)}
        began("running")
        laps = _laps(board, script_for(board), files, Path(folder), world)
        if board.core.shared and world is None:
            began("polling")
            other = polling(board)
            laps += _laps(other, up_script(other) + f"/traffic ping {other.secure.address} {POLLED} 25\n",
                          files, Path(folder))  # fmt: skip
        rows = [*rows_of(laps), *blocking.rows_of(laps)]
        if world is not None:
            rows = [r for r in rows if r.case != "crossing.polled"]
    return CountResult(
        board=board.name,
        processor=board.emulator.cpu if board.emulator else "",
        kernel=kernel.release,
        seconds=round(time.monotonic() - start, 3),
        rows=rows,
        goals=[] if world is not None else goals_of(rows),
    )


def polling(board: TrustZone) -> TrustZone:
    """The same machine with one core more: the Secure world polls on its own."""
    core = msgspec.structs.replace(board.core, normal=(board.core.count,), doorbell="poll")
    return msgspec.structs.replace(board, core=core)


def _laps(
    board: TrustZone, script: str, files: dict[str, Path], folder: Path, world: Path | None = None
) -> list[Lap]:
    start, out = folder / "start", folder / "laps"
    start.write_text(script, encoding="utf-8")
    more = count.arguments(board, out, program=world)
    machine = QemuMachine(board, files={"start": start, **files}, counted=True, more=more, payload=world)
    try:
        machine.start(BOOT_SECONDS)
        done = machine.run("cat /run/start.err; exit $(cat /run/start.status)")
        if done.status != 0:
            raise IsthmusError(f"the guest did not finish: {done.output.strip() or 'status'} ({done.status})")
    finally:
        machine.close()
    return list(count.laps(out))


def up_script(board: TrustZone, before: str = "") -> str:
    """Brings the link up, after what is to be done without it; the first step that fails ends it."""
    name = board.normal.interface
    return f"""#!/bin/sh
set -e
/traffic seed
{before}insmod /isthmus.ko
ip addr add {board.normal.ip} dev {name}
ip link set {name} up
until [ "$(cat /sys/class/net/{name}/carrier)" = 1 ]; do usleep 10000; done
echo 0 0 >/proc/sys/net/ipv4/ping_group_range
"""


def script_for(board: TrustZone) -> str:
    """What the guest does, from its start; the first step that fails ends it."""
    secure = board.secure.address
    calls, frames = blocking.script_for(board)
    return f"""{up_script(board, calls)}insmod /costs.ko
rmmod costs
{frames}/traffic ping {secure} {ECHOES} {TRAFFIC["ping.rtt"]}
/traffic ping 127.0.0.1 {ECHOES} {TRAFFIC["loopback.ping"]}
/traffic send {secure} 5001 {TCP_BYTES} {TRAFFIC["tcp.to_secure"]}
for i in $(seq {TRANSFERS}); do
    /traffic receive {secure} 5001 {TCP_BYTES} {TRAFFIC["tcp.to_normal"]}
done
/traffic sink 5003 &
usleep 10000
/traffic send 127.0.0.1 5003 {TCP_BYTES} {TRAFFIC["loopback.tcp"]}
"""


def spans(laps: Sequence[Lap], marks: tuple[int, int]) -> list[Counts]:
    """What ran between the first mark and the second, each time."""
    found, begun = [], None
    for lap in laps:
        if lap.mark == marks[0]:
            begun = lap
        elif lap.mark == marks[1] and begun is not None:
            found.append(lap.total - begun.total)
            begun = None
    return found


@dataclass(frozen=True, slots=True)
class _Case:
    name: str
    frame: int
    unit: str
    spans: list[Counts]
    divisor: int = 1
    mean: bool = False


def rows_of(laps: Sequence[Lap]) -> list[CountRow]:
    """One row per case. Of many spans the median counts, since the secure timer falls into some; of TCP
    transfers the mean.

    A crossing there and back is a doorbell of Linux's without the Secure world's loop: from the call in
    Linux to the instruction behind YIELD in the Secure world, and from the next YIELD to the instruction
    behind the call.
    A polled one is what the sender publishes a frame with, and the pass of the other core's loop that
    notices it.
    `doorbell.switch` is the same doorbell with that loop, which looks for work and finds none.
    """
    doorbells = spans(laps, DOORBELL)
    entered = [s for s in doorbells if s.secure]
    one = "instructions"
    cases = [
        _Case("crossing.roundtrip", 0, one, [replace(s, secure=s.crossing) for s in entered]),
        _Case("doorbell.switch", 0, one, entered),
        _Case("doorbell.noswitch", 0, one, [s for s in doorbells if not s.secure and s.monitor]),
        _Case("crossing.polled", 0, one, _polled(laps)),
    ]
    cases += [_Case(name, frame, one, spans(laps, marks)) for (name, frame), marks in FRAMES.items()]
    for name, mark in TRAFFIC.items():
        found = spans(laps, (mark, mark + 1))
        tcp = "tcp" in name
        unit = "instructions per byte" if tcp else one
        cases.append(_Case(name, 0 if tcp else 64, unit, found, TCP_BYTES if tcp else ECHOES, mean=tcp))
    return [_row(case) for case in cases]


def _polled(laps: Sequence[Lap]) -> list[Counts]:
    published = [Counts(s.normal, 0, 0, 0) for s in spans(laps, PUBLISHED)]
    noticed = [Counts(0, s.secure, 0, 0) for s in spans(laps, NOTICED)]
    return [a + b for a, b in zip(published, noticed, strict=False)]


def _row(case: _Case) -> CountRow:
    peer = "linux" if case.name.startswith("loopback") else "isthmus"
    row = CountRow(case.name, peer, case.frame, case.unit)
    if not case.spans:
        return msgspec.structs.replace(row, status="missing", reason="the guest passed no mark of it")
    works = [s.work for s in case.spans]
    if case.mean:
        chosen, divisor = sum(case.spans[1:], case.spans[0]), case.divisor * len(case.spans)
    else:
        chosen, divisor = next(s for s in case.spans if s.work == median_low(works)), case.divisor
    return msgspec.structs.replace(
        row,
        value=chosen.work / divisor,
        normal=chosen.normal / divisor,
        secure=chosen.secure / divisor,
        monitor=chosen.monitor / divisor,
        critical=chosen.critical / divisor,
        rounds=tuple(w / case.divisor for w in works),
    )


def goals_of(rows: Sequence[CountRow]) -> list[CountGoal]:
    """A ping across costs no more than one over loopback; what the others cost at most is in LIMITS."""
    values = {row.case: row.value for row in rows}
    ping, loopback = values.get("ping.rtt"), values.get("loopback.ping")
    ratio = ping / loopback if ping and loopback else None
    goals = [CountGoal("ping", "ping.rtt", "loopback.ping", ratio, 1.0, ratio is not None and ratio <= 1.0)]
    for case, limit in LIMITS.items():
        value = values.get(case)
        goals.append(CountGoal(case, case, "", value, limit, value is not None and value <= limit))
    return goals
