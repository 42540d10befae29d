# SPDX-License-Identifier: MIT
"""The machines that one suite runs on, behind one small interface.

    host     both worlds are processes of this computer; frames reach Linux as the computer allows
    packet   the same over veth and AF_PACKET
    plain    the Secure world's stack on an ordinary interface, without a channel
    qemu     Linux and the Secure world on an emulated TrustZone machine

A test takes the fixture `machine`. It runs on host and qemu, on others where it says so (mark `also`), and on
those alone that can do what it needs (mark `needs`). machines.txt lists what a machine cannot do, and why.
"""

from __future__ import annotations

import functools
import re
import shlex
import socket
import subprocess
import tempfile
from collections.abc import Collection, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Any, Literal, Protocol, Self, cast

from guest_sockets import GuestSockets
from isthmus.board import Board
from isthmus.board import load as load_host
from isthmus.build.python import INTERPRETER
from isthmus.check.counters import snapshot
from isthmus.host import HostMachine, World
from isthmus.qemu.agent import Done
from isthmus.qemu.linked import LinkedMachine
from isthmus.trustzone.board import load as load_trustzone

HERE = Path(__file__).parent
USUAL = ("host", "qemu")
ALL = ("host", "packet", "plain", "qemu")
PORT = "/dev/vport0p2"  # the agent's is the first


class Machine(Protocol):
    """What a test may do with a machine, whichever it is."""

    name: str
    slower: int  # than this computer, on which time limits are based

    @property
    def board(self) -> Board: ...

    @property
    def real(self) -> HostMachine | LinkedMachine:
        """The machine itself."""

    @property
    def epoch(self) -> int:
        """Of the session."""

    def wait_up(self) -> int:
        """Waits until frames pass; the epoch."""

    def status(self, world: World) -> dict[str, Any]:
        """A world's own report; it does not go over the link."""

    def restart(self, world: World) -> None:
        """Ends a world's part in the channel, and does not wait for the next. On the host its process is
        killed; on qemu the driver is unloaded and loaded, or the Secure world's stack begins anew."""

    def buffer(self, world: World) -> bytes:
        """What the world's buffer holds now."""

    def command(self, *argv: object, timeout: float = 60.0) -> Done:
        """Runs a command in the Normal world; `timeout` in seconds of this computer."""

    def socket(self, family: int, kind: int, protocol: int = 0) -> socket.socket:
        """A socket of the Normal world, or what behaves like one as far as tests go."""


class Either:
    """What is alike on both."""

    real: HostMachine | LinkedMachine

    @property
    def board(self) -> Board:
        return self.real.board

    @property
    def epoch(self) -> int:
        return self.real.epoch

    def wait_up(self) -> int:
        return self.real.wait_up(10)

    def buffer(self, world: World) -> bytes:
        return snapshot(self.real, world)


class Host(Either):
    slower = 1
    real: HostMachine

    def __init__(self, name: str, changes: Sequence[str] = ()) -> None:
        self.name = name
        kind: Literal["packet", "auto"] = "packet" if name == "packet" else "auto"
        self.real = HostMachine(load_host(changes=changes), packet=kind, plain=name == "plain")

    def status(self, world: World) -> dict[str, Any]:
        return self.real.status(world, 10)

    def restart(self, world: World) -> None:
        self.real.kill(world)

    def command(self, *argv: object, timeout: float = 60.0) -> Done:
        pipe = subprocess.PIPE
        with self.real.popen([str(word) for word in argv], stdout=pipe, stderr=pipe, text=True) as process:
            try:
                output, errors = process.communicate(timeout=timeout)
            except BaseException:
                process.kill()
                raise
        return Done(process.returncode, output, errors)

    def socket(self, family: int, kind: int, protocol: int = 0) -> socket.socket:
        return self.real.socket(family, kind, protocol)

    def __enter__(self) -> Self:
        self.real.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.real.close()


class Emulated(Either):
    """Its time counts instructions: what a world gets done in it does not depend on this computer's load."""

    name = "qemu"
    slower = 8
    real: LinkedMachine

    def __init__(self, changes: Sequence[str] = ()) -> None:
        self._folder = tempfile.TemporaryDirectory(prefix="isthmus-test-")
        path = Path(self._folder.name) / "port"
        port = ("-chardev", f"socket,id=tests,path={path},server=on,wait=off")
        device = ("-device", "virtserialport,chardev=tests,name=isthmus.tests")
        files = {"programs/sockets.py": HERE / "worlds" / "sockets.py"}
        board, more = load_trustzone(changes=changes), (*port, *device)
        self.real = LinkedMachine(board, files=files, counted=True, more=more)
        self._path = path
        self._sockets: GuestSockets | None = None

    def status(self, world: World) -> dict[str, Any]:
        return self.real.status(world)

    def restart(self, world: World) -> None:
        if world == "secure":
            assert self.real.console is not None
            self.real.console.restart(60)
            return
        done = self.real.run("rmmod isthmus && insmod /modules/isthmus.ko", 60)
        assert done.status == 0, done.errors

    def command(self, *argv: object, timeout: float = 60.0) -> Done:
        return self.real.run(f"exec {shlex.join(map(str, argv))}", timeout * self.slower)

    def socket(self, family: int, kind: int, protocol: int = 0) -> socket.socket:
        assert self._sockets is not None
        return cast(socket.socket, self._sockets.socket(family, kind, protocol))

    def __enter__(self) -> Self:
        self.real.start()
        try:
            self._sockets = GuestSockets(self._path)
            serve = f"{INTERPRETER} -I -S /programs/sockets.py {PORT} </dev/null >/run/sockets 2>&1 &"
            assert self.real.run(serve).status == 0
        except BaseException:
            self.real.close()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.real.close()
        if self._sockets is not None:
            self._sockets.close()
        self._folder.cleanup()


def machine_called(name: str, changes: Sequence[str] = ()) -> Host | Emulated:
    """Its board with `changes`, each `key=value`."""
    return Emulated(changes) if name == "qemu" else Host(name, changes)


# ---- what a machine cannot do ------------------------------------------------------------------------------

LIST = HERE / "machines.txt"


@dataclass
class Capability:
    """What the host machine can and the emulated one cannot, why, and the tests that it keeps from it."""

    reason: str
    tests: list[str] = field(default_factory=list)


@functools.cache
def capabilities() -> dict[str, Capability]:
    """What machines.txt holds. ValueError: a line that it cannot hold."""
    found: dict[str, Capability] = {}
    last: Capability | None = None
    for number, line in enumerate(LIST.read_text().splitlines(), 1):
        if not line.strip() or line.startswith("#"):
            continue
        if line.startswith(" ") and last is not None:
            last.tests.append(line.strip())
        elif match := re.fullmatch(r"(\w+): (.+)", line):
            found[match[1]] = last = Capability(match[2])
        else:
            raise ValueError(f"{LIST.name}:{number}: neither a capability nor a test: {line!r}")
    return found


def fit_for(needs: Collection[str], also: Collection[str]) -> list[str]:
    """The machines that a test with these marks runs on. KeyError: a capability that the list lacks."""
    lacking = [need for need in needs if capabilities()[need]]
    return [name for name in ALL if (name in USUAL or name in also) and not (lacking and name == "qemu")]
