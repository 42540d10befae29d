# SPDX-License-Identifier: MIT
"""A command in the guest with this process's standard streams, byte by byte as they come.

streams = Streams()
with LinkedMachine(ports=streams.ports) as machine:
    streams.execute(machine, ["cat"], signals)

    fd 0, 1, 2 here == a socket pair each == QEMU == a virtio port each == fd 0, 1, 2 of the command
"""

from __future__ import annotations

import contextlib
import os
import queue
import shlex
import signal
import socket
import threading
from collections.abc import Sequence

from isthmus.build.python import INTERPRETER
from isthmus.errors import IsthmusError
from isthmus.qemu.linked import LinkedMachine

__all__ = ["Streams"]

_PID = "/run/command.pid"
_CHUNK = 1 << 16


class Streams:
    """The ends of three ports, for one machine and one command."""

    def __init__(self) -> None:
        pairs = {name: socket.socketpair() for name in ("stdin", "stdout", "stderr")}
        self._ours = {name: ours for name, (ours, _) in pairs.items()}
        self.ports = {name: theirs for name, (_, theirs) in pairs.items()}  # for the machine
        self._signals: queue.SimpleQueue[int | None] = queue.SimpleQueue()

    def execute(self, machine: LinkedMachine, argv: Sequence[str]) -> int:
        """Runs the command until it ends. Its exit status: 126 if it cannot be executed, 127 if it is not
        found, 128+n if signal n ended it."""
        threading.Thread(target=self._feed, daemon=True).start()  # waits for our input, maybe for good
        pumps = [
            threading.Thread(target=self._drain, args=(self._ours[name], fd))
            for name, fd in (("stdout", 1), ("stderr", 2))
        ]
        courier = threading.Thread(target=self._deliver, args=(machine,))
        for thread in (*pumps, courier):
            thread.start()
        line = shlex.join([INTERPRETER, "-I", "-S", "/programs/command.py", _PID, *argv])
        try:
            return machine.run(f"exec {line}", timeout=threading.TIMEOUT_MAX).status
        finally:
            self._signals.put(None)
            for ours in self._ours.values():  # what the command wrote is here already, and still read
                with contextlib.suppress(OSError):
                    ours.shutdown(socket.SHUT_RD)
            for thread in (*pumps, courier):
                thread.join()

    def signal(self, number: int) -> None:
        """Passes a signal on to the command. May be called from a signal handler."""
        self._signals.put(number)

    # ---- threads ----------------------------------------------------------------------------------------

    def _feed(self) -> None:
        with contextlib.suppress(OSError):
            while data := os.read(0, _CHUNK):
                self._ours["stdin"].sendall(data)
        with contextlib.suppress(OSError):
            self._ours["stdin"].shutdown(socket.SHUT_WR)

    def _drain(self, source: socket.socket, fd: int) -> None:
        while data := source.recv(_CHUNK):
            try:
                while data:
                    data = data[os.write(fd, data) :]
            except OSError:  # nobody reads us: the command is told as it would be here
                self.signal(signal.SIGPIPE)
                while source.recv(_CHUNK):
                    pass
                return

    def _deliver(self, machine: LinkedMachine) -> None:
        while (number := self._signals.get()) is not None:
            started = f"until [ -e {_PID} ]; do usleep 1000; done"
            with contextlib.suppress(IsthmusError, TimeoutError):
                machine.run(f"{started}; kill -{number} -$(cat {_PID})")
