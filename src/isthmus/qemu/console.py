# SPDX-License-Identifier: MIT
"""The Secure world's serial line, seen from outside: what it says, and what it may be asked for.

The commands are in worlds/secure/runtime/orders.h. Linux has no part in this: the line is a secure device.
"""

from __future__ import annotations

import contextlib
import queue
import socket
import threading
from collections.abc import Callable, Iterator
from typing import Any

import msgspec

from isthmus.errors import ClosedError
from isthmus.host.control import Fault

__all__ = ["Console"]

_FAULTS: dict[Fault, bytes] = {"overrun": b"c", "hunger": b"h"}

_OFF = b"isthmus: Linux is off"
_PENDING_MAX = 1 << 16  # bytes of a line that has no end


class Console:
    """Reads the line in a thread of its own until the machine is gone: nobody waits for it."""

    def __init__(self, line: socket.socket, linux_is_off: Callable[[], None]) -> None:
        """`linux_is_off` is called by the thread that reads, when the Secure world says so."""
        self._line = line
        self._linux_is_off = linux_is_off
        self._lock = threading.Lock()
        self._answers: queue.Queue[bytes | None] = queue.Queue()
        self._thread = threading.Thread(target=self._read, name="isthmus-console", daemon=True)
        self._thread.start()

    def status(self, timeout: float = 10.0) -> dict[str, Any]:
        """The Secure world's status, which does not come over the channel. TimeoutError, ClosedError."""
        return self._object(b"s", timeout, "its status")

    def restart(self, timeout: float = 10.0) -> None:
        """Has the Secure world's channel and stack begin anew; returns when they have."""
        self._ask(b"r", b"isthmus: channel and stack begin anew", timeout, "a restart of its stack")

    def record(self, timeout: float = 10.0) -> Iterator[dict[str, Any]]:
        """The control task's periods since the last call, line by line, as worlds/secure/apps/record.h has
        them. TimeoutError, ClosedError."""
        while True:
            line = self._object(b"t", timeout, "the control task's record")
            yield line
            if line["first"] + len(line["periods"]) // 4 >= line["written"]:
                return

    def ends(self, timeout: float = 10.0) -> Iterator[dict[str, Any]]:
        """The ends of the other tasks' periods since the last call, line by line, likewise."""
        while True:
            yield (line := self._object(b"e", timeout, "the ends of its tasks"))
            if not line["left"]:
                return

    def restart_linux(self, timeout: float = 10.0) -> None:
        """Has the Secure world restart Linux, wherever it stands, or from off; returns when it begins."""
        self._ask(b"l", b"isthmus: Linux restarts", timeout, "a restart of Linux")

    def power_off(self, timeout: float = 10.0) -> None:
        """Has the Secure world switch the machine off; returns when it is gone."""
        with contextlib.suppress(ClosedError):
            self._ask(b"o", b"\n", timeout, "the machine to be switched off")

    def inject(self, fault: Fault) -> None:
        """Fault injection: the task above overruns once, or its watchdog is not fed any more. No answer."""
        with self._lock:
            self._say(_FAULTS[fault])

    def close(self) -> None:
        """Idempotent."""
        with contextlib.suppress(OSError):
            self._line.shutdown(socket.SHUT_RDWR)
        self._thread.join()

    def _object(self, command: bytes, timeout: float, what: str) -> dict[str, Any]:
        answer = self._ask(command, b"{", timeout, what)
        try:
            return msgspec.json.decode(answer, type=dict[str, Any])
        except msgspec.DecodeError as problem:
            raise ClosedError(f"asked for {what}, the Secure world says no JSON: {problem}") from None

    def _ask(self, command: bytes, begin: bytes, timeout: float, what: str) -> bytes:
        with self._lock:
            while not self._answers.empty():
                self._answers.get_nowait()
            self._say(command)
            while True:
                try:
                    answer = self._answers.get(timeout=timeout)
                except queue.Empty:
                    text = f"the Secure world did not answer within {timeout:g} s when asked for {what}"
                    raise TimeoutError(text) from None
                if answer is None:
                    raise ClosedError("the machine is gone")
                if answer.startswith(begin):
                    return answer

    def _say(self, command: bytes) -> None:
        try:
            self._line.sendall(command)
        except OSError:
            raise ClosedError("the machine is gone") from None

    def _read(self) -> None:
        pending = b""
        with self._line, contextlib.suppress(OSError):
            while data := self._line.recv(4096):
                *lines, pending = (pending + data).split(b"\n")
                pending = pending[-_PENDING_MAX:]
                for line in lines:
                    if line.strip() == _OFF:
                        self._linux_is_off()
                    self._answers.put(line.strip())
        self._answers.put(None)
