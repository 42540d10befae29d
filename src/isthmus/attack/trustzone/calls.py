# SPDX-License-Identifier: MIT
"""Calls to the monitor: floods of them, registrations that do not fit, the Secure world's own, any others."""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from isthmus.attack.catalogue import Outcome, attack
from isthmus.attack.trustzone.numbers import SMC
from isthmus.attack.trustzone.rig import Rig

QEMU: Any = ("qemu",)
# One test build without all that the monitor judges: each attack meets the statement that it is about.
MONITOR = (
    "constant refusal + table of buffers + one session + quiescence + doorbell rate + doorbell's lanes + "
    "caller's world"
)
ONCE_US = 200_000  # for what is done once: ample
INVALID, DENIED, ALREADY = SMC["IST_SMC_INVALID"], SMC["IST_SMC_DENIED"], SMC["IST_SMC_ALREADY"]
NOT_SUPPORTED, BUSY = SMC["IST_SMC_NOT_SUPPORTED"], SMC["IST_SMC_BUSY"]
REGISTER, DETACH = SMC["IST_SMC_REGISTER"], SMC["IST_SMC_DETACH"]
DOORBELL, STATUS = SMC["IST_SMC_DOORBELL"], SMC["IST_SMC_STATUS"]


def claim(s: Rig) -> list[int]:
    """The one registration that fits: bases and sizes."""
    own, peer = (s.board.buffer_region(role) for role in ("normal", "secure"))
    return [own.base, own.size, peer.base, peer.size]


def refused(s: Rig, tuples: Sequence[tuple[int, ...]], wanted: int, pause: int = 900) -> Outcome:
    """Each of the calls again and again for 200 periods: always the same refusal, nothing else."""
    return s.watch(lambda: answered(tuples, s.calls(tuples, us=s.us, pause=pause), wanted))


def answered(tuples: Sequence[tuple[int, ...]], answers: Sequence[tuple[int, ...]], wanted: int) -> str:
    """What is wrong with the answers, if anything."""
    for asked, (n, x0, changed, _) in zip(tuples, answers, strict=True):
        if x0 != wanted or changed or not n:
            return f"{' '.join(f'{x:#x}' for x in asked)} was answered {x0}"
    return ""


def no_registration(s: Rig, tuples: Sequence[tuple[int, ...]]) -> Outcome:
    """Registrations that must not be: for 200 periods beside a session, and once where there is none."""
    name = s.board.normal.interface

    def act() -> str:
        beside = answered(tuples, s.calls(tuples, us=s.us, pause=900), INVALID)
        s.shell(f"ip link set {name} down; usleep 20000")
        alone = answered(tuples, s.calls(tuples, rounds=1, us=ONCE_US), INVALID)
        s.shell(f"ip link set {name} up")
        return beside or alone

    return s.watch(act, session=True)


@attack("dos-04", "flood of calls that nobody knows", machines=QEMU, off=MONITOR)
def unknown_calls(s: Rig, dice: random.Random) -> Outcome:
    """As fast as one core makes them."""
    ids = [0xC7000000 | dice.randrange(0x100, 0xFF00) for _ in range(16)]
    return refused(s, [(n, *(dice.getrandbits(64) for _ in range(6))) for n in ids], NOT_SUPPORTED, pause=0)


