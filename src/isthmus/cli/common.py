# SPDX-License-Identifier: MIT
"""What the commands share: exit statuses, common options, the JSON document, progress on standard error."""

from __future__ import annotations

import functools
import logging
import os
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from importlib.metadata import version
from pathlib import Path
from typing import Any, TypeVar

import click
import msgspec
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from isthmus.board import Board
from isthmus.boards import load
from isthmus.build.given import given_world, require_board
from isthmus.errors import ConfigError, EnvironmentProblem
from isthmus.host.namespaces import World
from isthmus.trustzone.board import TrustZone

HELD, FELL_SHORT, REFUSED, INTERRUPTED = 0, 1, 2, 130

MACHINES = ("memory", "host", "qemu")
STACKS = ("lwip", "freertos")
WORLD = "ISTHMUS_FREERTOS_WORLD"
_FRAME_ROOM = 36  # as on the host machine: Ethernet, a VLAN tag, and rounded up

F = TypeVar("F", bound=Callable[..., Any])

changes_option = click.option(
    "--set",
    "changes",
    metavar="KEY=VALUE",
    multiple=True,
    help="Another value for a key of the board, like core.secure=1; may be repeated.",
)


@dataclass(frozen=True)
class Common:
    """The common options, checked."""

    machine: str
    stack: str
    world: Path | None  # what was built elsewhere and runs as the Secure world; None: our own, with lwIP
    board_file: Path | None
    json_file: str | None  # "-": standard output
    verbose: bool
    changes: tuple[str, ...] = ()

    def board(self) -> Board:
        """The board file, decoded: a TrustZone on machine qemu. ConfigError, one line, if it is wrong."""
        board = load(self.machine, self.board_file, self.changes)
        if self.world is not None and isinstance(board, TrustZone):
            _runs_freertos(board)
            require_board(self.world, board)
        return board

    def words(self) -> list[str]:
        """Of a command line that repeats this run: which machine, board and Secure world."""
        words = ["--machine", self.machine]
        words += ["--board", str(self.board_file)] if self.board_file is not None else []
        words += [word for change in self.changes for word in ("--set", change)]
        words += ["--stack", self.stack, "--world", str(self.world)] if self.world is not None else []
        return words

    def brings_its_own_board(self) -> None:
        """UsageError where a board was named for a machine that looks at none."""
        if self.board_file is not None or self.changes:
            raise click.UsageError(f"--board and --set: --machine {self.machine} is of no board file here")


def _runs_freertos(board: TrustZone) -> None:
    """ConfigError, one line, for a board on which FreeRTOS+TCP cannot do its work."""
    channel = board.channel
    if board.gic.version != 3:
        raise ConfigError(
            f"gic.version = {board.gic.version}: FreeRTOS's port reaches the interrupt controller through "
            f"system registers, which there are from version 3 on"
        )
    if channel.frame_max >= 2 * channel.mtu:
        raise ConfigError(
            f"channel.frame_max = {channel.frame_max}: Linux joins segments to frames that FreeRTOS+TCP "
            f"drops; build and run its world with --set channel.frame_max={channel.mtu + _FRAME_ROOM}"
        )


def common_options(*machines: str) -> Callable[[F], F]:
    """Decorates a command that runs on `machines` (default: the first); it gets a Common as `common`."""

    def decorate(function: F) -> F:
        @functools.wraps(function)
        def command(*args: Any, **kwargs: Any) -> Any:
            names = ("machine", "stack", "world", "board_file", "json_file", "verbose", "changes")
            common = _checked(Common(**{name: kwargs.pop(name) for name in names}))
            if common.verbose:
                logging.basicConfig(stream=sys.stderr, level=logging.INFO, format="%(message)s")
            return function(*args, common=common, **kwargs)

        options = (
            click.option(
                "--machine",
                type=click.Choice(MACHINES),
                default=machines[0],
                show_default=True,
                callback=functools.partial(_possible, machines),
                help="Where both worlds run.",
            ),
            click.option(
                "--stack",
                type=click.Choice(STACKS),
                default=STACKS[0],
                show_default=True,
                envvar="ISTHMUS_STACK",
                help="The Secure world's IP stack; freertos wants --world. Also: ISTHMUS_STACK.",
            ),
            click.option(
                "--world",
                type=click.Path(path_type=Path),
                metavar="FILE",
                help="The Secure world that you built with FreeRTOS+TCP. Also: ISTHMUS_FREERTOS_WORLD.",
            ),
            click.option("--board", "board_file", type=click.Path(path_type=Path), help="Board file, TOML."),
            changes_option,
            click.option(
                "--json",
                "json_file",
                metavar="FILE",
                callback=_writable,
                help="Write the results there; - is standard output.",
            ),
            click.option("-v", "--verbose", is_flag=True, help="Tell what happens, on standard error."),
        )
        for option in reversed(options):
            command = option(command)
        return command  # type: ignore[return-value]

    return decorate


