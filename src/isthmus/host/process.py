# SPDX-License-Identifier: MIT
"""One world's process as its supervisor sees it: the control socket, the buffer it offers, its link state.

Everything that comes over the control socket is a claim of the world's and is checked before it is used: a
world may be taken over, its supervisor must not be.
"""

from __future__ import annotations

import asyncio
import contextlib
import fcntl
import itertools
import os
import signal
import socket
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import msgspec

from isthmus.errors import PeerDead
from isthmus.host import control
from isthmus.host.control import Message, State, Type
from isthmus.host.namespaces import Namespaces

# SEAL, SHRINK, GROW, FUTURE_WRITE: IST_SEALS of host/link.h.
SEALS = fcntl.F_SEAL_SEAL | fcntl.F_SEAL_SHRINK | fcntl.F_SEAL_GROW | 0x0010
ERROR_MAX = 4095  # the largest errno; verdicts are fewer
EXIT_S = 0.05  # between the end of the control socket and the end of the process
CONTROL_FD = 3  # behind standard input, output and error


class WorldProcess:
    """A started program of a world, until it is gone."""

    def __init__(
        self, namespaces: Namespaces, buffer_bytes: int, heard: Callable[[WorldProcess, Message], None]
    ) -> None:
        """`heard` gets every valid HELLO, ATTACHED, REFUSED and STATE. `buffer_bytes`: what HELLO must
        offer."""
        self.namespaces = namespaces
        self.buffer_bytes = buffer_bytes
        self.inner_pid = 0  # as its PID 1 sees it
        self.pid = 0  # as we see it; known with HELLO
        self.buffer = -1  # its memfd
        self.state = State.RESET
        self.attached = 0  # epoch that it confirmed
        self.died_of = ""
        self._killed = False
        self._heard = heard
        self._link: socket.socket | None = None
        self._status: dict[int, asyncio.Future[dict[str, Any]]] = {}
        self._serial = itertools.count(1)

    async def start(
        self, argv: Sequence[str], env: Mapping[str, str], output: int, extra: Sequence[int] = ()
    ) -> None:
        """Starts the program: standard input empty, `output` for both output streams, then control socket and
        extras."""
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        ours.setblocking(False)
        ours.setsockopt(socket.SOL_SOCKET, socket.SO_PASSCRED, 1)  # the kernel tells us its process id
        self._link = ours
        null = os.open(os.devnull, os.O_RDONLY | os.O_CLOEXEC)
        try:
            with theirs:
                self.inner_pid = await self.namespaces.spawn(
                    argv, env, [null, output, output, theirs.fileno(), *extra]
                )
        finally:
            os.close(null)
        if self._killed:  # while nobody knew its number
            self.kill()
        if self._link is not None:  # closed while we waited
            asyncio.get_running_loop().add_reader(ours, self._readable)

    @property
    def alive(self) -> bool:
        return self._link is not None

    @property
    def ready(self) -> bool:
        """It has offered its buffer and waits to be attached."""
        return self.alive and self.buffer >= 0

    def send(self, message: Message, fds: tuple[int, ...] = ()) -> bool:
        """Without waiting. False: it is gone, or does not read."""
        return self._link is not None and control.send(self._link, message, fds)

    def kill(self) -> None:
        """SIGKILL, to one that is just starting as soon as it can be named. Its exit is then reported by its
        PID 1."""
        self._killed = True
        if self.inner_pid:
            self.namespaces.kill(self.inner_pid, signal.SIGKILL)

    async def status(self, timeout: float) -> dict[str, Any]:
        """Asks it for its report. PeerDead if it does not answer."""
        serial = next(self._serial)
        answer: asyncio.Future[dict[str, Any]] = asyncio.get_running_loop().create_future()
        self._status[serial] = answer
        try:
            if not self.send(Message(Type.STATUS, value=serial)):
                raise PeerDead(f"the {self.namespaces.world} world is not there to report")
            return await asyncio.wait_for(answer, timeout)
        except TimeoutError:
            raise PeerDead(f"the {self.namespaces.world} world did not report within {timeout:g} s") from None
        finally:
            self._status.pop(serial, None)

    def close(self) -> None:
        """Forgets it: control socket and buffer are closed, waiting calls end with PeerDead."""
        if self._link is not None:
            asyncio.get_running_loop().remove_reader(self._link)
        self.abandon()
        for answer in self._status.values():
            if not answer.done():
                answer.set_exception(PeerDead(f"the {self.namespaces.world} world died"))

    def abandon(self) -> None:
        """Closes the descriptors and nothing more: what a forked child owes its parent."""
        with contextlib.suppress(OSError):
            if self._link is not None:
                os.close(self._link.detach())
        self._link = None
        with contextlib.suppress(OSError):
            if self.buffer >= 0:
                os.close(self.buffer)
        self.buffer = -1

    def _readable(self) -> None:
        if self._link is None:
            return
        try:
            data, fds, pid = control.receive(self._link)
        except BlockingIOError:
            return
        except OSError:
            data, fds, pid = b"", [], 0
        try:
            if not data:  # it is exiting, or closed the socket to be rid of us: either way it is done
                loop = asyncio.get_running_loop()
                loop.remove_reader(self._link)
                loop.call_later(EXIT_S, self.kill)  # its PID 1 reports the exit, and how it came about
                return
            self._message(Message.decode(data), fds, pid)
        except ValueError as problem:
            self.died_of = self.died_of or f"broke the control protocol: {problem}"
            self.kill()
        finally:
            for fd in fds:
                os.close(fd)

    def _message(self, m: Message, fds: list[int], pid: int) -> None:
        if m.type == Type.HELLO:
            self._hello(m, fds, pid)
        elif m.type == Type.ATTACHED:
            self.attached = m.epoch
            self.state = State.INIT
        elif m.type == Type.STATE:
            if m.epoch != self.attached:
                return  # said before it read our last ATTACH
            self.state = State(m.value)
        elif m.type == Type.STATUS_REPLY:
            self._status_reply(m)
            return
        elif m.type == Type.REFUSED and not -ERROR_MAX <= m.value <= ERROR_MAX:
            raise ValueError(f"{m.value} is no reason to refuse")
        elif m.type != Type.REFUSED:
            raise ValueError(f"unexpected message {m.type}")
        self._heard(self, m)

    def _hello(self, m: Message, fds: list[int], pid: int) -> None:
        if self.buffer >= 0 or len(fds) != 1:
            raise ValueError("HELLO wants one descriptor, once")
        size = os.fstat(fds[0]).st_size
        if m.value != size or size != self.buffer_bytes:
            raise ValueError(f"a buffer of {size} bytes, not the board's {self.buffer_bytes}")
        try:
            seals = fcntl.fcntl(fds[0], fcntl.F_GET_SEALS)
        except OSError:
            seals = 0
        if seals & SEALS != SEALS:
            raise ValueError("a buffer that is not a sealed memfd")
        self.buffer = fds.pop()
        self.pid = pid

    def _status_reply(self, m: Message) -> None:
        answer = self._status.get(m.value)
        if answer is None or answer.done():
            return
        try:
            answer.set_result(msgspec.json.decode(m.text, type=dict[str, Any]))
        except (msgspec.DecodeError, RecursionError) as problem:
            message = f"the {self.namespaces.world} world's report is not JSON: {problem}"
            answer.set_exception(PeerDead(message))
