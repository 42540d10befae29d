# SPDX-License-Identifier: MIT
"""Life cycle: Linux that reboots or breaks off, what its memory holds at a start, what PSCI can do."""

from __future__ import annotations

import ctypes
import random
from typing import Any, Literal

from isthmus.attack.catalogue import Outcome, attack
from isthmus.attack.stage import CONTROL, DIGEST, EPOCH, INIT, READY, STATE
from isthmus.attack.trustzone.calls import ONCE_US, REGISTER, answered, claim
from isthmus.attack.trustzone.rig import LAST_WORDS_S, Rig

QEMU: Any = ("qemu",)
# Of PSCI, version 1.1: function, arguments, result. Those that stop Linux are apart.
ENTRY, POWER_DOWN = 0x40200000, 1 << 16 | 2
DENIED, INVALID, NOT_SUPPORTED, ALREADY_ON = -3, -2, -1, -4
POWER: dict[str, tuple[str, tuple[int, ...], int]] = {
    "psci-71": ("CPU_OFF of the Secure world's core", (0x84000002,), DENIED),
    "psci-71a": ("CPU_ON of the Secure world's core", (0xC4000003, 0, ENTRY, 0), ALREADY_ON),
    "psci-71b": ("CPU_ON of a core that is not Linux's", (0xC4000003, 1, ENTRY, 0), DENIED),
    "psci-71c": ("CPU_SUSPEND to power-down", (0xC4000001, POWER_DOWN, ENTRY, 0), INVALID),
    "psci-71d": ("MIGRATE", (0xC4000005, 1), DENIED),
    "psci-71e": ("SYSTEM_SUSPEND", (0xC400000E, ENTRY, 0), NOT_SUPPORTED),
}
WRAPPED = "resets about Linux + powers off Linux + standby only + core's power"


def power(ident: str) -> None:
    name, call, wanted = POWER[ident]
    off = WRAPPED if ident in ("psci-71", "psci-71c") else None

    @attack(ident, name, machines=QEMU, off=off)
    def ask(s: Rig, dice: random.Random) -> Outcome:
        """Once, to see what it answers or ends, then for 200 periods."""

        def act() -> str:
            first = s.calls([call], rounds=1, us=ONCE_US, limit=LAST_WORDS_S)
            wrong = answered([call], first, wanted)
            return wrong or answered([call], s.calls([call], us=s.us, pause=900), wanted)

        found = s.watch(act)
        if not found.contained:
            found.detail = f"{name}: {found.detail}"
        return found


for ident in POWER:
    power(ident)


def restarts(s: Rig, script: str) -> Outcome:
    """Linux alone begins again; the Secure world skips no period."""

    def act() -> None:
        s.machine.reboot(script, 240.0)
        s.machine.configure(240.0)
        s.prepare()

    return s.watch(act, session=True)


@attack("life-57", "the Normal world reboots", machines=QEMU, off=WRAPPED)
def reboots(s: Rig, dice: random.Random) -> Outcome:
    return restarts(s, "reboot -f")


@attack("life-58", "RAM garbage where a peer should be", "F", machines=QEMU, off="digest")
def garbage(s: Rig, dice: random.Random) -> Outcome:
    """A session without a driver: random bytes everywhere, then with a state word and an epoch that look
    right. No attach without the whole handshake."""
    name = s.board.normal.interface

    def act() -> str:
        s.shell(f"ip link set {name} down; usleep 20000")
        ((_, x0, *_),) = s.calls([(REGISTER, 0, *claim(s))], rounds=1, us=ONCE_US)
        s.shell("usleep 20000")
        epoch, states = s.status()["epoch"], set()
        buffer = s.machine.buffer("normal")
        for state in (None, INIT, READY):
            buffer[:CONTROL] = dice.randbytes(CONTROL)
            buffer[STATE : STATE + 4] = bytes(4)
            buffer[EPOCH : EPOCH + 8] = epoch.to_bytes(8, "little")
            buffer[DIGEST + 8 : DIGEST + 12] = s.board.channel.mtu.to_bytes(4, "little")
            buffer[DIGEST + 12 : DIGEST + 16] = bytes(4)
            if state is not None:
                buffer[STATE : STATE + 4] = (0x4953 << 16 | 1 << 8 | state).to_bytes(4, "little")
            s.shell("usleep 20000")
            states.add(s.status()["state"])
        s.shell(f"ip link set {name} up")
        return "" if states == {"INIT"} and x0 == 0 else f"registered {x0}, states {sorted(states)}"

    return s.watch(act, session=True, accepts=None)


@attack("life-60", "partial attach: registers, and is never heard again", machines=QEMU, off=None)
def partial_attach(s: Rig, dice: random.Random) -> Outcome:
    name = s.board.normal.interface

    def act() -> str:
        s.shell(f"ip link set {name} down; usleep 20000")
        s.calls([(REGISTER, 0, *claim(s))], rounds=1, us=ONCE_US)
        s.shell(f"usleep {s.us}")
        state = s.status()["state"]
        s.shell(f"ip link set {name} up")
        return "" if state == "INIT" else f"state {state}"

    return s.watch(act, session=True)


@attack("leak-62", "old slot contents and padding", machines=QEMU, off="zeroed padding")
def etherleak(s: Rig, dice: random.Random) -> Outcome:
    """The Secure world's ring is full of a canary; answers of every length must show none of it."""
    address = s.board.secure.address

    def act() -> str:
        buffer, size = s.machine.buffer("secure"), s.board.secure.ring_bytes
        ring = (ctypes.c_ubyte * size).from_buffer(buffer, CONTROL)
        head = int.from_bytes(buffer[0x80:0x84], "little")
        ctypes.memset(ctypes.addressof(ring), 0xA7, len(ring))
        s.shell(f"for n in $(seq 0 80); do ping -q -c 1 -s $n -W 1 {address} >/dev/null; done", 120)
        end = int.from_bytes(buffer[0x80:0x84], "little")
        start, stop = head % size, end % size
        shown = bytes(ring[start:stop]) if start <= stop else bytes(ring[start:size]) + bytes(ring[:stop])
        del ring
        found = shown.count(b"\xa7\xa7")
        return f"{found} old bytes in {len(shown)}" if found or not shown else ""

    return s.watch(act)


@attack("leak-63", "secure addresses in shared memory", machines=QEMU, off="no address in a slot")
def addresses(s: Rig, dice: random.Random) -> Outcome:
    """Every word of both buffers, after traffic. What other attacks have left in the rings may look like
    anything, and goes first."""
    address = s.board.secure.address
    low, high = s.board.memory.monitor.base, s.board.memory.secure.end
    sizes: dict[Literal["normal", "secure"], int] = {
        "normal": s.board.normal.ring_bytes,
        "secure": s.board.secure.ring_bytes,
    }

    def act() -> str:
        for role, size in sizes.items():
            s.machine.buffer(role)[CONTROL : CONTROL + size] = bytes(size)
        s.shell(f"for n in $(seq 40 60); do ping -q -c 1 -s $n -W 1 {address} >/dev/null; done", 120)
        words, found, first = s.order("scan", low, high, rounds=1, us=ONCE_US)
        return (
            "" if words and not found else f"{found} of {words} words look like secure addresses: {first:#x}"
        )

    return s.watch(act)
