# SPDX-License-Identifier: MIT
"""`isthmus board`: hold a TrustZone board's file to its rules, and write what is made of it."""

from __future__ import annotations

from pathlib import Path

import click

from isthmus.cli.common import HELD, changes_option, say
from isthmus.errors import EnvironmentProblem
from isthmus.trustzone import generate
from isthmus.trustzone.board import TrustZone, load, longest_without_linux, responses, slack

__all__ = ["command"]

FILES = {"board.h": generate.header, "memory.ld": generate.memory_map, "board.dtsi": generate.device_tree}
_board = click.option("--board", "file", type=click.Path(path_type=Path), help="Board file, TOML.")


@click.group("board", no_args_is_help=False)
def command() -> None:
    """A TrustZone machine's board file. The default is the emulated machine's."""


@command.command("check")
@_board
@changes_option
def check(file: Path | None, changes: tuple[str, ...]) -> int:
    """Check everything that a board file states: memory, interrupts, cores, geometry, deadlines."""
    for line in _summary(load(file, changes)):
        click.echo(line)
    return HELD


@command.command("generate")
@_board
@changes_option
@click.option(
    "--output",
    type=click.Path(path_type=Path, file_okay=False),
    required=True,
    metavar="FOLDER",
    help="Where to; made if it is not there.",
)
def write(file: Path | None, changes: tuple[str, ...], output: Path) -> int:
    """Write board.h (C and assembler), memory.ld (linker) and board.dtsi (device tree) into FOLDER."""
    board = load(file, changes)
    try:
        output.mkdir(parents=True, exist_ok=True)
        for name, make in FILES.items():
            (output / name).write_text(make(board), encoding="utf-8")
    except OSError as error:
        raise EnvironmentProblem(f"cannot write {error.filename}: {error.strerror}") from None
    say(f"{board.name}: {', '.join(FILES)} in {output}")
    return HELD


def _summary(board: TrustZone) -> list[str]:
    places = {name: getattr(board.memory, name) for name in board.memory.__struct_fields__}
    places |= {f"{role}'s buffer": board.buffer_region(role) for role in ("normal", "secure")}
    lines = [f"{board.name}: every rule holds"]
    lines += [f"  {name:16} {region}  {region.size >> 10:8} KiB" for name, region in places.items()]
    lines += [f"  {r.name:16} responds within {r.us} of {r.limit_us} us" for r in responses(board.secure)]
    lines.append(f"  every cost could grow by {slack(board.secure):.1%} before a deadline is missed")
    if longest := longest_without_linux(board):
        lines.append(f"  an interrupt of Linux's waits {longest} us at most, and two network steps")
    return lines
