# SPDX-License-Identifier: MIT
"""The command group, and what every command's end looks like: one exit status, at most one line on standard
error."""

from __future__ import annotations

import signal
import sys
from importlib import import_module
from importlib.metadata import version
from types import FrameType
from typing import Any, NoReturn

import click

from isthmus.cli.common import FELL_SHORT, HELD, INTERRUPTED, REFUSED
from isthmus.errors import IsthmusError
from isthmus.printable import printable

COMMANDS = {
    "run": "bring up both worlds and the link",
    "check": "bring everything up, prove that it works, take it down",
    "build": "firmware, secure payload, kernel module, initramfs for a board",
    "attack": "the attack catalogue, with each defence on and off",
    "bench": "costs against the bound and the peers",
    "board": "check a TrustZone board's file, and generate from it",
}


class Commands(click.Group):
    """Commands by name; a command's module is imported when it is called."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in COMMANDS:
            return None
        command: click.Command = import_module(f"isthmus.cli.{cmd_name}").command
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("Commands"):
            formatter.write_dl(list(COMMANDS.items()))


@click.command(cls=Commands, no_args_is_help=False, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(version("isthmus"), message="isthmus %(version)s")
def group() -> None:
    """A network channel between a rich and a safety-critical operating system on one chip.

    Exit status: 0 all held; 1 something measured fell short; 2 usage or environment; 130 interrupted.
    """


def _end_on_signal(number: int, frame: FrameType | None) -> NoReturn:
    """SIGTERM and SIGHUP unwind like Ctrl-C does, once: whatever was set up is taken down on the way."""
    signal.signal(number, signal.SIG_IGN)
    raise SystemExit(128 + number)


def complain(text: str) -> int:
    """Says in one line what is wrong."""
    sys.stderr.write(f"isthmus: {printable(' '.join(text.split()))}\n")
    return REFUSED


def run_command_line(argv: list[str] | None = None) -> int:
    """Runs one command line; returns its exit status. Errors become one line and status 2."""
    for number in (signal.SIGTERM, signal.SIGHUP):
        if signal.getsignal(number) != signal.SIG_IGN:
            signal.signal(number, _end_on_signal)
    try:
        # Not group.main(): it answers Ctrl-C with an empty line.
        with group.make_context("isthmus", list(sys.argv[1:] if argv is None else argv)) as context:
            result: Any = group.invoke(context)
        sys.stdout.flush()
        return result if isinstance(result, int) else HELD
    except click.exceptions.Exit as end:
        return end.exit_code
    except click.UsageError as problem:
        where = problem.ctx.command_path if problem.ctx is not None else "isthmus"
        return complain(f"{problem.format_message().rstrip('.')} (see {where} --help)")
    except click.ClickException as problem:
        return complain(problem.format_message())
    except (KeyboardInterrupt, click.Abort):
        return INTERRUPTED
    except BrokenPipeError:
        sys.stdout = sys.stderr  # nothing to flush at exit: its reader is gone
        return FELL_SHORT
    except (IsthmusError, OSError) as problem:
        return complain(str(problem))
