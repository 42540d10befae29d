# SPDX-License-Identifier: MIT
"""The Secure world's scheduling alone, on a virtual clock in microseconds: fixed priorities with pre-emption,
the network work as a server that gets its C anew where a period begins and keeps the rest until then.

What arrives is an adversary's: it knows the schedule, and each period it picks how much network work comes,
when, how long a call of Linux's holds the core as the period begins, and when the critical datagram comes.
"""

from __future__ import annotations

import random
from dataclasses import dataclass, field

from isthmus.trustzone.board import Secure

__all__ = ["Outcome", "simulate"]


@dataclass(slots=True)
class Outcome:
    """By task: the longest response, and how many deadlines were missed. `network_most`: work in a period, in
    microseconds."""

    longest: dict[str, int] = field(default_factory=dict)
    missed: dict[str, int] = field(default_factory=dict)
    network_most: int = 0

    def ended(self, name: str, response: int, deadline: int) -> None:
        self.longest[name] = max(self.longest.get(name, 0), response)
        self.missed[name] = self.missed.get(name, 0) + (response > deadline)


def arrivals(dice: random.Random, period: int, server: int) -> list[tuple[int, int]]:
    """(when, how much network work) of one period, of the ways that hurt."""
    way = dice.random()
    if way < 0.35:  # kept full
        return [(0, 3 * period)]
    if way < 0.5:  # as late as its C still fits, and at once again
        return [(period - server, 2 * server)]
    if way < 0.6:
        return [(period - 1, 2 * server)]
    if way < 0.7:
        return []
    return sorted((dice.randrange(period), dice.randrange(1, server)) for _ in range(dice.randrange(1, 6)))


def simulate(secure: Secure, periods: int, seed: int, *, server: bool = True) -> Outcome:
    """`server` False: the network work runs for as long as there is any."""
    dice, out = random.Random(seed), Outcome()
    above, inside, below = (secure.runs(where) for where in ("above", "inside", "below"))
    assert above is not None
    assert inside is not None
    assert below is not None
    period, share = secure.network.period_us, secure.network.cost_us
    assert above.period_us == period
    assert below.period_us % period == 0
    backlog = 0  # network work that waits
    released, left = 0, 0  # of the task below: when, and what it has yet to do
    asked: tuple[int, int] | None = None  # the datagram's arrival, and the work up to its answer
    linux = True  # ran last
    for n in range(periods):
        begin = n * period
        if begin % below.period_us == 0:
            if left > 0:
                out.ended(below.name, below.period_us + left, below.deadline_us)
            released, left = begin, below.cost_us
        now = dice.choice((0, secure.blocking.us)) if linux else 0
        now += above.cost_us
        out.ended(above.name, now, above.deadline_us)
        budget, used = share if server else period, 0
        coming = arrivals(dice, period, share)
        datagram = dice.randrange(period) if n % (inside.period_us // period) == 0 else -1
        while now < period:
            while coming and coming[0][0] <= now:
                # The ring is finite: what does not fit is dropped by its sender.
                backlog = min(backlog + coming.pop(0)[1], 4 * period)
            if 0 <= datagram <= now and asked is None:
                ahead = min(backlog, share - inside.cost_us)  # less than one C before it
                asked, datagram = (begin + datagram, ahead + inside.cost_us), -1
                backlog += inside.cost_us
            events = [at for at, _ in coming[:1]] + [datagram] * (datagram > now)
            following = min([period, *events])
            if backlog > 0 and budget > 0:
                step = min(backlog, budget, following - now)
                if asked is not None:
                    step = min(step, asked[1])
                    asked = asked[0], asked[1] - step
                backlog, budget, used = backlog - step, budget - step, used + step
                now += step
                if asked is not None and asked[1] == 0:
                    out.ended(inside.name, begin + now - asked[0], inside.deadline_us)
                    asked = None
                linux = False
            elif left > 0:
                step = min(left, following - now)
                left, now = left - step, now + step
                if left == 0:
                    out.ended(below.name, begin + now - released, below.deadline_us)
                linux = False
            else:
                now, linux = following, True
        if asked is not None and begin + period - asked[0] > 20 * inside.deadline_us:
            out.ended(inside.name, begin + period - asked[0], inside.deadline_us)
            asked = None
        out.network_most = max(out.network_most, used)
    return out
