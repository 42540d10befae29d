# SPDX-License-Identifier: MIT
"""Time that counts instructions: QEMU's cores take turns in it, in the order of their numbers.

A turn ends where its core waits, or at the machine's next timer event. QEMU looks at its timers between two
rounds, and where a turn would have no length. So of two cores in a row, while the first never waits, the
second one's turns have none, and it stands still for as long. A core that sleeps for good takes that turn
instead (worlds/monitor/tfa/pen.S)."""

from __future__ import annotations

import msgspec

from isthmus.trustzone.board import TrustZone

# One instruction is one nanosecond of the machine's time, and an idle machine's time jumps to its next event:
# two runs are the same to the last instruction. Otherwise the machine's time is ours.
_COUNTED = ("-icount", "shift=0,align=off,sleep=off", "-rtc", "base=2026-01-01,clock=vm")
# For which the other cores together may keep one waiting, once for each turn that it loses. A release seldom
# loses more than two and a part: with 10 us, releases were late by 14 us mostly and once by 24, and a board's
# longest masked stretch is 20.
_TURN_US = 5


def arguments(board: TrustZone) -> tuple[str, ...]:
    """For QEMU. The machine's next timer event may be milliseconds away: a filter with nothing to filter is
    there for its timer alone."""
    cores = len({*board.core.normal, board.core.secure})
    if cores == 1:
        return _COUNTED
    turn = f"filter-buffer,id=turns,netdev=turn,interval={max(1, _TURN_US // (cores - 1))}"
    return (*_COUNTED, "-netdev", "hubport,id=turn,hubid=0", "-object", turn)


def apart(board: TrustZone) -> TrustZone:
    """The same board with a core that is off between any two cores of Linux's: they get the next numbers that
    are free for it. The Secure world's core keeps its own."""
    home, placed = board.core.secure, list[int]()
    for wanted in board.core.normal:
        core = wanted
        while wanted != home and (core == home or not {core - 1, core, core + 1}.isdisjoint(placed)):
            core += 1
        placed.append(core)
    return msgspec.structs.replace(board, core=msgspec.structs.replace(board.core, normal=tuple(placed)))
