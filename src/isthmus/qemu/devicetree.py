# SPDX-License-Identifier: MIT
"""The device tree that Linux gets: QEMU's own for this machine, with our nodes and a seed that we know."""

from __future__ import annotations

import re
import subprocess
from collections.abc import Sequence
from pathlib import Path

from isthmus.errors import EnvironmentProblem
from isthmus.trustzone import generate
from isthmus.trustzone.board import TrustZone

# QEMU's are random at each start: two starts would not be alike.
_SEEDS = re.compile(r"^\s*(?:rng-seed|kaslr-seed)\s*=[^;]*;\n", re.MULTILINE)
SEED_BYTES = 32  # what Linux's generator takes for enough to begin with


def device_tree(
    board: TrustZone,
    qemu: Sequence[str],
    initramfs_bytes: int,
    arguments: str,
    folder: Path,
    seed: bytes = bytes(SEED_BYTES),
) -> Path:
    """Writes and returns FOLDER/board.dtb.

    qemu        the emulator with the arguments that shape the machine, firmware included: without it the tree
                lists devices that are not there
    arguments   Linux's command line
    seed        SEED_BYTES that Linux's random numbers begin with, at each of its starts. An emulator that
                counts time by instructions has no other source: Linux would loop for seconds to find one
    """
    raw, source, made = folder / "qemu.dtb", folder / "board.dts", folder / "board.dtb"
    at = qemu.index("-machine") + 1
    _run([*qemu[:at], f"{qemu[at]},dumpdtb={raw}", *qemu[at + 1 :]])
    base = _run(["dtc", "-q", "-I", "dtb", "-O", "dts", str(raw)])
    source.write_text(
        _SEEDS.sub("", base)
        + chosen(board, initramfs_bytes, arguments, seed)
        + cores(board)
        + generate.device_tree(board),
        encoding="utf-8",
    )
    _run(["dtc", "-q", "-I", "dts", "-O", "dtb", "-o", str(made), str(source)])
    return made


def chosen(board: TrustZone, initramfs_bytes: int, arguments: str, seed: bytes) -> str:
    """The node by which Linux finds its command line, its initramfs and its first random numbers."""
    start = board.boot.initramfs
    return (
        "/ { chosen {\n"
        f'    bootargs = "{arguments}";\n'
        f"    linux,initrd-start = <{start:#x}>;\n"
        f"    linux,initrd-end = <{start + initramfs_bytes:#x}>;\n"
        f"    rng-seed = [{seed.hex()}];\n"
        "}; };\n"
    )


def cores(board: TrustZone) -> str:
    """Takes away the cores that are not Linux's."""
    gone = [f"/delete-node/ cpu@{n:x};" for n in range(board.core.count) if n not in board.core.normal]
    return f"/ {{ cpus {{ /delete-node/ cpu-map; {' '.join(gone)} }}; }};\n" if gone else ""


def _run(command: Sequence[str]) -> str:
    try:
        done = subprocess.run(command, check=False, stdin=subprocess.DEVNULL, capture_output=True, text=True)
    except FileNotFoundError:
        raise EnvironmentProblem(
            f"no {command[0]} here; tools/setup.sh installs what the machine needs"
        ) from None
    if done.returncode != 0:
        why = (done.stderr.strip() or "it said nothing").splitlines()[0]
        raise EnvironmentProblem(f"{Path(command[0]).name} failed: {why}")
    return done.stdout
