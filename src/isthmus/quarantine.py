# SPDX-License-Identifier: MIT
"""How soon a peer that broke the protocol is let in again. Sans IO: time is an argument, in seconds.

    >>> quarantine = Quarantine(first=0.01, most=1.0, forgive=10.0)
    >>> [quarantine.violated(now=5.0) for _ in range(9)]
    [0.01, 0.02, 0.04, 0.08, 0.16, 0.32, 0.64, 1.0, 1.0]
    >>> quarantine.violated(now=15.1)
    0.01
"""

from __future__ import annotations

__all__ = ["Quarantine"]


class Quarantine:
    """After each violation twice as long as after the one before, from `first` to `most`; after `forgive`
    without one, from the start again. `first` 0: none at all."""

    def __init__(self, first: float, most: float, forgive: float) -> None:
        self.first, self.most, self.forgive = first, most, forgive
        self._count = 0
        self._last = float("-inf")

    def violated(self, now: float) -> float:
        """Seconds that the peer stays out from now on."""
        if now - self._last > self.forgive:
            self._count = 0
        self._last = now
        wait = min(self.most, self.first * (1 << min(self._count, 32)))
        self._count += 1
        return wait
