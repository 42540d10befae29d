# SPDX-License-Identifier: MIT
"""`isthmus run`: both worlds and the link, for as long as somebody wants them."""

from __future__ import annotations

import contextlib
import math
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from types import FrameType
from typing import Any, Literal

import click

from isthmus.cli.common import HELD, Common, common_options, programs, say, write_document
from isthmus.errors import IsthmusError
from isthmus.host import HostMachine
from isthmus.qemu.command import Streams
from isthmus.qemu.linked import LinkedMachine
from isthmus.trustzone.board import TrustZone

__all__ = ["command"]

LOOK_S = 0.1


@click.command("run", context_settings={"allow_interspersed_args": False})
@common_options("qemu", "host")
@click.option(
    "--for", "seconds", type=click.FloatRange(0, 1e9), metavar="SECONDS", help="End by itself after so long."
)
@click.argument("argv", metavar="[-- CMD ...]", nargs=-1, type=click.UNPROCESSED)
def command(common: Common, seconds: float | None, argv: tuple[str, ...]) -> int:
    """Bring up both worlds and the link, and stay until Ctrl-C or --for SECONDS.

    With a command: run it in the Normal world and exit with its status (126: cannot be executed, 127: not
    found, 128+n: ended by signal n). A world that dies is restarted.
    """
    if argv and seconds is not None:
        raise click.UsageError("--for and a command exclude each other: the command decides how long")
    if argv and common.json_file == "-":
        raise click.UsageError("--json - and a command exclude each other: standard output is the command's")
    if seconds is not None and math.isnan(seconds):
        raise click.UsageError("--for: nan is not a number of seconds")
    board = common.board()
    if isinstance(board, TrustZone):
        return _emulated(common, board, seconds, argv)
    with HostMachine(board, programs=programs(common)) as machine:
        if argv:
            status = _run_inside(machine, argv)
        else:
            say(
                f"up: {board.normal.interface} {board.normal.address} <-> {board.secure.address} "
                f"({machine.interface_kind}), epoch {machine.epoch:016x}"
            )
            _stay(machine, seconds)
            status = HELD
        write_document(common, "run", _rows(machine))
    return status


def _emulated(common: Common, board: TrustZone, seconds: float | None, argv: tuple[str, ...]) -> int:
    streams = Streams() if argv else None
    with LinkedMachine(board, ports=streams.ports if streams else None, payload=common.world) as machine:
        status = HELD
        if streams:
            with _handled_by(lambda number, frame: streams.signal(number)):
                status = streams.execute(machine, argv)
        else:
            say(
                f"up: {board.normal.interface} {board.normal.address} <-> {board.secure.address} "
                f"({board.name} under QEMU), epoch {machine.epoch:016x}; consoles in {machine.logs}"
            )
            end = None if seconds is None else time.monotonic() + seconds
            while (left := LOOK_S if end is None else min(LOOK_S, end - time.monotonic())) > 0:
                time.sleep(left)
                machine.require()
        if common.json_file is not None:
            write_document(common, "run", [_world(machine, world) for world in ("normal", "secure")])
    return status


def _world(machine: LinkedMachine, world: Literal["normal", "secure"]) -> dict[str, Any]:
    try:
        return {"id": f"world.{world}", **machine.status(world)}
    except IsthmusError as problem:
        return {"id": f"world.{world}", "state": "gone", "reason": str(problem)}


def _stay(machine: HostMachine, seconds: float | None) -> None:
    """Until the time is up, or for good; every restart is a line."""
    end = None if seconds is None else time.monotonic() + seconds
    told = 0
    while (left := LOOK_S if end is None else min(LOOK_S, end - time.monotonic())) > 0:
        time.sleep(left)
        restarts = machine.restarts
        for r in restarts[told:]:
            who = f"the {r.world} world" if r.world else "the session"
            say(f"restarted: {who} after {r.seconds * 1000:.1f} ms ({r.cause}), epoch {r.epoch:016x}")
        told = len(restarts)


def _run_inside(machine: HostMachine, argv: tuple[str, ...]) -> int:
    """While the command runs, what asks us to end asks the command instead, and its status is ours. A
    terminal's Ctrl-C reaches it without us."""
    process: subprocess.Popen[bytes] | None = None
    early: list[int] = []

    def forward(number: int, frame: FrameType | None) -> None:
        if process is None:
            early.append(number)
        elif number != signal.SIGINT or not _in_foreground():
            process.send_signal(number)

    with _handled_by(forward):
        process = machine.popen(argv)
        with process:
            for number in early:
                process.send_signal(number)
            return process.wait()


@contextlib.contextmanager
def _handled_by(handler: Callable[[int, FrameType | None], None]) -> Iterator[None]:
    numbers = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
    before = {n: signal.signal(n, handler) for n in numbers if signal.getsignal(n) != signal.SIG_IGN}
    try:
        yield
    finally:
        for number, earlier in before.items():
            signal.signal(number, earlier)


def _in_foreground() -> bool:
    try:
        return os.tcgetpgrp(sys.__stderr__.fileno() if sys.__stderr__ else 2) == os.getpgrp()
    except OSError:
        return False


def _rows(machine: HostMachine) -> list[dict[str, Any]]:
    rows: list[dict[str, Any]] = []
    for world in ("normal", "secure"):
        try:
            status = machine.status(world)
        except IsthmusError as problem:
            status = {"state": "gone", "reason": str(problem)}
        restarts = [r.seconds for r in machine.restarts if r.world == world]
        rows.append({"id": f"world.{world}", "restarts": restarts, **status})
    return rows
