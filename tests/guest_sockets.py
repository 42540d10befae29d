# SPDX-License-Identifier: MIT
"""Sockets of an emulated machine's Normal world, used from outside like one's own (see worlds/sockets.py)."""

from __future__ import annotations

import itertools
import marshal
import socket
import threading
from collections.abc import Callable
from pathlib import Path
from queue import SimpleQueue
from typing import Any, Self

from worlds.sockets import LENGTH, RESULT, SOCKET, TIMED_OUT, VERSION

ANSWER_S = 120.0  # far beyond any time limit that a test gives a socket


class GuestSockets:
    """The port to the guest's program, which listens at `path`."""

    def __init__(self, path: Path) -> None:
        self._link = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self._link.connect(str(path))
        self._lock = threading.Lock()
        self._ids = itertools.count()
        self._waiting: dict[int, SimpleQueue[tuple[int, Any]]] = {}
        self._thread = threading.Thread(target=self._read, daemon=True)
        self._thread.start()

    def socket(self, family: int, kind: int, protocol: int = 0) -> GuestSocket:
        return GuestSocket(self, self.call(0, "socket", int(family), int(kind), protocol))

    def call(self, number: int, method: str, *arguments: Any) -> Any:
        """What socket.socket's method returns or raises; for a new socket its number."""
        answer: SimpleQueue[tuple[int, Any]] = SimpleQueue()
        with self._lock:
            ident = next(self._ids)
            self._waiting[ident] = answer
            request = marshal.dumps((ident, number, method, arguments), VERSION)
            self._link.sendall(LENGTH.pack(len(request)) + request)
        kind, value = answer.get(timeout=ANSWER_S)
        if kind in (RESULT, SOCKET):
            return value
        if kind == TIMED_OUT:
            raise TimeoutError(value)
        raise OSError(*value)

    def close(self) -> None:
        self._link.shutdown(socket.SHUT_RDWR)
        self._thread.join()
        self._link.close()

    def _read(self) -> None:
        with self._link.makefile("rb") as stream:
            while len(head := stream.read(LENGTH.size)) == LENGTH.size:
                ident, kind, value = marshal.loads(stream.read(*LENGTH.unpack(head)))
                self._waiting.pop(ident).put((kind, value))


class GuestSocket:
    """A socket.socket as far as tests use one; what is not here has the same name there."""

    def __init__(self, port: GuestSockets, number: int) -> None:
        self._port, self._number = port, number

    def __getattr__(self, method: str) -> Callable[..., Any]:
        return lambda *arguments: self._port.call(self._number, method, *arguments)

    def send(self, data: bytes | bytearray | memoryview) -> int:
        return int(self._port.call(self._number, "send", bytes(data)))

    def sendall(self, data: bytes | bytearray | memoryview) -> None:
        self._port.call(self._number, "sendall", bytes(data))

    def accept(self) -> tuple[GuestSocket, None]:
        return GuestSocket(self._port, self._port.call(self._number, "accept")), None

    def close(self) -> None:
        if self._number:
            self._port.call(self._number, "close")
            self._number = 0

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()