def _possible(possible: Sequence[str], context: click.Context, parameter: click.Parameter, value: str) -> str:
    if value in possible:
        return value
    reason = f"this command runs on {' and '.join(possible)}, not on {value}"
    raise click.UsageError(f"--{parameter.name} {value}: {reason}", context)


def _checked(common: Common) -> Common:
    """With the Secure world that runs, found and looked at. UsageError or EnvironmentProblem, one line."""
    if common.stack == "lwip":
        if common.world is not None:
            raise click.UsageError("--world is for --stack freertos: the world with lwIP is built here")
        return common
    if common.machine == "memory":
        raise click.UsageError(f"--stack {common.stack}: on --machine memory no IP stack runs")
    world = common.world or os.environ.get(WORLD)
    if not world:
        raise EnvironmentProblem(
            f"--stack {common.stack}: no world to run: build one with your FreeRTOS (docs/PORTING.md) and "
            f"name it with --world or {WORLD}"
        )
    return replace(common, world=given_world(Path(world), common.machine))


def programs(common: Common) -> dict[World, Path]:
    """What a HostMachine is given: the Secure world that was built elsewhere, if that is wanted."""
    return {"secure": common.world} if common.world is not None else {}


def _writable(context: click.Context, parameter: click.Parameter, value: str | None) -> str | None:
    """Finds out before any work whether the results can be written; makes no file yet."""
    if value is None or value == "-":
        return value
    writable(context, "--json", Path(value))
    return value


def writable(context: click.Context, option: str, path: Path) -> None:
    """UsageError where an option names a file that cannot be written. Makes no file yet."""
    if path.is_dir() or not os.access(path if path.exists() else path.parent, os.W_OK):
        raise click.UsageError(f"{option} {path}: cannot be written", context)


def reportable(context: click.Context, parameter: click.Parameter, value: Path | None) -> Path | None:
    """Of --report: finds out before any work whether there can be one."""
    from isthmus.report import require

    if value is not None:
        require()
        writable(context, "--report", value)
    return value


def commit() -> str | None:
    """The checkout's commit; None in an installed package."""
    here = Path(__file__).resolve().parents[3]
    if not (here / ".git").exists():
        return None
    try:
        done = subprocess.run(
            ["git", "-C", str(here), "rev-parse", "HEAD"], capture_output=True, text=True, check=False
        )
    except OSError:
        return None
    return done.stdout.strip() or None


def revision() -> tuple[str, str | None]:
    """The package's version, and the checkout's commit."""
    return version("isthmus"), commit()


def write_document(common: Common, command: str, rows: Sequence[Any], **more: Any) -> bytes:
    """Makes the JSON document of a command, and writes it if that was asked for. Rows: dicts, dataclasses or
    msgspec structs."""
    document = {
        "schema": f"isthmus.{command}/1",
        "version": version("isthmus"),
        "commit": commit(),
        "machine": common.machine,
        "stack": common.stack,
        "rows": list(rows),
        **more,
    }
    text = msgspec.json.format(msgspec.json.encode(document), indent=1) + b"\n"
    if common.json_file == "-":
        sys.stdout.buffer.write(text)
        sys.stdout.buffer.flush()
    elif common.json_file is not None:
        Path(common.json_file).write_bytes(text)
    return text


def wide_console() -> Console:
    """Standard output for a table: as wide as a terminal is, else wide enough. Honours NO_COLOR."""
    console = Console()
    return console if console.is_terminal else Console(width=120)


def say(text: str) -> None:
    """One line of progress or explanation on standard error."""
    click.echo(text, err=True)


@contextmanager
def progress(what: str, total: int) -> Iterator[Callable[[str], None]]:
    """Long work of `total` steps: a bar on a terminal, a line per step elsewhere, always on standard error.

    Yields a function to be called with a step's name when it begins.
    """
    console = Console(stderr=True)  # honours NO_COLOR, and knows a terminal from a file
    if not console.is_terminal:
        yield lambda step: say(f"{what}: {step}")
        return
    bar = Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        console=console,
        transient=True,
    )
    with bar:
        task = bar.add_task(what, total=total)
        begun = 0

        def step(name: str) -> None:
            nonlocal begun
            bar.update(task, completed=begun, description=f"{what}: {name}")
            begun += 1

        yield step
