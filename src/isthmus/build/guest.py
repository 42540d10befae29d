# SPDX-License-Identifier: MIT
"""What Linux runs on an emulated TrustZone machine: kernel modules, and an initramfs with shell and agent."""

from __future__ import annotations

import hashlib
import logging
import os
import re
import shutil
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path

from isthmus.build import cache, tools
from isthmus.build.packages import Kernel
from isthmus.build.payload import CROSS
from isthmus.build.program import ask_compiler
from isthmus.errors import EnvironmentProblem
from isthmus.resources import tree

__all__ = ["driver", "initramfs", "kernel_module", "match"]

_log = logging.getLogger("isthmus.build")
_SOURCES = (".c", ".h", ".S")
_RELEASE = re.compile(rb"Linux version (\d\S*)")
_VERMAGIC = re.compile(rb"\0vermagic=(\S+)")
# What the agent's port needs, in the order of loading.
_PORT = (
    *("drivers/virtio/virtio_ring.ko", "drivers/virtio/virtio.ko", "drivers/virtio/virtio_mmio.ko"),
    "drivers/char/virtio_console.ko",
)


def driver(kernel: Kernel) -> Path:
    """The Normal world's end of the channel, isthmus.ko."""
    root = tree()
    return kernel_module(kernel, "isthmus", {"": root / "worlds" / "normal" / "linux", "core": root / "core"})


def kernel_module(kernel: Kernel, name: str, folders: Mapping[str, Path]) -> Path:
    """NAME.ko for this kernel, from the folders' files, staged under the given names; "" holds the Kbuild.
    Raises EnvironmentProblem with the compiler's first error."""
    identity = ask_compiler(f"{CROSS}gcc", "--version")
    files = {
        f"{below}/{p.name}".lstrip("/"): p
        for below, folder in folders.items()
        for p in sorted(folder.iterdir())
        if p.suffix in _SOURCES or p.name == "Kbuild"
    }
    state = hashlib.sha256(f"{identity} {kernel.root} {kernel.release} {name}".encode())
    for place, file in files.items():
        state.update(place.encode() + b"\0" + file.read_bytes())
    module = cache.folder("modules") / state.hexdigest() / f"{name}.ko"
    if module.is_file():
        return cache.used(module)
    with cache.staging(f"module-{name}") as staging:
        for place, file in files.items():
            (staging / place).parent.mkdir(exist_ok=True)
            shutil.copy(file, staging / place)
        if shutil.which("make") is None:
            raise EnvironmentProblem("no make here to build kernel modules with; install make")
        _log.info("building %s.ko for %s", name, kernel.release)
        command = ["make", "-s", "-C", str(kernel.build), f"M={staging}"]
        done = tools.run([*command, "ARCH=arm64", f"CROSS_COMPILE={CROSS}", "modules"])
        if done.returncode != 0 or not (staging / f"{name}.ko").is_file():
            lines = [line for line in done.stdout.splitlines() if line.strip()]
            why = next(
                (line for line in lines if "rror" in line), lines[-1] if lines else "make said nothing"
            )
            raise EnvironmentProblem(f"cannot build {name}.ko for {kernel.release}: {why.strip()}")
        subprocess.run([f"{CROSS}strip", "--strip-debug", staging / f"{name}.ko"], check=True)
        module.parent.mkdir(parents=True, exist_ok=True)
        os.replace(staging / f"{name}.ko", module)
    return module


def match(kernel: Kernel, modules: Sequence[Path]) -> None:
    """EnvironmentProblem where a module was built for another kernel than the one that is to load it."""
    said = _RELEASE.search(kernel.image.read_bytes())
    release = said[1].decode() if said is not None else "of a version that it does not tell"
    for module in modules:
        built = _VERMAGIC.search(module.read_bytes())
        wanted = built[1].decode() if built is not None else "no kernel"
        if wanted != release:
            raise EnvironmentProblem(
                f"{module} was built for {wanted}, but {kernel.image} is {release}: remove the older of them"
            )


def initramfs(kernel: Kernel, modules: Sequence[Path] = (), files: Mapping[str, Path] | None = None) -> Path:
    """A cpio archive: busybox, the agent as /init, the modules in /modules, and `files` by their path in the
    guest. Modules that are not loaded at start are among the files, not the modules."""
    port = [kernel.modules / "kernel" / name for name in _PORT]
    loaded = [*port, *modules]
    order = "".join(f"{p.name}\n" for p in loaded).encode()
    content: dict[str, tuple[int, bytes]] = {
        "bin/busybox": (0o755, kernel.busybox.read_bytes()),
        "init": (0o755, (tree() / "worlds" / "normal" / "guest" / "init").read_bytes()),
        "modules/order": (0o644, order),
        **{f"modules/{p.name}": (0o644, p.read_bytes()) for p in loaded},
        **{name.lstrip("/"): (0o755, p.read_bytes()) for name, p in (files or {}).items()},
    }
    archive = cpio(content)
    place = cache.folder("initramfs") / f"{hashlib.sha256(archive).hexdigest()}.cpio"
    if place.is_file():
        return cache.used(place)
    with cache.staging(place.stem[:32]) as staging:
        (staging / "made").write_bytes(archive)
        os.replace(staging / "made", place)
    return place


def cpio(content: Mapping[str, tuple[int, bytes]]) -> bytes:
    """A "newc" archive of regular files, (mode, bytes) by path, with the folders they lie in, dated 1970.

    >>> cpio({"a/b": (0o644, b"hello")})[:6]
    b'070701'
    """
    folders = {str(p): None for name in content for p in reversed(Path(name).parents) if str(p) != "."}
    made = [_entry(n, name, 0o040755, b"") for n, name in enumerate(folders, 1)]
    made += [
        _entry(n, name, 0o100000 | mode, data)
        for n, (name, (mode, data)) in enumerate(content.items(), 1 + len(folders))
    ]
    return b"".join((*made, _entry(0, "TRAILER!!!", 0, b"")))


def _entry(inode: int, name: str, mode: int, data: bytes) -> bytes:
    path = name.encode() + b"\0"
    links = 2 if mode & 0o040000 else 1
    # inode, mode, owner, group, links, time, size, devices (2 and 2), name's length, checksum
    numbers = (inode, mode, 0, 0, links, 0, len(data), 0, 0, 0, 0, len(path), 0)
    head = b"070701" + b"".join(b"%08x" % n for n in numbers) + path
    return head + bytes(-len(head) % 4) + data + bytes(-len(data) % 4)
