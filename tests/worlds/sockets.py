# SPDX-License-Identifier: MIT
"""Sockets of an emulated machine's Normal world, held here for tests outside it: `sockets.py PORT`.

PORT is a character device. A request is (id, socket, method, arguments), an answer (id, kind, value), each
marshalled, after its length. Method "socket" opens one, "close" forgets it. A call that may have to wait gets
a thread of its own, so that a socket may be read and written at the same time.
"""

from __future__ import annotations

import marshal
import os
import select
import socket
import struct
import sys
import threading
from collections.abc import Iterator
from typing import Any

VERSION = 2  # of marshal: the newest that every Python reads
LENGTH = struct.Struct("<I")
RESULT, SOCKET, TIMED_OUT, REFUSED = range(4)
AT_ONCE = (
    *("socket", "close", "bind", "listen", "connect_ex", "getsockname"),
    *("settimeout", "setblocking", "setsockopt"),
)
SHORT = 4096  # bytes that a writable socket takes


class Sockets:
    def __init__(self, port: int) -> None:
        self.port = port
        self.lock = threading.Lock()
        self.open: dict[int, socket.socket] = {}
        self.next = 1

    def keep(self, sock: socket.socket) -> int:
        with self.lock:
            number, self.next = self.next, self.next + 1
            self.open[number] = sock
        return number

    def call(self, number: int, method: str, arguments: tuple[Any, ...]) -> tuple[int, Any]:
        try:
            if method == "socket":
                return SOCKET, self.keep(socket.socket(*arguments))
            if method == "close":
                self.open.pop(number).close()
                return RESULT, None
            result = getattr(self.open[number], method)(*arguments)
        except TimeoutError:
            return TIMED_OUT, method
        except OSError as problem:
            return REFUSED, (problem.errno, problem.strerror)
        if method == "accept":
            return SOCKET, self.keep(result[0])
        return RESULT, result

    def may_wait(self, number: int, method: str, arguments: tuple[Any, ...]) -> bool:
        if method in AT_ONCE or self.open[number].gettimeout() == 0:
            return False
        sending = method.startswith("send")
        if method == "connect" or (sending and len(arguments[0]) > SHORT):
            return True
        watched = [self.open[number]]
        return not any(select.select([] if sending else watched, watched if sending else [], [], 0))

    def serve(self, ident: int, *request: Any) -> None:
        answer = marshal.dumps((ident, *self.call(*request)), VERSION)
        left = memoryview(LENGTH.pack(len(answer)) + answer)
        with self.lock:
            while left:
                left = left[os.write(self.port, left) :]


def requests(port: int) -> Iterator[tuple[Any, ...]]:
    pending = b""
    while True:
        while len(pending) < LENGTH.size or len(pending) < LENGTH.size + LENGTH.unpack_from(pending)[0]:
            part = os.read(port, 1 << 17)
            if not part:
                return
            pending += part
        (length,) = LENGTH.unpack_from(pending)
        yield marshal.loads(pending[LENGTH.size : LENGTH.size + length])
        pending = pending[LENGTH.size + length :]


def main(path: str) -> None:
    port = os.open(path, os.O_RDWR)
    sockets = Sockets(port)
    for ident, *request in requests(port):
        if sockets.may_wait(*request):
            threading.Thread(target=sockets.serve, args=(ident, *request), daemon=True).start()
        else:
            sockets.serve(ident, *request)


if __name__ == "__main__":
    main(sys.argv[1])
