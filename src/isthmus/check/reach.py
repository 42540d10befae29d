# SPDX-License-Identifier: MIT
"""What Linux can reach of the Secure world on a TrustZone machine: its memory, its devices, its interrupts.

Memory and secure devices answer the Normal world with an external abort, which ends a program of Linux's and
nothing else. The interrupt controller answers everybody: of an interrupt that is the Secure world's it shows
zeros, and ignores what is written. Its registers are reached by a kernel module (worlds/normal/guest/reach),
since Linux lets no program map them.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from isthmus.build.guest import kernel_module
from isthmus.build.packages import debian_kernel
from isthmus.check.program import Failed
from isthmus.check.rows import Row, missing, row
from isthmus.errors import ClosedError, LinkDown
from isthmus.qemu.linked import LinkedMachine
from isthmus.resources import tree
from isthmus.trustzone.board import Region, TrustZone

__all__ = ["Register", "files", "isolation", "places", "registers"]

MODULE = "/modules/reach.ko"
FILE = "/sys/kernel/debug/isthmus_reach"
BUS_ERROR = 128 + 7
ONES = 0xFFFFFFFF

# Offsets in the distributor, and of private interrupts: in a redistributor's frame (GICv3), or in the
# distributor again, where each core sees its own (GICv2).
DISTRIBUTOR_CONTROL, SECURITY_OFF = 0x0, 1 << 6
FRAME, STRIDE = 0x10000, 0x20000
GROUP, SET_ENABLE, CLEAR_ENABLE, SET_PENDING, CLEAR_PENDING = 0x080, 0x100, 0x180, 0x200, 0x280
SET_ACTIVE, PRIORITY, MODIFIER, NON_SECURE_ACCESS = 0x300, 0x400, 0xD00, 0xE00
OWN = 20  # a private interrupt of Linux's that no device drives


def files() -> dict[str, Path]:
    """What the guest must have: the module, not loaded. Builds it; EnvironmentProblem, one line."""
    folder = tree() / "worlds" / "normal" / "guest" / "reach"
    return {MODULE.lstrip("/"): kernel_module(debian_kernel(), "reach", {"": folder})}


Attempts = dict[tuple[str, str], bool]  # by (whose, what): it was refused, or showed nothing


# ---- memory and devices ------------------------------------------------------------------------------------


def places(board: TrustZone) -> dict[str, Region]:
    """What is the Secure world's alone; Linux is to reach neither its first word nor its last."""
    regions: dict[str, Region | None] = {
        "the firmware's memory": board.memory.monitor,
        "the Secure world's memory": board.memory.secure,
        "the firmware's flash": board.device.flash,
        "the secure console": board.device.console,
        "the power controller": board.device.power,
    }
    return {name: region for name, region in regions.items() if region is not None}


def barred(machine: LinkedMachine, argument: str) -> Attempts:
    """Whether each attempt ended the program that made it."""
    tried = {
        (place, f"{end} word"): at
        for place, region in places(machine.board).items()
        for end, at in (("first", region.base), ("last", region.end - 4))
    }
    script = "; ".join(f"devmem {at:#x}{argument} >/dev/null 2>&1; echo $?" for at in tried.values())
    statuses = [int(word) for word in machine.run(script, 60).output.split()]
    if len(statuses) != len(tried):
        raise Failed("devmem: the guest did not try every address")
    return {name: status == BUS_ERROR for name, status in zip(tried, statuses, strict=True)}


# ---- the Secure world's interrupts -------------------------------------------------------------------------


@dataclass(frozen=True)
class Register:
    """A register that the Normal world may touch, and in it bits (`mask`) that are the Secure world's."""

    whose: str
    what: str
    address: int
    size: int  # bytes
    mask: int
    attack: int  # what would do harm if it were written


def private(board: TrustZone) -> int:
    """Where the registers of the Secure world's private interrupts begin."""
    if board.gic.version == 2:
        return board.device.gic_distributor.base
    return board.gic_private.base + board.core.secure * STRIDE + FRAME


def registers(board: TrustZone) -> list[Register]:
    """Of the secure timer and the kick, where the Secure world's core has them; and who may raise them."""
    frame = private(board)
    found = [Register("the controller", "leave to raise them", frame + NON_SECURE_ACCESS, 4, ONES, ONES)]
    interrupts = {"timer": board.interrupt.timer, "kick": board.interrupt.kick}
    if board.gic.version == 2 and not board.core.shared:
        del interrupts["timer"]  # of the Secure world's core, and no other core sees that
    for whose, number in interrupts.items():
        bit = 1 << number
        bits = {
            "group": (GROUP, bit), "group modifier": (MODIFIER, 0), "enable": (CLEAR_ENABLE, bit),
            "pending": (SET_PENDING, bit), "pending (clear)": (CLEAR_PENDING, bit),
            "active": (SET_ACTIVE, bit),
        }  # fmt: skip
        if board.gic.version == 2:
            del bits["group modifier"]
        for name, (offset, attack) in bits.items():
            found.append(Register(f"the {whose}", name, frame + offset, 4, bit, attack))
        found.append(Register(f"the {whose}", "priority", frame + PRIORITY + number, 1, 0xFF, 0xFF))
    return found


