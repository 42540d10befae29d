# SPDX-License-Identifier: MIT
"""What the bound on denial of service needs, in instructions: how long the Normal world can keep the Secure
world's interrupts away, and what a frame costs the Secure world with all that its stack does because of it.

    blocked.call     longest stretch within one call to the firmware, of every function id there is
    blocked.any      the same while those calls are made, whatever it was: the Secure world's own code, too
    frame.echo       the Secure world's work for one datagram that it answers, most of all tries
    frame.refused    for one that the policy refuses
    frame.status     for a request of the status page, with its answer and all that acknowledges it
    poll.empty       for a look at an empty ring, with the scheduler's part of a period
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import pairwise
from statistics import median_low

import msgspec

from isthmus.bench.row import CountRow
from isthmus.qemu.count import Lap
from isthmus.trustzone.board import TrustZone

__all__ = ["CASES", "rows_of", "script_for"]

CALL, FRAME = (27, 28), (29, 30)
KINDS = (("poll.empty", 0), ("frame.echo", 60), ("frame.echo", 1514), ("frame.refused", 60),
         ("frame.status", 0))  # fmt: skip
CASES = {("blocked.call", 0), ("blocked.any", 0), *KINDS}
_FRAMES = 20  # of each kind: traffic.c
_PERIODS = 4  # that each has


def script_for(board: TrustZone) -> tuple[str, str]:
    """What the guest does before the driver is there, and once the link is up."""
    own, peer = board.buffer_region("normal"), board.buffer_region("secure")
    claim = ",".join(f"{n:#x}" for n in (own.base, own.size, peer.base, peer.size))
    frames = f"/traffic frames {board.secure.address} {FRAME[0]}\n"
    return f"insmod /calls.ko claim={claim}\nrmmod calls\n", frames


def rows_of(laps: Sequence[Lap]) -> list[CountRow]:
    """One row per case; a case that was not reached is missing."""
    marks = [i for i, lap in enumerate(laps) if lap.mark in CALL]
    within = [max(laps[i].masked) for i in marks if laps[i].mark == CALL[1]]
    around = [max(lap.masked) for lap in laps[marks[0] + 1 : marks[-1] + 1]] if marks else []
    found = [_row("blocked.call", 0, within, max), _row("blocked.any", 0, around, max)]
    work: list[int] = []
    for begun, ended in pairwise(laps):
        if (begun.mark, ended.mark) == FRAME:
            work.append((ended.total - begun.total).secure)
    kinds = [work[i : i + _FRAMES] for i in range(0, len(work), _FRAMES)]
    idle = median_low(kinds[0]) if kinds else 0
    for n, (case, frame) in enumerate(KINDS):
        tries = kinds[n] if n < len(kinds) else []
        if n == 0:
            found.append(_row(case, frame, [t // _PERIODS for t in tries], median_low))
        else:
            found.append(_row(case, frame, [t - idle for t in tries], max))
    return found


def _row(case: str, frame: int, tries: Sequence[int], choose: Callable[[Sequence[int]], int]) -> CountRow:
    row = CountRow(case, "isthmus", frame, "instructions")
    if not tries:
        return msgspec.structs.replace(row, status="missing", reason="the guest passed no mark of it")
    value = float(choose(tries))
    at_el3 = case.startswith("blocked")
    return msgspec.structs.replace(
        row, value=value, normal=0.0, secure=0.0 if at_el3 else value, monitor=value if at_el3 else 0.0
    )
