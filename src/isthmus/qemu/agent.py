# SPDX-License-Identifier: MIT
"""The Normal world's agent, as its machine sees it: scripts go in, statuses and outputs come back.

The protocol is at the top of worlds/normal/guest/init. What comes back is the guest's claim, and bounded.
Linux may restart at any time: another agent begins then, and nobody answers what the last one was asked.
"""

from __future__ import annotations

import base64
import binascii
import itertools
import socket
import struct
import threading
from collections.abc import Callable
from dataclasses import dataclass

from isthmus.errors import ClosedError, IsthmusError, RestartedError

OUTPUT_MAX = 64 << 20  # bytes of output and errors of one script
SEND_S = 30  # for which a guest may leave unread what it is told: whoever tells it holds up the others
_LINE_MAX = OUTPUT_MAX // 3 * 4 + 4096


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
        self._link = link
        link.setsockopt(socket.SOL_SOCKET, socket.SO_SNDTIMEO, struct.pack("@ll", SEND_S, 0))
        self._dead = dead
        self._broke = ""  # how the agent broke the protocol: the machine may live on
        self._closed = False
        self._off = False
        self._ids = itertools.count(1)
        self._changed = threading.Condition()
        self._waiting: dict[str, _Waiting] = {}

    def run(self, script: str, timeout: float) -> Done:
        """Runs a shell script in the guest. TimeoutError after so many seconds; the script goes on then.
        RestartedError: Linux restarted before it ended."""
        waiting = _Waiting()
        with self._changed:
            if self._closed:
                raise ClosedError(self.why)
            if self._off:
                raise RestartedError("Linux is off")
            key = f"s{next(self._ids)}"
            self._waiting[key] = waiting
            try:
                self._say(f"{key} {base64.b64encode(script.encode()).decode()}")
            except OSError:
                raise ClosedError(self.why) from None
        first = script.splitlines()[0] if script else ""
        if not waiting.done.wait(timeout):
            with self._changed:
                self._waiting.pop(key, None)
            raise TimeoutError(f"the guest did not finish {first!r} within {timeout:g} s")
        if waiting.result is None:
            if self._closed:
                raise ClosedError(self.why)
            how = "switched itself off" if self._off else "restarted"
            raise RestartedError(f"Linux {how} before it had finished {first!r}")
        return waiting.result

    def wait_boot(self, last: str, timeout: float) -> str:
        """Waits for a boot id other than `last`, and returns it. Scripts may be run then. TimeoutError,
        ClosedError."""
        with self._changed:
            if not self._changed.wait_for(lambda: self._closed or self.boot_id != last, timeout):
                raise TimeoutError(f"Linux did not boot within {timeout:g} s")
            if self._closed:
                raise ClosedError(self.why)
            return self.boot_id

    def linux_is_off(self) -> None:
        """Nobody answers until Linux has booted again."""
        with self._changed:
            self._off = True
            self._leave_all()

    def serve(self) -> None:
        """Reads until the machine is gone; then everybody who waits is told."""
        try:
            with self._link, self._link.makefile("rb") as stream:
                try:
                    while line := stream.readline(_LINE_MAX):
                        self._line(line)
                except IsthmusError as problem:
                    self._broke = str(problem)
        except OSError:
            pass
        finally:
            with self._changed:
                self._closed = True
                self._changed.notify_all()
                self._leave_all()

    @property
    def closed(self) -> bool:
        """Nobody answers any more."""
        return self._closed

    @property
    def why(self) -> str:
        """What became of who answered."""
        return self._broke or self._dead()

    def _say(self, line: str) -> None:
        """To the guest. OSError if it is gone, or has not read for SEND_S."""
        try:
            self._link.sendall(f"{line}\n".encode())
        except BlockingIOError:
            self._broke = f"the guest's agent has not read what it was told for {SEND_S} s"
            self._link.shutdown(socket.SHUT_RDWR)  # half a line was said
            raise

    def _line(self, line: bytes) -> None:
        words = line.split()
        if len(words) == 2 and words[0] == b"ready":
            self._ready(words[1].decode(errors="replace"))
        elif len(words) == 5 and words[4] == b".":
            done = _done(words[1], words[2], words[3])
            with self._changed:
                waiting = self._waiting.pop(words[0].decode(errors="replace"), None)
            if waiting is not None:
                waiting.result = done
                waiting.done.set()
        elif words and len(line) >= _LINE_MAX:
            raise IsthmusError(f"a script in the guest has more than {OUTPUT_MAX} bytes of output")

    def _ready(self, boot_id: str) -> None:
        with self._changed:
            self._leave_all()
            self._off = False
            self.boot_id = boot_id
            self._say(f"hello {boot_id}")
            self._changed.notify_all()

    def _leave_all(self) -> None:
        for waiting in self._waiting.values():
            waiting.done.set()
        self._waiting.clear()


class _Waiting:
    def __init__(self) -> None:
        self.done = threading.Event()
        self.result: Done | None = None


def _done(status: bytes, *parts: bytes) -> Done:
    try:
        output, errors = (
            base64.b64decode(p.removeprefix(b"="), validate=True).decode(errors="replace") for p in parts
        )
        return Done(int(status), output, errors)
    except (ValueError, binascii.Error):
        raise IsthmusError(f"the guest's agent speaks another protocol: {status[:20]!r}") from None
