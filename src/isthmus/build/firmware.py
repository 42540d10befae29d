# SPDX-License-Identifier: MIT
"""The firmware of a TrustZone machine: TF-A with the monitor in it, and the flash image that it starts from.

TF-A's tree is copied into the staging folder, the monitor goes in as one of its dispatchers, and TF-A's own
make builds three stages. They depend on the board but not on the Secure world's code: another payload only
makes another flash image, in no time.

    flash image: BL1 | FIP: header, contents, BL2, BL31, BL32 (the payload)
"""

from __future__ import annotations

import hashlib
import logging
import os
import shutil
import struct
import uuid
from collections.abc import Mapping
from pathlib import Path

from isthmus.build import cache, tools
from isthmus.build.payload import CROSS, generated, payload
from isthmus.build.program import ask_compiler
from isthmus.build.source import debian_source, read_pin
from isthmus.errors import EnvironmentProblem
from isthmus.resources import tree
from isthmus.trustzone.board import TrustZone

__all__ = ["firmware", "make_options", "stages"]

_log = logging.getLogger("isthmus.build")
_STAGES = ("bl1", "bl2", "bl31")
_CORE = ("abi.h", "isthmus.h", "limit.h", "smc.h")  # what the monitor uses of the core
# In the environment: binutils warns of what TF-A 2.8 links on purpose, and TF-A takes that for an error.
_ENVIRONMENT = {"TF_LDFLAGS": "--no-warn-rwx-segments"}

# The names of a FIP's parts, as TF-A's include/tools_share/firmware_image_package.h has them.
_PARTS = {
    "bl2": uuid.UUID("5ff9ec0b-4d22-3e4d-a544-c39d81c73f0a"),
    "bl31": uuid.UUID("47d4086d-4cfe-9846-9b95-2950cbbd5a00"),
    "bl32": uuid.UUID("05d0e189-53dc-1347-8d2b-500a4b7a3e38"),
}
_FIP_HEADER = struct.Struct("<IIQ")
_FIP_ENTRY = struct.Struct("<16sQQQ")
_FIP_NAME, _FIP_SERIAL = 0xAA640001, 0x12345678


def firmware(
    board: TrustZone,
    program: Path | None = None,
    instead: Mapping[str, Path] | None = None,
    secure: TrustZone | None = None,
) -> Path:
    """The flash image, ready to start; `program`: another Secure world than our own, an ELF file linked for
    this board; `instead`: for a test build of the monitor, files by the name of the one that each stands for;
    `secure`: what our own Secure world is told of the board, where that differs. Raises EnvironmentProblem,
    one line."""
    folder, program = stages(board, instead), program or payload(secure or board)
    code = hashlib.sha256(program.read_bytes()).hexdigest()
    key = hashlib.sha256(f"{folder.name} {code} {board.firmware.fip}".encode()).hexdigest()
    image = cache.folder("firmware") / f"{key}.bin"
    if image.is_file():
        return cache.used(image)
    with cache.staging(f"flash-{key[:16]}") as staging:
        raw = staging / "bl32.bin"
        _run([f"{CROSS}objcopy", "-O", "binary", str(program), str(raw)], staging / "log")
        parts = {name: (folder / f"{name}.bin").read_bytes() for name in ("bl2", "bl31")}
        parts["bl32"] = raw.read_bytes()
        bl1 = (folder / "bl1.bin").read_bytes()
        if len(bl1) > board.firmware.fip:
            limit = f"firmware.fip = {board.firmware.fip:#x}"
            raise EnvironmentProblem(f"BL1 has {len(bl1)} bytes, beyond {limit}")
        made = staging / "flash.bin"
        made.write_bytes(bl1.ljust(board.firmware.fip, b"\0") + fip(parts))
        os.replace(made, image)
    return image


