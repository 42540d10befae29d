# SPDX-License-Identifier: MIT
"""One world's end of a channel.

The calls that move frames are the native ones; this adds what costs nothing per frame.

    >>> from isthmus import memory_link
    >>> normal, secure = memory_link()
    >>> with normal, secure:
    ...     normal.send(bytes(range(64)))
    ...     frame = secure.receive(timeout=1)
    >>> frame == bytes(range(64))
    True
"""

from __future__ import annotations

import asyncio
import os
import warnings
import weakref
from collections.abc import AsyncIterator
from types import TracebackType
from typing import TYPE_CHECKING, Self

from isthmus import _native
from isthmus.config import ChannelConfig, Role
from isthmus.errors import ClosedError, PeerDead
from isthmus.stats import LinkState, Statistics, snapshot

if TYPE_CHECKING:
    from typing_extensions import Buffer

__all__ = ["AsyncEndpoint", "Endpoint"]


class Endpoint(_native.Endpoint):
    """Sends and receives frames over a channel. Made by memory_link(), join(), listen() and connect().

    One thread may send while another receives; a second sender or receiver gets ConcurrentUseError. In a
    child of a fork the endpoint is closed. As a context manager it closes at the end.
    """

    __slots__ = ("__weakref__", "_waiters", "config")

    config: ChannelConfig
    _waiters: set[asyncio.Future[None]]

    def __new__(
        cls,
        config: ChannelConfig,
        role: Role,
        own: _native.Buffer,
        peer: _native.Buffer,
        bell: int,
        spin: float = 50e-6,
    ) -> Self:
        """Writes `own`, reads `peer`, takes over `bell`, our end of it. `spin` is in seconds."""
        self = super().__new__(cls, config, role, own, peer, bell, spin)
        self.config = config
        self._waiters = set()
        _open.add(self)
        return self

    def close(self) -> None:
        """Ends the session and gives everything back. Wakes waiting calls with ClosedError. Idempotent."""
        super().close()
        for waiter in tuple(self._waiters):
            waiter.get_loop().call_soon_threadsafe(_wake, waiter)

    @property
    def state(self) -> LinkState:
        """Where the session stands."""
        return LinkState(self.link_state)

    @property
    def statistics(self) -> Statistics:
        """A snapshot of all counters."""
        return snapshot(self)

    @property
    def aio(self) -> AsyncEndpoint:
        """This endpoint for asyncio: `await endpoint.aio.receive()`."""
        return AsyncEndpoint(self)

    def __aiter__(self) -> AsyncIterator[bytes]:
        return self.aio.__aiter__()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def __repr__(self) -> str:
        what = "closed" if self.closed else self.state.name
        return f"<{type(self).__name__} {Role(self.role).name} {what}>"

    def __del__(self) -> None:
        if not self.closed:
            warnings.warn(f"unclosed {self!r}", ResourceWarning, stacklevel=2, source=self)
        self.close()


class AsyncEndpoint:
    """An endpoint under asyncio. Shares the endpoint; one task may send while another receives."""

    __slots__ = ("endpoint",)

    def __init__(self, endpoint: Endpoint) -> None:
        self.endpoint = endpoint

    async def receive(self) -> bytes:
        """The next frame. Raises as Endpoint.receive(); use asyncio.timeout() for a limit."""
        while True:
            try:
                return self.endpoint.receive(0)
            except BlockingIOError:
                await self._readable(self.endpoint.fileno())

    async def receive_batch(self, limit: int = 64) -> list[bytes]:
        """Waits for a frame, then returns all that are there, at most `limit`."""
        while True:
            try:
                return self.endpoint.receive_batch(limit, 0)
            except BlockingIOError:
                await self._readable(self.endpoint.fileno())

    async def send(self, frame: Buffer) -> None:
        """Sends one frame, waiting for room. Raises as Endpoint.send()."""
        room = self.endpoint.room_fileno()  # asked for first: what finds no room arms it
        while True:
            try:
                return self.endpoint.send(frame, 0)
            except BlockingIOError:
                await self._readable(room)

    async def _readable(self, fd: int) -> None:
        loop = asyncio.get_running_loop()
        waiter: asyncio.Future[None] = loop.create_future()
        self.endpoint._waiters.add(waiter)
        loop.add_reader(fd, _wake, waiter)
        try:
            await waiter
        finally:
            loop.remove_reader(fd)
            self.endpoint._waiters.discard(waiter)

    async def __aiter__(self) -> AsyncIterator[bytes]:
        """Frames until the peer is gone or the endpoint is closed."""
        while True:
            try:
                frames = await self.receive_batch()
            except (PeerDead, ClosedError):
                return
            for frame in frames:
                yield frame

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.endpoint.close()


def _wake(waiter: asyncio.Future[None]) -> None:
    if not waiter.done():
        waiter.set_result(None)


# A child's calls find the endpoint closed however it was forked. This also closes its descriptors at once, so
# that the peer sees our end and not the child's copy of it.
_open: weakref.WeakSet[Endpoint] = weakref.WeakSet()


def _after_fork_in_child() -> None:
    for endpoint in tuple(_open):
        endpoint.close()


os.register_at_fork(after_in_child=_after_fork_in_child)
