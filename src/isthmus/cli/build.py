# SPDX-License-Identifier: MIT
"""`isthmus build`: everything that a board's machine starts from, in the user's cache."""

from __future__ import annotations

from pathlib import Path

import click

from isthmus import build
from isthmus.cli.common import HELD, Common, common_options, write_document
from isthmus.trustzone.board import TrustZone

__all__ = ["command"]


@click.command("build")
@common_options("qemu", "host")
def command(common: Common) -> int:
    """Build what a board's machine starts from: firmware, secure payload, kernel module, initramfs.

    Results are kept in the user's cache; a second run builds nothing. Prints a line per result.
    """
    board = common.board()
    if isinstance(board, TrustZone):
        from isthmus.qemu.linked import LinkedMachine

        made = LinkedMachine(board, payload=common.world).build()
    else:
        from isthmus.host.pump import frame_pump

        made = {"secure world": common.world or build.secure_world(), "frame pump": frame_pump()}
    if common.json_file != "-":
        for what, path in made.items():
            click.echo(f"{what:12}  {path.stat().st_size >> 10:6} KiB  {path}")
    write_document(common, "build", [_row(what, path) for what, path in made.items()])
    return HELD


def _row(what: str, path: Path) -> dict[str, object]:
    return {"id": what, "path": str(path), "bytes": path.stat().st_size}
