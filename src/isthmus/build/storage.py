# SPDX-License-Identifier: MIT
"""The read-only storage that Linux starts from, at power-on and ever after: loader, and pristine images.

    loader | its table | kernel | device tree | initramfs | zeros up to the board's boot.storage.size

The loader (worlds/normal/loader) does what its table says, step by step, in the Normal world.
"""

from __future__ import annotations

import struct
import subprocess
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import IO

from isthmus.build import cache
from isthmus.build.payload import CROSS
from isthmus.build.program import build_program
from isthmus.errors import EnvironmentProblem
from isthmus.resources import tree
from isthmus.trustzone import generate
from isthmus.trustzone.board import Region, TrustZone

__all__ = ["loader", "write_storage"]

_LINE = 64  # bytes: what the loader copies at a time
_PAGE = 4096
_STEP = struct.Struct("<QQQQ")
_ENTER, _WAIT, _WRITE, _COPY, _VISIT = range(5)
_IMAGE_SIZE = struct.Struct("<16xQ")  # of a kernel's header: what it needs of memory, zeros included


def loader(board: TrustZone) -> bytes:
    """The loader's code, to lie at the storage's begin; its table follows. EnvironmentProblem, one line."""
    base = board.boot.storage.base
    elf = build_program(
        "loader.elf",
        [tree() / "worlds" / "normal" / "loader" / "loader.S"],
        ldflags=("-nostdlib", "-static", "-no-pie", f"-Wl,--build-id=none,-Ttext={base:#x}"),
        compiler=f"{CROSS}gcc",
    )
    raw = elf.with_suffix(".bin")
    if not raw.is_file():
        with cache.staging(f"loader-{elf.parent.name[:16]}") as staging:
            made = staging / raw.name
            command = [f"{CROSS}objcopy", "-O", "binary", "-j", ".text", str(elf), str(made)]
            subprocess.run(command, check=True, stdin=subprocess.DEVNULL)
            made.replace(raw)
    return raw.read_bytes()


def write_storage(board: TrustZone, images: Mapping[str, Path], out: IO[bytes]) -> None:
    """Writes all of it to an empty file. `images`: kernel, device_tree, initramfs. EnvironmentProblem: they
    do not fit, in the storage or where the board puts them."""
    boot, code = board.boot, loader(board)
    places = {name: getattr(boot, name) for name in ("kernel", "device_tree", "initramfs")}
    content = {name: images[name].read_bytes() for name in places}
    _check(board, places, content)
    at = -(-(len(code) + _STEP.size * len(list(_steps(board, {}, {})))) // _PAGE) * _PAGE
    offsets = {}
    for name, data in content.items():
        offsets[name] = at
        at += -(-len(data) // _PAGE) * _PAGE
    if at >= boot.storage.size:
        raise EnvironmentProblem(
            f"board {board.name!r}: loader and images have {at:#x} bytes, beyond boot.storage.size "
            f"{boot.storage.size:#x}"
        )
    out.write(code + b"".join(_STEP.pack(*step) for step in _steps(board, offsets, content)))
    for name, data in content.items():
        out.seek(offsets[name])
        out.write(data)
    out.seek(boot.storage.size - 1)
    out.write(b"\0")


def _steps(
    board: TrustZone, offsets: Mapping[str, int], content: Mapping[str, bytes]
) -> Iterator[tuple[int, int, int, int]]:
    boot = board.boot
    for core in board.core.normal[1:]:
        yield _WAIT, core, 0, 0
    quiet = (write for write in boot.quiet if write.gic in (None, board.gic.version))
    for write in (*quiet, *generate.interrupt_reset(board)):
        yield _WRITE, write.base, write.count | write.stride << 32, write.value
    for core in board.core.normal[1:]:
        yield _VISIT, core, boot.kernel, 0
    for name in ("kernel", "device_tree", "initramfs"):
        size = -(-len(content.get(name, b"")) // _LINE) * _LINE
        yield _COPY, boot.storage.base + offsets.get(name, 0), getattr(boot, name), size
    yield _ENTER, boot.kernel, boot.device_tree, 0


def _check(board: TrustZone, places: Mapping[str, int], content: Mapping[str, bytes]) -> None:
    """Sizes are known here first: nothing may lie on anything else, or outside Linux's memory."""
    regions = {f"boot.{name}": Region(at, len(content[name])) for name, at in places.items()}
    (needed,) = _IMAGE_SIZE.unpack_from(content["kernel"].ljust(_IMAGE_SIZE.size, b"\0"))
    regions["boot.kernel"] = Region(places["kernel"], max(needed, len(content["kernel"])))
    regions["memory.window"] = board.memory.window
    names = list(regions)
    for i, name in enumerate(names):
        region = regions[name]
        if not board.memory.normal.holds(region):
            where = f"is not within memory.normal {board.memory.normal}"
            raise EnvironmentProblem(f"board {board.name!r}: {name}: {region} {where}")
        for other in names[:i]:
            if region.overlaps(regions[other]):
                raise EnvironmentProblem(
                    f"board {board.name!r}: {name}: {region} overlaps {other} {regions[other]}"
                )
