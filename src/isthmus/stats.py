# SPDX-License-Identifier: MIT
"""What an endpoint counts."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import IntEnum

from isthmus import _native

__all__ = ["VERDICTS", "LinkState", "Statistics"]

#: Every verdict's name with its meaning, in the order of the ABI.
VERDICTS: Mapping[str, str] = dict(_native.VERDICTS)

_NAMES = tuple(VERDICTS)
_REFUSALS = [  # what the guard may say to a frame; BUDGET consumes nothing
    name for name in _NAMES[_NAMES.index("LENGTH_SHORT") : _NAMES.index("NO_BUFFER") + 1] if name != "BUDGET"
]


class LinkState(IntEnum):
    """Where the session stands."""

    RESET = 0  #: no session
    INIT = 1  #: our identity is published; the peer is not there, or does not fit
    READY = 2  #: the peer fits
    RUN = 3  #: frames pass
    DEAD = 4  #: the peer broke the protocol; ends with a new epoch


@dataclass(frozen=True, slots=True)
class Statistics:
    """A snapshot of one endpoint's counters, since it was made. Byte counts are payload, without headers."""

    state: LinkState
    reason: str  #: verdict that ended the session or keeps the link down; "" for none
    epoch: int
    age: float | None  #: seconds since the last valid frame; None before the first
    sent: int  #: frames committed
    sent_bytes: int
    received: int  #: frames accepted
    received_bytes: int
    lost: int  #: frames that the sequence numbers say are missing
    sessions_ended: int
    rings: int  #: doorbells rung
    sleeps: int  #: times that a call gave up spinning
    verdicts: Mapping[str, int]  #: every verdict's counter by name

    @property
    def refused(self) -> int:
        """Received frames that the guard refused, over all reasons."""
        return sum(self.verdicts[name] for name in _REFUSALS)


def snapshot(endpoint: _native.Endpoint) -> Statistics:
    """Reads every counter of an endpoint at once."""
    sent, sent_bytes, received, received_bytes, lost, ended, rings, sleeps, verdicts = endpoint._counters()
    return Statistics(
        state=LinkState(endpoint.link_state),
        reason=endpoint.reason,
        epoch=endpoint.epoch,
        age=endpoint.age,
        sent=sent,
        sent_bytes=sent_bytes,
        received=received,
        received_bytes=received_bytes,
        lost=lost,
        sessions_ended=ended,
        rings=rings,
        sleeps=sleeps,
        verdicts=dict(zip(_NAMES, verdicts, strict=True)),
    )
