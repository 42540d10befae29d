# SPDX-License-Identifier: MIT
"""The Normal world's agent, as its machine sees it: scripts go in, statuses and outputs come back.

The protocol is at the top of worlds/normal/guest/init. What comes back is the guest's claim, and bounded.
"""

from __future__ import annotations

import base64
import itertools
import socket
import threading
from collections.abc import Callable
from dataclasses import dataclass

from isthmus.errors import ClosedError, IsthmusError

OUTPUT_MAX = 64 << 20  # bytes of output and errors of one script
_LINE_MAX = 4096


@dataclass(frozen=True, slots=True)
class Done:
    """What a script ended with."""

    status: int
    output: str
    errors: str


class Agent:
    """One connection to the agent. Any thread may ask; `serve` runs in a thread of its own until the end."""

    def __init__(self, link: socket.socket, dead: Callable[[], str]) -> None:
        """`dead` says why the machine is gone, for those who still wait."""
        self.boot_id = ""
        self.ready = threading.Event()
        self._link = link
        self._dead = dead
        self._closed = False
        self._ids = itertools.count(1)
        self._lock = threading.Lock()
        self._waiting: dict[str, _Waiting] = {}

    def run(self, script: str, timeout: float) -> Done:
        """Runs a shell script in the guest. TimeoutError after so many seconds; the script goes on then."""
        waiting = _Waiting()
        with self._lock:
            if self._closed:
                raise ClosedError(self._dead())
            key = f"s{next(self._ids)}"
            self._waiting[key] = waiting
            self._link.sendall(f"{key} {base64.b64encode(script.encode()).decode()}\n".encode())
        if not waiting.done.wait(timeout):
            with self._lock:
                self._waiting.pop(key, None)
            raise TimeoutError(f"the guest did not finish {script.splitlines()[0]!r} within {timeout:g} s")
        if waiting.result is None:
            raise ClosedError(self._dead())
        return waiting.result

    def serve(self) -> None:
        """Reads until the guest is gone; then everybody who waits is told."""
        try:
            with self._link, self._link.makefile("rb") as stream:
                while line := stream.readline(_LINE_MAX):
                    self._line(line, stream.read)
        except OSError:
            pass
        finally:
            with self._lock:
                self._closed = True
                left = list(self._waiting.values())
                self._waiting.clear()
            for waiting in left:
                waiting.done.set()
            self.ready.set()

    @property
    def closed(self) -> bool:
        """The guest is gone."""
        return self._closed

    def _line(self, line: bytes, read: Callable[[int], bytes]) -> None:
        words = line.decode(errors="replace").split()
        if len(words) == 2 and words[0] == "ready":
            self.boot_id = words[1]
            self.ready.set()
            return
        if len(words) != 4 or not all(word.isdigit() for word in words[1:]):
            raise IsthmusError(f"the guest's agent speaks another protocol: {line[:80]!r}")
        status, output, errors = (int(word) for word in words[1:])
        if output + errors > OUTPUT_MAX:
            raise IsthmusError(f"a script in the guest has {output + errors} bytes of output")
        text, complaints = (read(n).decode(errors="replace") for n in (output, errors))
        with self._lock:
            waiting = self._waiting.pop(words[0], None)
        if waiting is not None:
            waiting.result = Done(status, text, complaints)
            waiting.done.set()


class _Waiting:
    def __init__(self) -> None:
        self.done = threading.Event()
        self.result: Done | None = None
