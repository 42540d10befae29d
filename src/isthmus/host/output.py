# SPDX-License-Identifier: MIT
"""What a world says on its standard error: lines for the supervisor, and no more than it can bear."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable

from isthmus.printable import printable

__all__ = ["BYTES", "LINES", "Output"]

BYTES, LINES, PAUSE_S = 1 << 16, 32, 0.1  # a pipe's content
_LINE_MOST = 4096  # bytes


class Output:
    """A pipe that collects a world's messages, line by line.

    A world that writes without pause is heard for a pipe's content every PAUSE_S, and of that for the
    last LINES lines: it cannot hold the supervisor."""

    def __init__(self, sink: Callable[[str], None]) -> None:
        self.read, self.write = os.pipe2(os.O_CLOEXEC | os.O_NONBLOCK)
        os.set_blocking(self.write, True)
        self._sink = sink
        self._partial = b""
        self._pause: asyncio.TimerHandle | None = None
        self._listen()

    def _listen(self) -> None:
        self._pause = None
        asyncio.get_running_loop().add_reader(self.read, self._readable)

    def _readable(self) -> None:
        self.drain()
        loop = asyncio.get_running_loop()
        loop.remove_reader(self.read)
        self._pause = loop.call_later(PAUSE_S, self._listen)

    def drain(self) -> None:
        """Hears what is in the pipe."""
        try:
            data = os.read(self.read, BYTES)
        except BlockingIOError:
            return
        *lines, self._partial = (self._partial + data).split(b"\n")
        self._partial = self._partial[-_LINE_MOST:]
        if len(lines) > LINES:
            self._sink(f"{len(lines) - LINES} lines more")
        for line in lines[-LINES:]:
            self._sink(printable(line[-_LINE_MOST:].decode(errors="replace")))

    def close(self) -> None:
        if self._pause is not None:
            self._pause.cancel()
        asyncio.get_running_loop().remove_reader(self.read)
        os.close(self.read)
        os.close(self.write)
