# SPDX-License-Identifier: MIT
"""The host machine: both worlds as processes on one Linux machine, and the supervisor that is their monitor.

with HostMachine() as machine:                      # both worlds up, interface configured, frames pass
    machine.run(["ping", "-c1", "10.77.0.2"])       # a program in the Normal world
    machine.kill("normal")                          # kill -9 of its frame pump
    machine.wait_up()                               # ... and the link is back
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import socket
import subprocess
import threading
import weakref
from collections.abc import Coroutine, Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import IO, Any, Literal, Self, TypeVar

from isthmus import build
from isthmus.board import Board, load
from isthmus.errors import ClosedError
from isthmus.host.control import Fault
from isthmus.host.namespaces import HERE, INTERPRETER, World
from isthmus.host.pump import frame_pump
from isthmus.host.supervisor import Event, Restart, Supervisor
from isthmus.host.waiting import run_in

T = TypeVar("T")

_machines: weakref.WeakSet[HostMachine] = weakref.WeakSet()


class HostMachine:
    """Both worlds of a board on this machine. A context manager; every method may be called from any thread.

    board     the board, or None for boards/host.toml
    packet    how frames reach the Linux stack: "tap", "packet" (veth and AF_PACKET), or "auto": TAP where
              /dev/net/tun may be opened
    plain     no channel and no pump: the Secure world's stack sits directly on the interface (the baseline
              that `check` and `bench` compare with). There is no pump to ask or kill then.
    bare_timer  the Secure world measures a bare timer beside its critical task (status: "bare_timer_us")
    programs  other programs than the package's own for a world (tests)

    Raises ConfigError for a board that cannot work and EnvironmentProblem where this machine lacks something.
    After a fork the child's machine is closed.
    """

    def __init__(
        self,
        board: Board | None = None,
        *,
        packet: Literal["auto", "tap", "packet"] = "auto",
        plain: bool = False,
        bare_timer: bool = False,
        programs: Mapping[World, Path] | None = None,
    ) -> None:
        self.board = board if board is not None else load()
        self._packet: Literal["auto", "tap", "packet"] = packet
        self._plain = plain
        self._bare_timer = bare_timer
        self._programs = dict(programs or {})
        self._whole = 0
        self._loop: asyncio.AbstractEventLoop | None = None
        self._thread: threading.Thread | None = None
        self._supervisor: Supervisor | None = None

    def start(self, timeout: float = 20.0) -> None:
        """Builds what is missing, starts both worlds and waits until frames pass (plain: until the stack is
        started). Raises EnvironmentProblem naming the step that failed; nothing is left behind then."""
        if self._thread is not None:
            raise ClosedError("this machine was started before")
        if "secure" not in self._programs:
            self._whole = self.board.whole_segments  # another world may have no buffers for these
            self._programs["secure"] = build.secure_world()
        if "normal" not in self._programs:
            self._programs["normal"] = frame_pump()
        self._loop = asyncio.new_event_loop()
        # The one thread that starts every process: their parent-death signal is this thread's death.
        self._thread = threading.Thread(target=self._loop.run_forever, name="isthmus-supervisor", daemon=True)
        self._thread.start()
        _machines.add(self)
        try:
            self._supervisor = self._wait(self._make())
            self._wait(self._supervisor.start(timeout))
        except BaseException:
            self.close()
            raise

    def close(self) -> None:
        """Takes everything down: worlds, namespaces, interface, and every program that still runs there.
        Idempotent."""
        loop, thread = self._loop, self._thread
        if loop is None or thread is None:
            return
        self._loop = None
        _machines.discard(self)
        try:
            if self._supervisor is not None:
                run_in(loop, self._supervisor.close())
        finally:
            loop.call_soon_threadsafe(loop.stop)
            thread.join()
            with contextlib.suppress(RuntimeError):
                loop.run_until_complete(_end_tasks(loop))
                loop.run_until_complete(loop.shutdown_default_executor())
            loop.close()

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    # ---- the link ---------------------------------------------------------------------------------------

    def wait_up(self, timeout: float = 5.0) -> int:
        """Waits until both worlds are in RUN in the same epoch; returns that epoch. LinkDown, with the
        reason, on timeout."""
        return self._wait(self._live.wait_up(timeout))

    @property
    def up(self) -> bool:
        """Both worlds are in RUN."""
        return self._live.up.is_set()

    @property
    def epoch(self) -> int:
        """The current epoch, 64 bit, random; 0 before the first."""
        return self._live.epoch

    @property
    def interface_kind(self) -> Literal["tap", "packet"]:
        """What `packet` became."""
        return self._live.packet_kind

    # ---- the worlds -------------------------------------------------------------------------------------

    def status(self, world: World, timeout: float = 5.0) -> dict[str, Any]:
        """The world's own report, as in host/control.h's STATUS_REPLY, decoded. PeerDead if it does not
        answer."""
        return self._wait(self._live.status(world, timeout))

    def kill(self, world: World) -> None:
        """SIGKILL to the frame pump (normal) or to the secure process. Returns once the kernel has reported
        its death, so that a following wait_up() waits for the new session. Programs in the Normal world live
        on."""
        self._wait(self._live.kill(world))

    def pid(self, world: World) -> int:
        """Process id of the pump or of the secure process, as the caller sees it. PeerDead while it is
        restarted."""
        return self._live.process(world).pid

    def buffer(self, world: World) -> int:
        """A new descriptor of the world's current buffer: a sealed memfd, to be mapped for reading only. The
        caller closes it. For attacks and inspection."""
        return self._wait(self._buffer(world))

    def stall(self, us: int) -> None:
        """Fault injection: the secure world burns `us` microseconds of processor time in its next receive
        step."""
        self._wait(self._stall(us))

    def inject(self, fault: Fault) -> None:
        """Fault injection: the secure world's task above overruns once, or its watchdog is not fed any
        more."""
        self._wait(self._inject(fault))

    # ---- programs in the Normal world -------------------------------------------------------------------

    def run(
        self,
        argv: Sequence[str],
        *,
        env: Mapping[str, str] | None = None,
        cwd: str | None = None,
        timeout: float | None = None,
    ) -> int:
        """Runs a command in the Normal world with the caller's standard streams. Returns its exit status as
        env(1) does: 126 if it cannot be executed, 127 if it is not found, 128+n if signal n ended it. After
        `timeout` seconds it is killed and subprocess.TimeoutExpired raised."""
        with self.popen(argv, env=env, cwd=cwd) as process:
            try:
                return process.wait(timeout)
            except BaseException:
                process.kill()
                raise

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
        """The same as a subprocess.Popen; its returncode is as run()'s result. Killing it kills the
        command."""
        namespaces = self._wait(self._namespace_fds())
        mask = signal.pthread_sigmask(signal.SIG_BLOCK, (signal.SIGINT, signal.SIGTERM, signal.SIGHUP))
        try:
            return subprocess.Popen(
                [*INTERPRETER, str(HERE / "enter.py"), ",".join(map(str, namespaces)), cwd or ".", *argv],
                stdin=stdin,
                stdout=stdout,
                stderr=stderr,
                env=env,
                pass_fds=(*namespaces, *pass_fds),
                text=text,
            )
        finally:
            signal.pthread_sigmask(signal.SIG_SETMASK, mask)
            for fd in namespaces:
                os.close(fd)

    def socket(self, family: int, kind: int, protocol: int = 0) -> socket.socket:
        """A socket of the Normal world, usable here: what the calling process sends through it leaves by
        ist0. Raw and packet sockets too, also for an ordinary user."""
        return self._wait(self._live.socket(family, kind, protocol))

    # ---- what happened ----------------------------------------------------------------------------------

    @property
    def events(self) -> list[Event]:
        """The last 1,000 or so events, oldest first (a copy). Kept when the machine is closed."""
        return list(self._supervisor.events) if self._supervisor is not None else []

    @property
    def restarts(self) -> list[Restart]:
        """Every restart that is complete, oldest first (a copy). Kept when the machine is closed."""
        return list(self._supervisor.restarts) if self._supervisor is not None else []

    # ---- between the caller's threads and the supervisor's ----------------------------------------------

    @property
    def _live(self) -> Supervisor:
        if self._supervisor is None or self._loop is None:
            raise ClosedError("this machine is not running")
        return self._supervisor

    def _wait(self, work: Coroutine[Any, Any, T]) -> T:
        if self._loop is None:
            work.close()
            raise ClosedError("this machine is not running")
        return run_in(self._loop, work)

    async def _make(self) -> Supervisor:
        return Supervisor(
            self.board, self._programs, self._packet, self._plain, self._bare_timer, self._whole
        )

    async def _buffer(self, world: World) -> int:
        return os.dup(self._live.process(world).buffer)

    async def _stall(self, us: int) -> None:
        self._live.stall(us)

    async def _inject(self, fault: Fault) -> None:
        self._live.inject(fault)

    async def _namespace_fds(self) -> tuple[int, ...]:
        return self._live.namespace_fds("normal")

    def _abandon(self) -> None:
        supervisor, self._supervisor, self._loop, self._thread = self._supervisor, None, None, None
        if supervisor is not None:
            supervisor.abandon()


async def _end_tasks(loop: asyncio.AbstractEventLoop) -> None:
    """What a Ctrl-C left half done (a start, a wait) ends here, not with a warning when the loop is gone."""
    tasks = asyncio.all_tasks(loop) - {asyncio.current_task()}
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)


def _after_fork_in_child() -> None:
    """A forked child must not keep its parent's worlds alive, nor speak to them."""
    for machine in list(_machines):
        machine._abandon()
    _machines.clear()


os.register_at_fork(after_in_child=_after_fork_in_child)