def fip(parts: dict[str, bytes]) -> bytes:
    """A firmware image package: header, table of contents with an entry of zeros at its end, then the parts.

    >>> made = fip({"bl31": b"code"})
    >>> len(made), made[-4:]
    (100, b'code')
    """
    at = _FIP_HEADER.size + _FIP_ENTRY.size * (len(parts) + 1)
    contents = [_FIP_HEADER.pack(_FIP_NAME, _FIP_SERIAL, 0)]
    for name, data in parts.items():
        contents.append(_FIP_ENTRY.pack(_PARTS[name].bytes, at, len(data), 0))
        at += len(data)
    contents.append(_FIP_ENTRY.pack(bytes(16), at, 0, 0))
    return b"".join((*contents, *parts.values()))


# ---- TF-A ------------------------------------------------------------------------------------------------


def stages(board: TrustZone, instead: Mapping[str, Path] | None = None) -> Path:
    """A folder with bl1.bin, bl2.bin, bl31.bin, and bl31.elf to measure. EnvironmentProblem, one line."""
    pin = read_pin(tree() / "worlds" / "monitor" / "tfa" / "source.toml")
    options = make_options(board)
    for tool in ("make", f"{CROSS}gcc", "dtc"):
        if shutil.which(tool) is None:
            raise EnvironmentProblem(f"no {tool} here to build the firmware with; tools/setup.sh installs it")
    identity = ask_compiler(f"{CROSS}gcc", "--version")
    files = [(instead or {}).get(f.name, f) for f in _dispatcher(board)]
    key = _digest(pin.sha256, identity, *options, *(text for f in files for text in (f.name, _digest_of(f))))
    place = cache.folder("stages") / key
    if place.is_dir():
        return cache.used(place)
    with cache.staging(f"tfa-{key[:16]}") as staging:
        if not place.is_dir():
            _log.info("building TF-A %s for %s", pin.version, board.firmware.platform)
            source = staging / "tree"
            shutil.copytree(debian_source(pin), source)
            home = source / "services" / "spd" / "isthmus"
            home.mkdir()
            for file in files:
                shutil.copy(file, home)
            jobs = f"-j{os.cpu_count() or 1}"
            log = cache.folder("logs") / "tfa.log"
            _run(["make", jobs, "-C", str(source), f"BUILD_BASE={staging}/build", *options, *_STAGES], log)
            _keep(staging / "build" / board.firmware.platform / "release", staging / "done")
            os.rename(staging / "done", place)
    return place


def make_options(board: TrustZone) -> list[str]:
    """What TF-A's make is told."""
    return [
        f"CROSS_COMPILE={CROSS}",
        f"PLAT={board.firmware.platform}",
        "DEBUG=0",
        "SPD=isthmus",
        f"PRELOADED_BL33_BASE={board.boot.storage.base:#x}",
        'BUILD_MESSAGE_TIMESTAMP="isthmus"',
        *map(board.filled, board.firmware.options),
    ]


def _dispatcher(board: TrustZone) -> list[Path]:
    monitor = tree() / "worlds" / "monitor" / "tfa"
    own = [p for p in sorted(monitor.iterdir()) if p.suffix in (".c", ".h", ".S", ".mk")]
    return [*own, *(tree() / "core" / name for name in _CORE), generated(board) / "board.h"]


def _keep(made: Path, place: Path) -> None:
    place.mkdir()
    for name in _STAGES:
        shutil.copy(made / f"{name}.bin", place)
    shutil.copy(made / "bl31" / "bl31.elf", place)


def _run(command: list[str], log: Path) -> None:
    with log.open("w") as output:
        done = tools.run(command, env=_ENVIRONMENT, output=output)
    if done.returncode != 0:
        lines = log.read_text(errors="replace").splitlines()
        raise EnvironmentProblem(f"{Path(command[0]).name} failed: {_first_error(lines)} (log: {log})")


def _first_error(lines: list[str]) -> str:
    errors = (line.strip() for line in lines if "error:" in line or "Error " in line or "undefined" in line)
    return next(errors, lines[-1].strip() if lines else "it said nothing")


def _digest(*parts: str) -> str:
    return hashlib.sha256("\0".join(parts).encode()).hexdigest()


def _digest_of(file: Path) -> str:
    return hashlib.sha256(file.read_bytes()).hexdigest()
