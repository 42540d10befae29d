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

    Results are kept in the user's cache; a second run builds nothing. Prints a line per result. For a board
    that QEMU does not play, without [emulator], that is firmware and payload: Linux is the board's own.
    """
    board = common.board()
    if isinstance(board, TrustZone) and board.emulator is None:
        made = _pieces(board, common.world)
    elif isinstance(board, TrustZone):
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


def _pieces(board: TrustZone, world: Path | None) -> dict[str, Path]:
    """What a board's own tools flash: TF-A's stages and the payload, and both in one image of BL1 and FIP."""
    from isthmus.build.firmware import firmware, stages
    from isthmus.build.payload import payload

    image, folder = firmware(board, world), stages(board)
    parts = {name: folder / f"{name}.bin" for name in ("bl1", "bl2", "bl31")}
    return {"firmware": image, **parts, "payload": world or payload(board)}


def _row(what: str, path: Path) -> dict[str, object]:
    return {"id": what, "path": str(path), "bytes": path.stat().st_size}
