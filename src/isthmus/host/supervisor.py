# SPDX-License-Identifier: MIT
"""The monitor's part on the host: starts both worlds, issues epoch and key, restarts what dies, takes
everything down.

Lives in one event loop in one thread (machine.py). A world's life, and what makes it move:

    namespaces ── spawn ──> started ── HELLO ──> ready ── ATTACH ──> INIT .. RUN
         ^                                         ^                    │
         └── exit: restart, with back-off ─────────┴── session ended: new epoch, with back-off

Both worlds are attached together, once both are ready: a new epoch, a new key and a new bell each time. Death
of one sends DETACH to the other, whose buffer, process and state live on.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import secrets
import signal
import socket
import time
from collections import deque
from collections.abc import Coroutine, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, Literal

from isthmus.board import Board
from isthmus.errors import EnvironmentProblem, IsthmusError, LinkDown, PeerDead
from isthmus.host.control import FAULTS, Fault, Message, State, Type
from isthmus.host.maker import InterfaceMaker
from isthmus.host.namespaces import NAMESPACES, Namespaces, World
from isthmus.host.output import Output
from isthmus.host.process import CONTROL_FD, WorldProcess
from isthmus.stats import VERDICTS

log = logging.getLogger("isthmus.host")

WORLDS: tuple[World, World] = ("normal", "secure")
BACKOFF_FIRST_S, BACKOFF_MAX_S = 0.01, 1.0
HELLO_LIMIT_S = 10.0  # a world that has not offered its buffer by then hangs
ATTACH_LIMIT_S = 2.0  # ... nor confirmed an epoch
KILL_LIMIT_S = 5.0
ATTACH_INTERVAL_S = 0.005  # a world that comes and goes cannot storm the other with sessions
FAILURES_AT_START = 3  # deaths before the first session that make a start hopeless
EVENTS_KEPT, RESTARTS_KEPT = 1000, 100_000


@dataclass(frozen=True, slots=True)
class Event:
    """Something that happened to the machine. `time` is time.monotonic()."""

    time: float
    world: World | None  # None: the machine as a whole
    what: str  # "namespaces", "started", "exited", "refused", "attached", "ended", "up", "output"
    detail: str


@dataclass(frozen=True, slots=True)
class Restart:
    """The link went down and came back. `seconds`: from the kernel's report until both worlds were in RUN
    again."""

    world: World | None  # whose process died; None: the session ended with both alive
    cause: str  # "SIGKILL", "exit status 1", "DEAD", ...
    time: float  # time.monotonic() when it went down
    seconds: float
    epoch: int  # the new one


@dataclass(frozen=True, slots=True)
class _Fall:
    world: World | None
    cause: str
    time: float


def backoff(failures: int) -> float:
    """Seconds to wait before the next attempt: none after a success, then doubling, bounded."""
    if failures <= 0:
        return 0.0
    return min(BACKOFF_MAX_S, BACKOFF_FIRST_S * (1 << min(failures - 1, 16)))


def cause_of(status: int) -> str:
    """A wait status in words."""
    code = os.waitstatus_to_exitcode(status)
    if code >= 0:
        return f"exit status {code}"
    try:
        return signal.Signals(-code).name
    except ValueError:
        return f"signal {-code}"


def verdict_name(number: int) -> str:
    """The name of a verdict that a world reports; the number where there is none."""
    names = tuple(VERDICTS)
    return names[number] if 0 <= number < len(names) else f"reason {number}"


def words(table: list[int]) -> str:
    """A filter's table as worlds/secure/host/setup.c reads it."""
    return " ".join(f"{word:x}" for word in table)


class Side:
    """One world: its namespaces, its present process, and what the next one is started with."""

    def __init__(self, world: World, program: Path) -> None:
        self.world = world
        self.program = program
        self.namespaces: Namespaces | None = None
        self.process: WorldProcess | None = None
        self.output: Output | None = None
        self.packet = -1  # the interface's frames, held here so that they outlive the pump
        self.failures = 0  # deaths since the last session
        self.early_exits: dict[int, int] = {}

    def running(self, epoch: int) -> bool:
        p = self.process
        return p is not None and p.attached == epoch and p.state == State.RUN


