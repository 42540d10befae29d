# SPDX-License-Identifier: MIT
"""Whose turn it is when many are served by one: strictly by priority, in a circle among equals.

What is not ready is not looked at. `worlds/secure/port/channels.h` does the same in C, and is tested against
this.

    >>> turns = Turns(2)
    >>> for member in (0, 5, 9):
    ...     turns.ready(0, member)
    >>> turns.ready(1, 7)
    >>> [turns.next() for _ in range(3)]
    [(1, 7), (1, 7), (1, 7)]
    >>> turns.rest(1, 7)
    >>> [turns.next() for _ in range(4)]
    [(0, 0), (0, 5), (0, 9), (0, 0)]
"""

from __future__ import annotations

__all__ = ["Turns"]


class Turns:
    """Members are numbers from 0 on; a higher priority comes first."""

    def __init__(self, priorities: int) -> None:
        self._ready = [0] * priorities  # a bit for each member
        self._first = [0] * priorities  # where the circle goes on

    def __bool__(self) -> bool:
        return any(self._ready)

    def below(self, priority: int) -> bool:
        """Does anything of a lower priority have something to do?"""
        return any(self._ready[:priority])

    def ready(self, priority: int, member: int) -> None:
        """It may have something to do."""
        self._ready[priority] |= 1 << member

    def rest(self, priority: int, member: int) -> None:
        """It has nothing to do until it is ready again."""
        self._ready[priority] &= ~(1 << member)

    def next(self) -> tuple[int, int] | None:
        """(priority, member) whose turn it is, or None. It stays ready, at the end of its circle."""
        for priority in reversed(range(len(self._ready))):
            ready = self._ready[priority]
            if ready:
                rest = ready >> self._first[priority] << self._first[priority] or ready
                member = (rest & -rest).bit_length() - 1
                self._first[priority] = member + 1
                return priority, member
        return None
