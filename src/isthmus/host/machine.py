# SPDX-License-Identifier: MIT
"""The host machine: both worlds as processes on one Linux machine, and the supervisor that is their monitor.

    with HostMachine() as machine:                      # both worlds up, interface configured, frames pass
        machine.run(["ping", "-c1", "10.77.0.2"])       # a program in the Normal world
        machine.kill("normal")                          # kill -9 of its frame pump
        machine.wait_up()                               # ... and the link is back
"""

from __future__ import annotations

import socket
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from types import TracebackType
from typing import IO, Any, Literal, Self

from isthmus.board import Board

World = Literal["normal", "secure"]


@dataclass(frozen=True, slots=True)
class Event:
    """Something that happened to the machine. `time` is time.monotonic()."""

    time: float
    world: World | None  # None: the machine as a whole
    what: str  # "started", "exited", "refused", "attached", "state", "up", "down", "output"
    detail: str


@dataclass(frozen=True, slots=True)
class Restart:
    """A world died and came back. `seconds`: from the kernel's report of its death until both worlds were in RUN."""

    world: World
    cause: str  # "SIGKILL", "exit status 1", "link DEAD: HEAD_RANGE", ...
    time: float  # time.monotonic() of the death
    seconds: float
    epoch: int  # the new one


class HostMachine:
    """Both worlds of a board on this machine. A context manager; every method may be called from any thread.

    board    the board, or None for boards/host.toml
    packet   how frames reach the Linux stack: "tap", "packet" (veth and AF_PACKET), or "auto": TAP where
             /dev/net/tun may be opened
    plain    no channel and no pump: the Secure world's stack sits directly on the interface (the baseline that
             `check` and `bench` compare with). wait_up, kill("normal") and status("normal") then make no sense.

    Raises ConfigError for a board that cannot work and EnvironmentProblem where this machine lacks something.
    """

    def __init__(
        self,
        board: Board | None = None,
        *,
        packet: Literal["auto", "tap", "packet"] = "auto",
        plain: bool = False,
    ) -> None: ...

    def start(self, timeout: float = 10.0) -> None:
        """Builds what is missing, starts both worlds and waits until frames pass (plain: until the stack runs).
        Raises EnvironmentProblem naming the step that failed; nothing is left behind then."""

    def close(self) -> None:
        """Takes everything down: worlds, namespaces, interface. Idempotent, at most a second or two."""

    def __enter__(self) -> Self: ...  # start()
    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, tb: TracebackType | None) -> None: ...

    # ---- the link ------------------------------------------------------------------------------------------

    def wait_up(self, timeout: float = 5.0) -> int:
        """Waits until both worlds are in RUN in the same epoch; returns that epoch. LinkDown, with the reason, on timeout."""

    @property
    def up(self) -> bool:
        """Both worlds are in RUN."""

    @property
    def epoch(self) -> int:
        """The current epoch, 64 bit, random; 0 before the first."""

    @property
    def interface_kind(self) -> Literal["tap", "packet"]:
        """What `packet` became."""

    # ---- the worlds ----------------------------------------------------------------------------------------

    def status(self, world: World, timeout: float = 1.0) -> dict[str, Any]:
        """The world's own report, as in host/control.h's STATUS_REPLY, decoded. PeerDead if it does not answer."""

    def kill(self, world: World) -> None:
        """SIGKILL to the frame pump (normal) or to the secure process. Returns once the kernel has reported its death,
        so that a following wait_up() waits for the new session. Programs in the Normal world live on."""

    def pid(self, world: World) -> int:
        """Process id of the pump or of the secure process, as the caller sees it."""

    def buffer(self, world: World) -> int:
        """A new descriptor of the world's current buffer (a sealed memfd: it can be mapped for reading only). The
        caller closes it. For attacks and inspection."""

    def stall(self, us: int) -> None:
        """Fault injection: the secure world burns `us` microseconds of processor time in its next receive step."""

    # ---- programs in the Normal world ------------------------------------------------------------------------

    def run(
        self,
        argv: Sequence[str],
        *,
        env: Mapping[str, str] | None = None,
        cwd: str | None = None,
        timeout: float | None = None,
    ) -> int:
        """Runs a command in the Normal world with the caller's standard streams. Returns its exit status as env(1)
        does: 126 if it cannot be executed, 127 if it is not found, 128+n if signal n ended it."""

    def popen(
        self,
        argv: Sequence[str],
        *,
        stdin: int | IO[Any] | None = None,
        stdout: int | IO[Any] | None = None,
        stderr: int | IO[Any] | None = None,
        env: Mapping[str, str] | None = None,
        cwd: str | None = None,
        pass_fds: Sequence[int] = (),
        text: bool = False,
    ) -> subprocess.Popen[Any]:
        """The same as a subprocess.Popen; its returncode is as run()'s result. Killing it kills the command."""

    def socket(self, family: int, kind: int, protocol: int = 0) -> socket.socket:
        """A socket of the Normal world, usable here: what the calling process sends through it leaves by ist0. Raw and
        packet sockets too, also for an ordinary user."""

    # ---- what happened -----------------------------------------------------------------------------------------

    @property
    def events(self) -> list[Event]:
        """The last 1,000 or so events, oldest first (a copy)."""

    @property
    def restarts(self) -> list[Restart]:
        """Every restart that is complete, oldest first (a copy)."""
