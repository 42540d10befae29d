# SPDX-License-Identifier: MIT
"""Many endpoints on one side, received from by one call: higher lanes first, equals in turns.

    >>> import isthmus
    >>> links = [isthmus.memory_link() for _ in range(3)]
    >>> with isthmus.Channels(secure for _, secure in links) as channels:
    ...     for number, (normal, _) in enumerate(links):
    ...         normal.send(bytes([number]) * 60)
    ...     sorted(frame[0] for _, frame in channels.receive_batch(timeout=1))
    [0, 1, 2]
    >>> for normal, secure in links:
    ...     normal.close(), secure.close()
    (None, None)
    (None, None)
    (None, None)

Whose turn it is says the poll that a critical OS would use (worlds/secure/port/channels.h): of all lanes
that have frames the highest, among equals one after the other, `turn` frames at a time. So a peer that floods
costs every other one its turn and no more. What a lane may cost altogether, and higher lanes the lower ones,
is its endpoint's budget (ChannelConfig).
"""

from __future__ import annotations

import os
import weakref
from collections.abc import Iterable, Iterator
from types import TracebackType
from typing import TYPE_CHECKING, Self

from isthmus import _native
from isthmus.endpoint import Endpoint
from isthmus.lanes import LANES_MAX

__all__ = ["CHANNELS_MAX", "Channels"]

CHANNELS_MAX = 64  # of worlds/secure/port/channels.h


class Channels(_native.Channels):
    """Receives from up to 64 channels, each an endpoint or a tuple of them: its lanes, the bulk lane first.

    An endpoint's receiving half is taken while it is in; it sends as before. One call at a time may receive,
    add or remove: a second one gets ConcurrentUseError. In a child of a fork it is closed. `turn` is how many
    frames of one lane may come before an equal one's, `spin` how many seconds a call spins before it sleeps.
    Closing lets go of the endpoints and leaves them open.
    """

    __slots__ = ("__weakref__",)

    def __new__(
        cls, channels: Iterable[Endpoint | tuple[Endpoint, ...]] = (), *, turn: int = 8, spin: float = 50e-6
    ) -> Self:
        self = super().__new__(cls, turn, spin)
        _open.add(self)
        for channel in channels:
            self.add(*channel if isinstance(channel, tuple) else (channel,))
        return self

    def add(self, *lanes: Endpoint) -> int:
        """Takes a channel in, the bulk lane's endpoint first; returns its number, the lowest that is free.

        All of them or none. Raises ValueError beyond 64 channels of 4 lanes, ConcurrentUseError for an
        endpoint that is being received from, ClosedError for one that is closed.
        """
        if not 1 <= len(lanes) <= LANES_MAX:
            raise ValueError(f"a channel has 1 to {LANES_MAX} lanes, not {len(lanes)}")
        taken = {number % CHANNELS_MAX for number, _ in self._members()}
        channel = next((n for n in range(CHANNELS_MAX) if n not in taken), None)
        if channel is None:
            raise ValueError(f"there are {CHANNELS_MAX} channels already")
        added: list[Endpoint] = []
        try:
            for lane, endpoint in enumerate(lanes):
                self._add(endpoint, channel, lane)
                added.append(endpoint)
        except BaseException:
            for endpoint in added:
                self._remove(endpoint)
            raise
        return channel

    def remove(self, *endpoints: Endpoint) -> None:
        """Lets endpoints go; each may be received from by itself again. KeyError for one that is not in."""
        for endpoint in endpoints:
            self._remove(endpoint)

    if TYPE_CHECKING:  # what comes out is what went in

        def receive(self, timeout: float | None = None) -> tuple[Endpoint, bytes]: ...
        def receive_batch(
            self, limit: int = 64, timeout: float | None = None
        ) -> list[tuple[Endpoint, bytes]]: ...

    def __getitem__(self, number: int) -> Endpoint:
        """The endpoint of a number: the channel's, plus 64 for each lane above the bulk lane."""
        for n, endpoint in self._members():
            if n == number:
                found: Endpoint = endpoint
                return found
        raise KeyError(number)

    def __iter__(self) -> Iterator[Endpoint]:
        return iter([endpoint for _, endpoint in self._members()])

    def __len__(self) -> int:
        """How many endpoints are in: one that is closed, or whose peer is gone for good, leaves by itself."""
        return len(self._members())

    def __contains__(self, endpoint: object) -> bool:
        return any(member is endpoint for member in self)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {'closed' if self.closed else f'of {len(self)} endpoints'}>"


# As for endpoints: a child's calls find it closed however it was forked; this closes its descriptors at once.
_open: weakref.WeakSet[Channels] = weakref.WeakSet()


def _after_fork_in_child() -> None:
    for channels in tuple(_open):
        channels.close()


os.register_at_fork(after_in_child=_after_fork_in_child)