@attack("mem-21", "registered buffer overlaps secure RAM", machines=QEMU, off=MONITOR)
def registers_secure_memory(s: Rig, dice: random.Random) -> Outcome:
    good, secure, monitor = claim(s), s.board.memory.secure, s.board.memory.monitor
    at = secure.base + 4096 * dice.randrange(secure.size // 4096)
    return no_registration(
        s,
        [
            (REGISTER, 0, secure.base, *good[1:]),
            (REGISTER, 0, at, *good[1:]),
            (REGISTER, 0, *good[:2], secure.base, good[3]),
            (REGISTER, 0, monitor.base, *good[1:]),
            (REGISTER, 0, good[0], secure.end - good[0], *good[2:]),
        ],
    )


@attack("mem-22", "boundary +-1 byte and +-1 page, both ends", machines=QEMU, off=MONITOR)
def off_by_one(s: Rig, dice: random.Random) -> Outcome:
    good = claim(s)
    return no_registration(
        s,
        [
            (REGISTER, 0, *good[:i], good[i] + change, *good[i + 1 :])
            for i in range(4)
            for change in (1, -1, 4096, -4096)
        ],
    )


@attack("mem-23", "base + size wraps", machines=QEMU, off=MONITOR)
def wraps(s: Rig, dice: random.Random) -> Outcome:
    own, size, *peer = claim(s)
    return no_registration(
        s,
        [
            (REGISTER, 0, own, -own, *peer),
            (REGISTER, 0, own, (1 << 64) - 1, *peer),
            (REGISTER, 0, own + (1 << 32), size, *peer),
            (REGISTER, 0, own, size + (1 << 32), *peer),
            (REGISTER, 0, own | 1 << dice.randrange(48, 64), size, *peer),
        ],
    )


@attack("mem-24", "misaligned or zero size", machines=QEMU, off=MONITOR)
def misaligned(s: Rig, dice: random.Random) -> Outcome:
    own, size, *peer = claim(s)
    odd = dice.randrange(1, 4096)
    return no_registration(
        s,
        [
            (REGISTER, 0, own + odd, size, *peer),
            (REGISTER, 0, own, size - odd, *peer),
            (REGISTER, 0, own, 0, *peer),
            (REGISTER, 0, own, size, peer[0], 0),
            (REGISTER, 0, 0, 0, 0, 0),
        ],
    )


@attack("mem-25", "the two buffers alias each other", machines=QEMU, off=MONITOR)
def aliased(s: Rig, dice: random.Random) -> Outcome:
    own, size, peer, peer_size = claim(s)
    return no_registration(
        s,
        [
            (REGISTER, 0, own, size, own, size),
            (REGISTER, 0, peer, peer_size, own, size),
            (REGISTER, 0, own, size, own + size // 2, peer_size),
            (REGISTER, 0, peer, peer_size, peer, peer_size),
        ],
    )


@attack("mem-27", "a second registration while there is a session", machines=QEMU, off=MONITOR)
def registers_twice(s: Rig, dice: random.Random) -> Outcome:
    return refused(s, [(REGISTER, 0, *claim(s))], ALREADY)


@attack("mem-28", "ends the session in its use, and registers at once", machines=QEMU, off=MONITOR)
def remaps_in_use(s: Rig, dice: random.Random) -> Outcome:
    """Until the Secure world has let go of the buffers nobody gets them."""

    def act() -> str:
        epoch = s.status()["epoch"]
        ended, again = s.calls([(DETACH, 0, epoch), (REGISTER, 0, *claim(s))], rounds=1, us=ONCE_US)
        return "" if (ended[1], again[1]) == (0, BUSY) else f"answered {ended[1]}, then {again[1]}"

    return s.watch(act, session=True)


@attack("life-72", "attach and detach storm", machines=QEMU, off=MONITOR)
def session_storm(s: Rig, dice: random.Random) -> Outcome:
    """A session can begin once the Secure world has confirmed the end of the last: at most one a period."""

    def act() -> str:
        before = s.status()["critical"]["periods"]
        (begun,) = s.order("sessions", *claim(s), us=s.us)
        periods = s.status()["critical"]["periods"] - before
        return "" if 0 < begun <= periods else f"{begun} sessions in {periods} periods"

    return s.watch(act, session=True)


@attack("dos-01", "doorbell flood", machines=QEMU, off=MONITOR)
def doorbells(s: Rig, dice: random.Random) -> Outcome:
    """As fast as one core rings: what is over the board's rate is latched, and enters nothing."""
    limits = s.board.monitor
    bound = limits.doorbell_burst + limits.doorbells_per_second * s.us // 1_000_000 + 1
    entered = 0

    def act() -> str:
        nonlocal entered
        ((rung, _, _, entered),) = s.calls([(DOORBELL, 0, 1)], us=s.us)
        return "" if entered <= bound < rung else f"{entered} of {rung} doorbells entered the Secure world"

    return replace(s.watch(act), work_max=entered, work_bound=bound)


@attack("smc-65", "bad arguments, the wrong width, calls before their time", machines=QEMU, off=MONITOR)
def bad_arguments(s: Rig, dice: random.Random) -> Outcome:
    bit = 1 << dice.randrange(1, 64)
    return refused(
        s,
        [
            (DOORBELL, bit, 1),
            (DOORBELL, 0, 0),
            (DOORBELL, 0, 1 << dice.randrange(8, 64)),
            (DETACH, bit, s.status()["epoch"]) if s.machine else (),
            (STATUS, bit),
            (REGISTER, bit, *claim(s)),
        ],
        INVALID,
    )


@attack(
    "smc-65a",
    "functions that there are not, and the wrong width of those that there are",
    machines=QEMU,
    off=MONITOR,
)
def no_such_functions(s: Rig, dice: random.Random) -> Outcome:
    narrow = [(n & ~(1 << 30), 0, 1) for n in (REGISTER, DETACH, DOORBELL, STATUS)]
    yielding = [(n & ~(1 << 31), 0, 1) for n in (REGISTER, DOORBELL)]
    others = [(0xC7000000 | dice.randrange(0x20, 0xFF00), 1 << 63, 1) for _ in range(20)]
    return refused(s, [*narrow, *yielding, *others], NOT_SUPPORTED)


@attack("smc-66", "the Secure world's own calls", machines=QEMU, off=MONITOR)
def secure_calls(s: Rig, dice: random.Random) -> Outcome:
    """First those that tell or change something, each once; those that stop a world, too, only where all of
    these were refused: without the defence the first ones say enough."""
    asks = ("SESSION", "RING", "QUIESCED", "LOG", "NORMAL")
    stops = ("READY", "NORMAL_RESTART", "YIELD", "POWER_OFF")
    calls = {name: (SMC[f"IST_SMC_{name}"], 0, 1) for name in (*asks, *stops)}

    def act() -> str:
        answers = [x0 for _, x0, *_ in s.calls([calls[n] for n in asks], rounds=1, us=ONCE_US)]
        given = [f"{n} {x0}" for n, x0 in zip(asks, answers, strict=True) if x0 != NOT_SUPPORTED]
        if given:
            return f"Linux was answered as the Secure world: {', '.join(given)}"
        everything = list(calls.values())
        return answered(everything, s.calls(everything, us=s.us, pause=900), NOT_SUPPORTED)

    return s.watch(act)
