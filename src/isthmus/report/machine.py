# SPDX-License-Identifier: MIT
"""What a check ran on, for the report: names and versions, in pairs."""

from __future__ import annotations

import os
import platform
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

from isthmus.board import Board
from isthmus.build.packages import debian_kernel
from isthmus.build.payload import CROSS
from isthmus.build.source import read_pin
from isthmus.check.rows import Report
from isthmus.check.table import STACKS
from isthmus.resources import tree
from isthmus.trustzone.board import TrustZone

__all__ = ["description"]


def description(found: Report, board: Board, revision: str) -> list[tuple[str, str]]:
    """Everything that another run should have alike, and this computer."""
    return [*_worlds(found, board), *_channel(board), *_here(found, revision)]


def _worlds(found: Report, board: Board) -> Iterator[tuple[str, str]]:
    lwip = read_pin(tree() / "worlds" / "secure" / "lwip" / "source.toml").version
    trustzone = isinstance(board, TrustZone)
    critical = f"the runtime with lwIP {lwip}" if trustzone else f"lwIP {lwip}"
    if found.stack != "lwip":
        critical = f"{STACKS[found.stack]}, built elsewhere"
    if isinstance(board, TrustZone):
        tfa = read_pin(tree() / "worlds" / "monitor" / "tfa" / "source.toml").version
        if board.emulator is not None:
            yield "Machine", f"{board.name}: {board.filled(board.emulator.machine)}, {board.emulator.cpu}"
        yield "Emulator", _first_line("qemu-system-aarch64", "--version")
        yield "Firmware", f"Trusted Firmware-A {tfa} with the monitor, for {board.firmware.platform}"
        yield "Linux", f"Debian {debian_kernel().release}, {board.memory.normal.size >> 20} MiB"
        yield "Critical OS", f"{critical}, at Secure EL1"
        yield "Compiler", _first_line(f"{CROSS}gcc", "--version")
    else:
        yield "Machine", f"{board.name}: two processes, {found.interface} interface"
        yield "Critical side", critical
        yield "Compiler", _first_line("cc", "--version")


def _channel(board: Board) -> Iterator[tuple[str, str]]:
    rings = " and ".join(f"{board.side(role).ring_bytes >> 10:,} KiB" for role in ("normal", "secure"))
    yield "Channel", f"MTU {board.channel.mtu:,}, rings of {rings} (Normal, Secure)"


def _here(found: Report, revision: str) -> Iterator[tuple[str, str]]:
    yield "This computer", f"{_processor()}, {os.cpu_count()} processors, Linux {platform.release()}"
    yield "Isthmus", revision
    yield "Seed", str(found.seed)
    yield "When", f"{time.strftime('%Y-%m-%d %H:%M %Z')}, {found.seconds:.0f} s"


def _first_line(*command: str) -> str:
    try:
        done = subprocess.run(command, capture_output=True, text=True, check=False, stdin=subprocess.DEVNULL)
    except OSError:
        return f"{command[0]}, which is gone"
    return (done.stdout.splitlines() or ["unknown"])[0]


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        lines = []
    names = (line.partition(":")[2].strip() for line in lines if line.startswith("model name"))
    return next(names, platform.machine())
