# SPDX-License-Identifier: MIT
"""The supervisor's handle on interface.py, which makes the Normal world's interface from inside its
namespaces."""

from __future__ import annotations

import array
import asyncio
import json
import os
import socket
import subprocess
import sys
from typing import Any, Literal

from isthmus.errors import EnvironmentProblem
from isthmus.host.namespaces import HERE

LIMIT_S = 20.0  # an interpreter with a netlink library, on a machine under load


class InterfaceMaker:
    """One run of interface.py. Started early, it is ready by the time the namespaces are."""

    def __init__(self) -> None:
        self._link: socket.socket | None = None
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Starts the program, which then waits for make(); it ends with us if that never comes."""
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        ours.setblocking(False)
        self._link = ours
        with theirs:
            self._process = subprocess.Popen(
                [sys.executable, "-P", str(HERE / "interface.py"), str(theirs.fileno())],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
                pass_fds=(theirs.fileno(),),
                start_new_session=True,
            )

    async def make(
        self, namespaces: tuple[int, int], wanted: dict[str, Any]
    ) -> tuple[Literal["tap", "packet"], int]:
        """The interface in the given user and network namespaces: its kind and packet descriptor, the
        caller's to close. EnvironmentProblem names what the kernel refused."""
        if self._link is None:
            self.start()
        assert self._link is not None
        rights = [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", namespaces))]
        try:
            self._link.sendmsg([json.dumps(wanted).encode()], rights, socket.MSG_NOSIGNAL)
            await asyncio.wait_for(self._readable(self._link), LIMIT_S)
            data, fds, _, _ = socket.recv_fds(self._link, 4096, 1, socket.MSG_CMSG_CLOEXEC)
        except (OSError, TimeoutError) as problem:
            data, fds = json.dumps({"error": str(problem) or "out of time"}).encode(), []
        await self.close()
        answer = json.loads(data) if data else {"error": "its program ended without a word"}
        if "error" in answer or len(fds) != 1:
            raise EnvironmentProblem(f"the interface {wanted['name']} cannot be made: {answer.get('error')}")
        return ("tap" if answer["kind"] == "tap" else "packet"), fds[0]

    async def close(self) -> None:
        """Ends the program, if it still runs."""
        if self._link is not None:
            self._link.close()
            self._link = None
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            self._process = None

    def abandon(self) -> None:
        """Closes the descriptor and nothing more: what a forked child owes its parent."""
        if self._link is not None:
            os.close(self._link.detach())

    @staticmethod
    async def _readable(link: socket.socket) -> None:
        loop = asyncio.get_running_loop()
        ready = asyncio.Event()
        loop.add_reader(link, ready.set)
        try:
            await ready.wait()
        finally:
            loop.remove_reader(link)
