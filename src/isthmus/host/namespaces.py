# SPDX-License-Identifier: MIT
"""The supervisor's handle on one world's namespaces: it starts init.py, asks it for processes and sockets,
hears of exits.

All of it runs in the supervisor's event loop.
"""

from __future__ import annotations

import array
import asyncio
import contextlib
import errno
import os
import socket
import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Literal

from isthmus.errors import EnvironmentProblem

World = Literal["normal", "secure"]

HERE = Path(__file__).parent
NAMESPACES = ("user", "mnt", "net", "ipc", "pid")  # as init.py hands them over and enter.py joins them
INTERPRETER = (sys.executable, "-I", "-S")  # nothing but the standard library, whatever the environment says
_PACKET_MAX = 65536
_START_S = 20.0  # an interpreter on a machine under load
_REQUEST_S = 5.0
_END_S = 3.0

_HINTS = {
    "unshare": "user namespaces are not to be had here: ask for kernel.unprivileged_userns_clone = 1 and "
    "user.max_user_namespaces above 0, or run as root",
    "mount": "/proc cannot be mounted in a user namespace here (a container that masks it?)",
}


class Namespaces:
    """User, mount, network, PID and IPC namespaces with a PID 1 that ends with this process."""

    def __init__(self, world: World, exited: Callable[[int, int], None], lost: Callable[[], None]) -> None:
        """`exited(pid, wait status)` per spawned process; `lost()` once if PID 1 goes away by itself."""
        self.world = world
        self.fds: dict[str, int] = {}  # by the names in NAMESPACES
        self._exited = exited
        self._lost = lost
        self._link: socket.socket | None = None
        self._process: subprocess.Popen[bytes] | None = None
        self._waiting: dict[str, asyncio.Future[tuple[int, list[int]]]] = {}
        self._serial = 0

    async def start(self) -> None:
        """Makes them. EnvironmentProblem names what the kernel refused."""
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        ours.setblocking(False)
        self._link = ours
        loop = asyncio.get_running_loop()
        ready: asyncio.Future[tuple[int, list[int]]] = loop.create_future()
        self._waiting["ready"] = ready
        with theirs:
            # From this thread: the launcher's parent-death signal watches the thread that made it.
            self._process = subprocess.Popen(
                [*INTERPRETER, str(HERE / "init.py"), str(theirs.fileno()), str(os.getpid()), self.world],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                pass_fds=[theirs.fileno()],
                start_new_session=True,  # a terminal's Ctrl-C is the supervisor's to handle
            )
        loop.add_reader(ours, self._readable)
        try:
            _, fds = await asyncio.wait_for(ready, _START_S)
        except TimeoutError:
            message = f"the {self.world} world's namespaces did not come up in {_START_S:.0f} s"
            raise EnvironmentProblem(message) from None
        self.fds = dict(zip(NAMESPACES, fds, strict=True))

    async def spawn(self, argv: Sequence[str], env: Mapping[str, str], fds: Sequence[int]) -> int:
        """Starts a program; `fds` become its descriptors 0, 1, 2, ... Returns its process id inside."""
        fields = [str(len(argv)), *argv, *(f"{name}={value}" for name, value in env.items())]
        try:
            pid, _ = await self._request("spawn", *fields, fds=fds)
        except OSError as error:
            raise EnvironmentProblem(f"{argv[0]}: {error.strerror}") from None
        return pid

    async def socket(self, family: int, kind: int, protocol: int) -> socket.socket:
        """A socket of these namespaces. OSError as socket(2)."""
        _, fds = await self._request("socket", str(family), str(kind), str(protocol))
        return socket.socket(fileno=fds[0])

    def kill(self, pid: int, number: int) -> None:
        """Sends a signal to a spawned process; does nothing if it has been reaped."""
        self._send(["kill", str(pid), str(number)])

    async def close(self) -> None:
        """Ends every process inside and gives the namespaces up."""
        if self._link is not None:
            asyncio.get_running_loop().remove_reader(self._link)
            self._link.close()
            self._link = None
        if self._process is not None:
            await asyncio.to_thread(self._reap, self._process)
            self._process = None
        self.abandon()
        for waiting in self._waiting.values():
            if not waiting.done():
                waiting.set_exception(ProcessLookupError(errno.ESRCH, f"the {self.world} world is gone"))
        self._waiting.clear()

    def abandon(self) -> None:
        """Closes the descriptors and nothing more: what a forked child owes its parent."""
        if self._link is not None:
            with contextlib.suppress(OSError):
                os.close(self._link.detach())
            self._link = None
        for fd in self.fds.values():
            with contextlib.suppress(OSError):
                os.close(fd)
        self.fds = {}

    @staticmethod
    def _reap(process: subprocess.Popen[bytes]) -> None:
        try:
            process.wait(_END_S)
        except subprocess.TimeoutExpired:
            process.kill()  # its child, PID 1, dies with it
            process.wait()

    async def _request(self, kind: str, *fields: str, fds: Sequence[int] = ()) -> tuple[int, list[int]]:
        self._serial += 1
        ident = str(self._serial)
        answer: asyncio.Future[tuple[int, list[int]]] = asyncio.get_running_loop().create_future()
        self._waiting[ident] = answer
        try:
            if not self._send([kind, ident, *fields], fds):
                raise ProcessLookupError(errno.ESRCH, f"the {self.world} world is gone")
            return await asyncio.wait_for(answer, _REQUEST_S)
        finally:
            self._waiting.pop(ident, None)

    def _send(self, fields: Sequence[str], fds: Sequence[int] = ()) -> bool:
        if self._link is None:
            return False
        rights = [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", fds))] if fds else []
        try:
            self._link.sendmsg([b"\0".join(os.fsencode(f) for f in fields)], rights, socket.MSG_NOSIGNAL)
        except OSError:
            return False
        return True

    def _readable(self) -> None:
        if self._link is None:
            return
        try:
            data, fds, _, _ = socket.recv_fds(self._link, _PACKET_MAX, 16, socket.MSG_CMSG_CLOEXEC)
        except BlockingIOError:
            return
        except OSError:
            data, fds = b"", []
        with contextlib.suppress(ValueError, IndexError):  # never said by our init.py: as good as gone
            if data:
                self._packet(data.decode(errors="replace").split("\0"), fds)
                return
        asyncio.get_running_loop().remove_reader(self._link)
        ready = self._waiting.get("ready")
        if ready is not None and not ready.done():
            ready.set_exception(EnvironmentProblem(f"the {self.world} world's first process ended early"))
        self._lost()

    def _packet(self, fields: list[str], fds: list[int]) -> None:
        kind, *rest = fields
        used = False
        if kind == "exit":
            self._exited(int(rest[0]), int(rest[1]))
        elif kind == "failed":
            number = int(rest[1])
            text = _HINTS.get(rest[0], "the world's namespaces cannot be made")
            self._answer("ready", EnvironmentProblem(f"{text} ({rest[0]}: {os.strerror(number)})"))
        elif kind == "ready":
            used = self._answer("ready", (0, fds))
        elif kind == "done":
            used = self._answer(rest[0], (int(rest[1]), fds))
        elif kind == "error":
            self._answer(rest[0], OSError(int(rest[1]), os.strerror(int(rest[1]))))
        if not used:
            for fd in fds:
                os.close(fd)

    def _answer(self, ident: str, value: tuple[int, list[int]] | Exception) -> bool:
        waiting = self._waiting.get(ident)
        if waiting is None or waiting.done():
            return False
        if isinstance(value, Exception):
            waiting.set_exception(value)
        else:
            waiting.set_result(value)
        return True
