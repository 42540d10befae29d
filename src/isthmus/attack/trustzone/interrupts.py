# SPDX-License-Identifier: MIT
"""The interrupt controller in the hands of Linux's kernel (worlds/normal/attack/storm)."""

from __future__ import annotations

import random
from typing import Any

from isthmus.attack.catalogue import Outcome, attack
from isthmus.attack.trustzone.rig import Rig

QEMU: Any = ("qemu",)
FILE = "/sys/kernel/debug/isthmus_storm"
US = 50_000  # of the machine's time, again and again, for a fourth longer than the rest
PRIORITIES = "secure priorities + priorities refused"
SILENCED = 20  # of Linux's 250 timer interrupts


def storm(s: Rig, what: str, *, silences: bool = False) -> Outcome:
    """With Linux's own interrupts on. `silences`: such an attack shows on Linux itself:
    its own timer interrupts stay away."""
    board = s.board
    private = board.gic_private.base + 0x10000 * (board.gic.version == 3)
    load = (
        f"[ -e {FILE} ] || insmod /storm.ko version={board.gic.version} target={board.core.secure} "
        f"kick={board.interrupt.kick} spi={board.interrupt.doorbell} "
        f"gicd={board.device.gic_distributor.base:#x} private={private:#x}"
    )

    def act() -> str:
        s.shell(load)
        for _ in range(s.us * 5 // 4 // US):
            came, rounds = (int(word) for word in s.shell(f"echo {what} {US} >{FILE} && cat {FILE}").split())
            if not rounds or (silences and came > SILENCED):
                return f"no attack: {rounds} rounds, {came} of Linux's own interrupts came"
        return ""

    return s.watch(act, loses=True)


@attack("irq-68", "Linux masks interrupts by their priority", machines=QEMU, off=PRIORITIES)
def masked(s: Rig, dice: random.Random) -> Outcome:
    return storm(s, "mask", silences=True)


@attack("irq-69", "Linux acknowledges an interrupt and never ends it", machines=QEMU, off=PRIORITIES)
def never_ended(s: Rig, dice: random.Random) -> Outcome:
    return storm(s, "hold", silences=True)


@attack("irq-70", "software-generated interrupts at the Secure world's core", machines=QEMU, off=None)
def sgi_storm(s: Rig, dice: random.Random) -> Outcome:
    return storm(s, "sgi")


@attack("irq-70a", "shared interrupts at the Secure world's core, 1-of-N too", machines=QEMU, off=None)
def spi_storm(s: Rig, dice: random.Random) -> Outcome:
    return storm(s, "spi")
