# SPDX-License-Identifier: MIT
"""Debian's arm64 packages for the Normal world of a TrustZone machine, unpacked into the cache.

Nothing is installed on this machine: packages are downloaded through its own apt configuration with lists of
their own, which verifies them by the archive's signatures, and unpacked into one folder. The kernel's number
moves, so it is taken from the meta package at the first download; from then on the cache has it.
"""

from __future__ import annotations

import json
import logging
import os
import platform
import re
import shutil
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from isthmus.build import cache, tools
from isthmus.build.source import SOURCES, apt_get, apt_reason, private_apt
from isthmus.errors import EnvironmentProblem

__all__ = ["Kernel", "debian_kernel", "unpacked"]

_log = logging.getLogger("isthmus.build")
_META = "linux-image-cloud-arm64"
_TOOLS = ("busybox-static",)
_HOST = {"x86_64": "amd64", "aarch64": "arm64"}


@dataclass(frozen=True, slots=True)
class Kernel:
    """A Linux of Debian's for arm64, with what its modules are built with, and a user space for it.

    `root` holds the packages' files under their usual paths; `release` is what `uname -r` will say.
    """

    root: Path
    release: str

    @property
    def image(self) -> Path:
        """The kernel: a raw arm64 Image."""
        return self.root / "boot" / f"vmlinuz-{self.release}"

    @property
    def modules(self) -> Path:
        """Its own modules."""
        return self.root / "lib" / "modules" / self.release

    @property
    def build(self) -> Path:
        """Where `make -C` builds a module for it."""
        return self.root / "usr" / "src" / f"linux-headers-{self.release}"

    @property
    def busybox(self) -> Path:
        """A shell and its commands in one static program."""
        return self.root / "bin" / "busybox"


def debian_kernel() -> Kernel:
    """The kernel, from the cache when it is there. Raises EnvironmentProblem, one line."""
    place = cache.folder("packages") / f"{_META}-{platform.machine()}"
    if not place.is_dir():
        with cache.staging(place.name) as staging:
            if not place.is_dir():
                _fetch(staging, place)
                os.replace(staging / "root", place)
    said = json.loads((place / "isthmus.json").read_text(encoding="utf-8"))
    return Kernel(place, said["release"])


def unpacked(apt: Path, wanted: Sequence[str], said: list[str], root: Path) -> list[Path]:
    """Downloads packages with a private configuration that was updated (it `said` so), and unpacks them into
    `root`, which is made. Returns the packages."""
    said = said + apt_get(apt, "download", *wanted)
    packages = sorted(apt.glob("*.deb"))
    if len(packages) != len(wanted):
        raise EnvironmentProblem(
            f"cannot fetch Debian's {', '.join(wanted)}: {apt_reason(said)}; mend this machine's apt sources"
        )
    root.mkdir()
    for package in packages:
        _unpack(package, root)
    return packages


def _fetch(staging: Path, place: Path) -> None:
    for tool in ("apt-get", "apt-cache", "dpkg-deb"):
        if shutil.which(tool) is None:
            raise EnvironmentProblem(f"no {tool} here to fetch {_META} with; Debian 12 is supported")
    host = _HOST.get(platform.machine())
    if host is None:
        raise EnvironmentProblem(f"kernel modules cannot be built on {platform.machine()}: amd64 or arm64 is")
    apt = private_apt(staging / "apt", f"{_META} and its packages", "deb", tuple({"arm64": 1, host: 1}))
    _log.info("fetching Debian's %s", _META)
    said = apt_get(apt, "update")
    release = _release(apt, said)
    common, series = re.sub(r"-cloud-arm64$", "-common", release), ".".join(release.split(".")[:2])
    wanted = [
        f"linux-image-{release}",
        f"linux-headers-{release}",
        f"linux-headers-{common}",
        f"linux-kbuild-{series}:{host}",
        *_TOOLS,
    ]
    root = staging / "root"
    packages = unpacked(apt, wanted, said, root)
    _relocate(root, place, release)
    versions = {name: version for name, version, _ in (p.stem.split("_") for p in packages)}
    note = {"release": release, "versions": versions}
    (root / "isthmus.json").write_text(json.dumps(note, indent=1) + "\n", encoding="utf-8")


def _release(apt: Path, said: list[str]) -> str:
    """What the meta package depends on, say 6.1.0-40-cloud-arm64."""
    done = subprocess.run(
        ["apt-cache", "-c", str(apt / "apt.conf"), "depends", _META],
        check=False,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
    )
    found = re.search(r"Depends: linux-image-(\d\S*)", done.stdout)
    if found is None:
        raise EnvironmentProblem(f"cannot fetch Debian's {_META}: {apt_reason(said)}; see also {SOURCES}")
    return found[1]


def _unpack(package: Path, root: Path) -> None:
    command = ["dpkg-deb", "--extract", str(package), str(root)]
    done = tools.run(command)
    if done.returncode != 0:
        raise EnvironmentProblem(f"cannot unpack {package.name}: {done.stdout.strip()}")


def _relocate(root: Path, place: Path, release: str) -> None:
    """The headers' Makefile names /usr/src: it is to mean this folder's. Their links are relative."""
    makefile = root / "usr" / "src" / f"linux-headers-{release}" / "Makefile"
    text = makefile.read_text(encoding="utf-8")
    makefile.write_text(text.replace("include /usr/src", f"include {place}/usr/src"), encoding="utf-8")