class Supervisor:
    def __init__(
        self,
        board: Board,
        programs: Mapping[World, Path],
        packet: Literal["auto", "tap", "packet"],
        plain: bool,
        bare_timer: bool,
        whole: int,
    ) -> None:
        self.board = board
        self.plain = plain
        self.bare_timer = bare_timer
        self.whole = whole  # bytes of TCP that the interface may hand over in one piece
        self.packet_wanted = packet
        self.packet_kind: Literal["tap", "packet"] = "tap"
        self.sides = {world: Side(world, programs[world]) for world in WORLDS}
        self.epoch = 0
        self.up = asyncio.Event()
        self.events: deque[Event] = deque(maxlen=EVENTS_KEPT)
        self.restarts: deque[Restart] = deque(maxlen=RESTARTS_KEPT)
        self.trouble = ""  # the last thing that kept the link down
        self._maker = InterfaceMaker()
        self._falls: list[_Fall] = []
        self._hopeless = asyncio.Event()
        self._session_failures = 0
        self._quarantine = board.recovery.quarantine()
        self._quarantined_until = 0.0
        self._violated = 0  # epoch
        self._attached_at = 0.0
        self._attach_timer: asyncio.TimerHandle | None = None
        self._watchdog: asyncio.TimerHandle | None = None
        self._tasks: set[asyncio.Task[None]] = set()
        self._was_up = False
        self._closing = False

    # ---- up and down ------------------------------------------------------------------------------------

    async def start(self, timeout: float) -> None:
        """Both worlds up and frames passing, or an exception that names the step that failed."""
        deadline = time.monotonic() + timeout
        self._maker.start()
        await asyncio.gather(*(self._make_namespaces(side) for side in self.sides.values()))
        await self._make_interface()
        for side in self.sides.values():
            side.output = Output(partial(self._output, side))
            if not (self.plain and side.world == "normal"):
                await self._start_process(side)
        waits = [asyncio.ensure_future(self.up.wait()), asyncio.ensure_future(self._hopeless.wait())]
        try:
            left = max(0.1, deadline - time.monotonic())
            await asyncio.wait(waits, timeout=left, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for wait in waits:
                wait.cancel()
        if not self.up.is_set():
            raise EnvironmentProblem(
                f"the link did not come up: {self.trouble or f'nothing heard in {timeout:g} s'}"
            )

    async def close(self) -> None:
        self._closing = True
        self._cancel_timers()
        for task in list(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        for side in self.sides.values():
            if side.process is not None:
                side.process.close()
                side.process = None
        await self._maker.close()
        await asyncio.gather(*(s.namespaces.close() for s in self.sides.values() if s.namespaces is not None))
        for side in self.sides.values():
            side.namespaces = None
            if side.packet >= 0:
                os.close(side.packet)
                side.packet = -1
            if side.output is not None:
                side.output.close()
                side.output = None

    def abandon(self) -> None:
        """In a forked child: gives up every descriptor that keeps the parent's worlds alive."""
        for side in self.sides.values():
            if side.process is not None:
                side.process.abandon()
            if side.namespaces is not None:
                side.namespaces.abandon()
            with contextlib.suppress(OSError):
                if side.packet >= 0:
                    os.close(side.packet)
            side.packet = -1

    async def wait_up(self, timeout: float) -> int:
        try:
            await asyncio.wait_for(self.up.wait(), timeout)
        except TimeoutError:
            why = f": {self.trouble}" if self.trouble else ""
            raise LinkDown(f"the link did not come up within {timeout:g} s{why}") from None
        return self.epoch

    # ---- what others ask for ----------------------------------------------------------------------------

    def process(self, world: World) -> WorldProcess:
        process = self.sides[world].process
        if process is None or not process.alive:
            raise PeerDead(f"the {world} world is not running")
        return process

    async def kill(self, world: World) -> None:
        process = self.process(world)
        process.kill()
        end = time.monotonic() + KILL_LIMIT_S
        while self.sides[world].process is process:
            if time.monotonic() > end:
                raise PeerDead(f"the {world} world's exit was not reported within {KILL_LIMIT_S:g} s")
            await asyncio.sleep(0.0005)

    async def status(self, world: World, timeout: float) -> dict[str, Any]:
        return await self.process(world).status(timeout)

    def stall(self, us: int) -> None:
        if not self.process("secure").send(Message(Type.STALL, value=us)):
            raise PeerDead("the secure world does not read its control socket")

    def inject(self, fault: Fault) -> None:
        if not self.process("secure").send(Message(Type.FAULT, value=FAULTS[fault])):
            raise PeerDead("the secure world does not read its control socket")

    def namespace_fds(self, world: World) -> tuple[int, ...]:
        """Duplicates, the caller's to close."""
        namespaces = self.sides[world].namespaces
        if namespaces is None or not namespaces.fds:
            raise PeerDead(f"the {world} world is not running")
        return tuple(os.dup(namespaces.fds[name]) for name in NAMESPACES)

    async def socket(self, family: int, kind: int, protocol: int) -> socket.socket:
        namespaces = self.sides["normal"].namespaces
        if namespaces is None:
            raise PeerDead("the normal world is not running")
        return await namespaces.socket(family, kind, protocol)

    # ---- namespaces, interface, processes ---------------------------------------------------------------

    async def _make_namespaces(self, side: Side) -> None:
        namespaces = Namespaces(
            side.world,
            exited=lambda pid, status: self._exited(side, pid, status),
            lost=lambda: self._lost(side, namespaces),
        )
        side.namespaces = namespaces
        await namespaces.start()
        self._note(side.world, "namespaces", "made")

    async def _make_interface(self) -> None:
        side = self.sides["normal"]
        assert side.namespaces is not None
        b = self.board
        wanted = {
            "name": b.normal.interface,
            "mac": b.normal.mac,
            "ip": b.normal.ip,
            "ip6": b.normal.ip6,
            "mtu": b.channel.mtu,
            "kind": self.packet_wanted,
            "vnet": not self.plain,
            "whole": 0 if self.plain else self.whole,
        }
        namespaces = (side.namespaces.fds["user"], side.namespaces.fds["net"])
        self.packet_kind, side.packet = await self._maker.make(namespaces, wanted)
        self._maker = InterfaceMaker()  # should the namespaces ever have to be made anew
        self._note("normal", "interface", f"{b.normal.interface} by {self.packet_kind}")

    async def _start_process(self, side: Side) -> None:
        assert side.namespaces is not None
        assert side.output is not None
        role = side.world
        page = os.sysconf("SC_PAGESIZE")
        size = (self.board.buffer_bytes(role) + page - 1) & -page
        side.process = process = WorldProcess(side.namespaces, size, lambda p, m: self._heard(side, p, m))
        packet = role == ("secure" if self.plain else "normal")
        extra = (self.sides["normal"].packet,) if packet else ()
        await process.start([str(side.program)], self._environment(role, packet), side.output.write, extra)
        if process.inner_pid in side.early_exits:
            self._exited(side, process.inner_pid, side.early_exits.pop(process.inner_pid))
        elif self.plain:
            self.up.set()
        else:
            asyncio.get_running_loop().call_later(HELLO_LIMIT_S, self._hello_overdue, side, process)

    def _environment(self, role: World, packet: bool) -> dict[str, str]:
        b = self.board
        env = {"ISTHMUS_CONTROL": str(CONTROL_FD)}
        lanes = range(len(b.lanes))
        configs = [" ".join(f"{key}={value}" for key, value in b.config(role, k).items()) for k in lanes]
        env["ISTHMUS_CONFIG"], env["ISTHMUS_LANES"] = configs[0], ";".join(configs[1:])
        if packet:
            env["ISTHMUS_PACKET"] = str(CONTROL_FD + 1)
            env["ISTHMUS_PACKET_KIND"] = self.packet_kind
        if role == "normal":
            env["ISTHMUS_CHOICE"] = ";".join(words(b.choice_table(k)) for k in lanes[1:])
        if role == "secure":
            env["ISTHMUS_IP"] = b.secure.address
            env["ISTHMUS_NETMASK"] = b.secure.netmask
            env["ISTHMUS_PEER_IP"] = b.normal.address
            env["ISTHMUS_MAC"] = b.secure.mac
            env["ISTHMUS_FILTER"] = ";".join(words(b.filter_table("in", k)) for k in lanes)
            env["ISTHMUS_FILTER_OUT"] = ";".join(words(b.filter_table("out", k)) for k in lanes)
            rx = b.secure.budget
            numbers = [rx.step_frames, rx.step_bytes, rx.period_us]
            numbers += [n for lane in b.lanes for n in (lane.frames, lane.bytes)]
            env["ISTHMUS_RX_BUDGET"] = " ".join(map(str, numbers))
            env["ISTHMUS_TASKS"] = ";".join(
                f"{t.runs} {t.name} {t.flow or '-'} {t.cost_us} {t.deadline_us} {t.period_us}"
                for t in b.secure.task
            )
            env["ISTHMUS_FLOWS"] = ";".join(f"{f.name} {f.protocol} {f.port}" for f in b.flow)
            env["ISTHMUS_WATCHDOG_US"] = str(b.secure.watchdog_us)
            if self.bare_timer:
                env["ISTHMUS_BARE_TIMER"] = "1"
        return env

    # ---- death and restart ------------------------------------------------------------------------------

    def _exited(self, side: Side, pid: int, status: int) -> None:
        process = side.process
        if process is None or process.inner_pid != pid:
            side.early_exits[pid] = status  # it was quicker than the answer that told us its number
            return
        if side.output is not None:
            side.output.drain()  # its last words come before its death
        self._gone(side, process, process.died_of or cause_of(status))

    def _lost(self, side: Side, namespaces: Namespaces) -> None:
        """PID 1 itself is gone, and everything in its namespaces with it."""
        if self._closing or side.namespaces is not namespaces or side.process is None:
            return
        self._gone(side, side.process, "its first process died", anew=True)

    def _gone(self, side: Side, process: WorldProcess, cause: str, anew: bool = False) -> None:
        process.close()
        side.process = None
        side.early_exits.clear()
        self._fell(side.world, cause)
        self._note(side.world, "exited", cause)
        self.trouble = f"the {side.world} world died ({cause}){self._last_words(side.world)}"
        side.failures += 1
        if not self._was_up and side.failures >= FAILURES_AT_START:
            self._hopeless.set()
        for other in self.sides.values():
            if other.process is not None:
                other.process.attached = 0
                other.process.send(Message(Type.DETACH))
        if not self._closing:
            self._spawn(self._restart(side, anew))

    async def _restart(self, side: Side, anew: bool) -> None:
        while True:
            await asyncio.sleep(backoff(side.failures - 1))
            try:
                if anew:
                    await self._make_world_anew(side)
                await self._start_process(side)
                return
            except (IsthmusError, OSError) as problem:
                self.trouble = f"the {side.world} world cannot be started: {problem}"
                self._note(side.world, "refused", str(problem))
                side.failures += 1

    async def _make_world_anew(self, side: Side) -> None:
        if side.namespaces is not None:
            await side.namespaces.close()
        if side.packet >= 0:
            os.close(side.packet)
            side.packet = -1
        await self._make_namespaces(side)
        if side.world == "normal":
            await self._make_interface()

    # ---- the session ------------------------------------------------------------------------------------

    def _heard(self, side: Side, process: WorldProcess, m: Message) -> None:
        if side.process is not process or self._closing:
            return
        if m.type == Type.HELLO:
            self._note(side.world, "started", f"pid {process.pid}")
            self._attach_soon()
        elif m.type == Type.REFUSED:
            if m.epoch != self.epoch:
                return
            self._session_ended(
                side, f"refused to attach: {os.strerror(-m.value) if m.value < 0 else m.value}"
            )
        elif m.type == Type.STATE:
            if m.epoch != self.epoch or process.attached != self.epoch:
                return
            if all(s.running(self.epoch) for s in self.sides.values()):
                self._came_up()
            elif process.state in (State.RESET, State.DEAD):
                why = verdict_name(m.extra)
                if process.state == State.DEAD or why == "PEER_DEAD":
                    self._violation()
                self._session_ended(side, f"{process.state.name}, {why}")

    def _violation(self) -> None:
        """One world found that the other broke the protocol: both wait for a while. Once an epoch."""
        if self._violated == self.epoch:
            return
        self._violated = self.epoch
        loop = asyncio.get_running_loop()
        self._quarantined_until = loop.time() + self._quarantine.violated(loop.time())
        if self._attach_timer is not None:
            self._attach_timer.cancel()
            self._attach_timer = None

    def _attach_soon(self) -> None:
        if self._attach_timer is None and not self._closing:
            loop = asyncio.get_running_loop()
            due = max(
                loop.time() + backoff(self._session_failures),
                self._attached_at + ATTACH_INTERVAL_S,
                self._quarantined_until,
            )
            self._attach_timer = loop.call_at(due, self._attach)

    def _attach(self) -> None:
        """A new epoch for both, if both are ready; else the HELLO that is missing brings us back here."""
        self._attach_timer = None
        normal, secure = (self.sides[world].process for world in WORLDS)
        if normal is None or secure is None or not normal.ready or not secure.ready:
            return
        self.epoch = secrets.randbits(64) or 1
        key = (secrets.randbits(64), secrets.randbits(64))
        message = Message(Type.ATTACH, epoch=self.epoch, key=key)
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_STREAM)
        with ours, theirs:
            ours.setblocking(False)
            theirs.setblocking(False)
            normal.send(message, (secure.buffer, ours.fileno()))
            secure.send(message, (normal.buffer, theirs.fileno()))
        # Once both are told: however long this process was kept from it, the next session is that much later.
        self._attached_at = asyncio.get_running_loop().time()
        self._note(None, "attached", f"epoch {self.epoch:016x}", self._attached_at)
        self._cancel_watchdog()
        self._watchdog = asyncio.get_running_loop().call_later(
            ATTACH_LIMIT_S, self._attach_overdue, self.epoch
        )

    def _hello_overdue(self, side: Side, process: WorldProcess) -> None:
        if side.process is process and not process.ready:
            process.died_of = "did not offer its buffer"
            process.kill()

    def _attach_overdue(self, epoch: int) -> None:
        self._watchdog = None
        if self.up.is_set() or epoch != self.epoch or self._closing:
            return
        for side in self.sides.values():
            if side.process is not None and side.process.attached != epoch:
                side.process.died_of = "did not answer its supervisor"
                side.process.kill()
                return  # its exit moves things on
        self._spawn(self._refused())

    async def _refused(self) -> None:
        """Both confirmed the epoch, yet do not run: their reports say what each holds against the other."""
        reasons = []
        for side in self.sides.values():
            with contextlib.suppress(IsthmusError):
                report = await self.process(side.world).status(1.0)
                reasons.append(f"{side.world} is in {report.get('state')} ({report.get('reason')})")
        if not self.up.is_set():
            self._session_ended(None, "no agreement: " + ", ".join(reasons))

    def _came_up(self) -> None:
        if self.up.is_set():
            return
        now = time.monotonic()
        self.up.set()
        self._was_up = True
        self.trouble = ""
        self._session_failures = 0
        self._cancel_watchdog()
        for side in self.sides.values():
            side.failures = 0
        for fall in self._falls:
            self.restarts.append(Restart(fall.world, fall.cause, fall.time, now - fall.time, self.epoch))
        self._falls.clear()
        self._note(None, "up", f"epoch {self.epoch:016x}")

    def _session_ended(self, side: Side | None, why: str) -> None:
        """Both processes live, the session does not: a new one, after a while that grows."""
        world = side.world if side is not None else None
        self._fell(None, why)
        self._note(world, "ended", why)
        self.trouble = f"{f'the {world} world: ' if world else ''}{why}{self._last_words(world)}"
        self._session_failures += 1
        self._cancel_watchdog()
        self._attach_soon()

    def _fell(self, world: World | None, cause: str) -> None:
        self.up.clear()
        if world is not None or not self._falls:
            self._falls.append(_Fall(world, cause, time.monotonic()))

    # ---- small things -----------------------------------------------------------------------------------

    def _output(self, side: Side, line: str) -> None:
        self._note(side.world, "output", line)

    def _last_words(self, world: World | None) -> str:
        for event in reversed(self.events):
            if event.what == "output" and event.world == world:
                return f": {event.detail}"
            if event.what == "up":
                break
        return ""

    def _note(self, world: World | None, what: str, detail: str, at: float | None = None) -> None:
        self.events.append(Event(time.monotonic() if at is None else at, world, what, detail))
        log.info("%s %s: %s", world or "machine", what, detail)

    def _spawn(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    def _cancel_watchdog(self) -> None:
        if self._watchdog is not None:
            self._watchdog.cancel()
            self._watchdog = None

    def _cancel_timers(self) -> None:
        self._cancel_watchdog()
        if self._attach_timer is not None:
            self._attach_timer.cancel()
            self._attach_timer = None