class Hand:
    """The module in the guest's kernel, loaded for as long."""

    def __init__(self, machine: LinkedMachine) -> None:
        self.machine = machine

    def __enter__(self) -> Hand:
        done = self.machine.run(f"insmod {MODULE}", 60)
        if done.status:
            raise Failed(f"the module for device registers does not load: {done.errors.strip()}")
        return self

    def __exit__(self, *_: object) -> None:
        self.machine.run("rmmod reach", 60)

    def reach(self, orders: list[tuple[int, int, int | None]]) -> list[int]:
        """What was read after each: (address, bytes, what to write before)."""
        words = (
            f"{at:#x} {size}" if value is None else f"{at:#x} {size} {value:#x}" for at, size, value in orders
        )
        script = " && ".join(
            ("taskset -p 1 $$ >/dev/null", *(f"echo '{w}' >{FILE} && cat {FILE}" for w in words))
        )
        done = self.machine.run(script, 60)  # on one core: others may see other registers
        found = [int(word, 16) for word in done.output.split()]
        if len(found) != len(orders):
            raise Failed(f"device registers: {len(found)} of {len(orders)} tried: {done.errors.strip()}")
        return found

    def works(self) -> bool:
        """On an interrupt of Linux's own the same attempts succeed: it is disabled, and enabled again."""
        board = self.machine.board
        frame = private(board)
        off, on = ((frame + offset, 4, 1 << OWN) for offset in (CLEAR_ENABLE, SET_ENABLE))
        disabled, enabled = (value >> OWN & 1 for value in self.reach([off, on]))
        return (disabled, enabled) == (0, 1)


def hidden(hand: Hand) -> Attempts:
    """Whether the Secure world's bits read as zero."""
    tried = registers(hand.machine.board)
    values = hand.reach([(r.address, r.size, None) for r in tried])
    return {(r.whose, r.what): value & r.mask == 0 for r, value in zip(tried, values, strict=True)}


def ignored(hand: Hand) -> Attempts:
    """Whether nothing is seen of a write. What it did all the same, the Secure world's life would show."""
    tried = registers(hand.machine.board)
    values = hand.reach([(r.address, r.size, r.attack) for r in tried])
    found = {(r.whose, r.what): value & r.mask == 0 for r, value in zip(tried, values, strict=True)}
    control = hand.machine.board.device.gic_distributor.base + DISTRIBUTOR_CONTROL
    (before,) = hand.reach([(control, 4, None)])
    (after,) = hand.reach([(control, 4, before | SECURITY_OFF)])
    return {**found, ("the controller", "security"): after & SECURITY_OFF == 0 and after == before}


# ---- both rows ---------------------------------------------------------------------------------------------


def isolation(machine: LinkedMachine) -> Iterator[Row]:
    """Root in Linux, and its kernel, read and write what is the Secure world's. Linux and the control task
    live on: every deadline met, with its interrupt as it was."""

    def critical() -> dict[str, Any]:
        return dict(machine.status("secure")["critical"])

    try:
        with Hand(machine) as hand:
            works = hand.works()
            yield judged("isolation.read", barred(machine, ""), hidden(hand), works)
            before = critical()
            written = judged("isolation.write", barred(machine, " 32 0xffffffff"), ignored(hand), works)
        alive = machine.run("true").status == 0
        machine.run("usleep 20000")
        after = critical()
    except (Failed, LinkDown, ClosedError, TimeoutError) as problem:
        yield missing("isolation.read", str(problem))
        yield missing("isolation.write", str(problem))
        return
    periods, missed = (after[name] - before[name] for name in ("periods", "missed"))
    ok = written.ok and alive and periods > 0 and missed == 0
    linux = "lives on" if alive else "died"
    detail = f"{written.detail}; Linux {linux}; {periods} periods of the control task since, {missed} missed"
    yield row("isolation.write", ok, written.value, detail)


def listed(attempts: Attempts, good: bool) -> str:
    """Those that went so. What was tried alike at several places is said once."""
    by_place: dict[str, list[str]] = {}
    for (whose, what), went in attempts.items():
        if went == good:
            by_place.setdefault(whose, []).append(what)
    alike: dict[str, list[str]] = {}
    for whose, whats in by_place.items():
        alike.setdefault(", ".join(whats), []).append(whose)
    return "; ".join(f"{whats} of {', '.join(whose)}" for whats, whose in alike.items())


def judged(ident: str, aborted: Attempts, unmoved: Attempts, works: bool) -> Row:
    """The row of one kind of access, every attempt named."""
    open_ways = [attempt for held in (aborted, unmoved) for attempt, good in held.items() if not good]
    verb = "read as zero" if ident.endswith("read") else "ignored"
    parts = [
        f"refused by a bus error: {listed(aborted, True)}",
        f"{verb} by the interrupt controller: {listed(unmoved, True)}",
    ]
    if open_ways:
        parts.insert(0, f"open: {listed({**aborted, **unmoved}, False)}")
    if not works:
        parts.insert(0, "the kernel's access to registers shows nothing: not even its own interrupt moves")
    return row(ident, works and not open_ways, len(open_ways), "; ".join(parts))
