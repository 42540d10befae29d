# SPDX-License-Identifier: MIT
"""A Python for the Normal world of an emulated machine: Debian's arm64 interpreter and a part of its library.

The part is what small programs of this package import: sockets, JSON, HTTP. It is compiled here where this
Python is of the same version, so that a program starts at once in the guest.
"""

from __future__ import annotations

import hashlib
import logging
import os
import py_compile
import shutil
import sys
from pathlib import Path

from isthmus.build import cache
from isthmus.build.packages import unpacked
from isthmus.build.source import apt_get, private_apt
from isthmus.errors import EnvironmentProblem

__all__ = ["INTERPRETER", "guest_python"]

_log = logging.getLogger("isthmus.build")
_VERSION = "3.11"  # Debian 12's
INTERPRETER = f"/usr/bin/python{_VERSION}"
_PACKAGES = (
    *(f"python{_VERSION}-minimal", f"libpython{_VERSION}-minimal", f"libpython{_VERSION}-stdlib"),
    *("libc6", "zlib1g", "libexpat1", "libgcc-s1"),
)
_LIBRARIES = (
    *("ld-linux-aarch64.so.1", "libc.so.6", "libm.so.6", "libz.so.1", "libexpat.so.1"),
    "libgcc_s.so.1",  # opened when a thread ends while the interpreter does
)
_MODULES = (
    "__future__", "_collections_abc", "_compression", "_weakrefset", "abc", "base64", "bisect",
    "calendar", "codecs", "contextlib", "copy", "copyreg", "datetime", "enum", "fnmatch", "functools",
    "genericpath", "hashlib", "heapq", "io", "ipaddress", "keyword", "locale", "linecache", "ntpath",
    "numbers", "operator", "os", "posixpath", "quopri", "random", "reprlib", "selectors", "signal",
    "socket", "stat", "statistics", "string", "struct", "subprocess", "textwrap", "threading", "token",
    "tokenize", "traceback", "types", "typing", "warnings", "weakref", "encodings/__init__",
    "encodings/aliases", "encodings/ascii", "encodings/latin_1", "encodings/utf_8",
    "encodings/iso8859_1", "encodings/idna", "stringprep",
)  # fmt: skip
_FOLDERS = ("collections", "email", "http", "importlib", "json", "re", "urllib")


def guest_python() -> dict[str, Path]:
    """Files by their path in the guest, from the cache when they are there. EnvironmentProblem, one line."""
    parts = "\0".join((*_PACKAGES, *_LIBRARIES, *_MODULES, *_FOLDERS))
    key = hashlib.sha256(parts.encode()).hexdigest()[:16]
    place = cache.folder("packages") / f"python{_VERSION}-arm64-{key}"
    if not place.is_dir():
        with cache.staging(place.name) as staging:
            if not place.is_dir():
                _fetch(staging)
                os.replace(staging / "guest", place)
    return {str(p.relative_to(place)): p for p in sorted(place.rglob("*")) if p.is_file()}


def _fetch(staging: Path) -> None:
    for tool in ("apt-get", "dpkg-deb"):
        if shutil.which(tool) is None:
            raise EnvironmentProblem(f"no {tool} here to fetch {_PACKAGES[0]} with; Debian 12 is supported")
    _log.info("fetching Debian's %s for the guest", _PACKAGES[0])
    apt = private_apt(staging / "apt", f"{_PACKAGES[0]} and its packages", "deb", ("arm64",))
    root, guest = staging / "root", staging / "guest"
    unpacked(apt, _PACKAGES, apt_get(apt, "update"), root)
    for name in _LIBRARIES:
        found = sorted(root.glob(f"**/aarch64-linux-gnu/{name}"))
        if not found:
            raise EnvironmentProblem(
                f"Debian's arm64 packages have no {name}: another release than Debian 12?"
            )
        _copy(found[0], guest / "lib" / name)
    _copy(root / INTERPRETER.lstrip("/"), guest / INTERPRETER.lstrip("/"))
    library = root / "usr" / "lib" / f"python{_VERSION}"
    sources = [library / f"{name}.py" for name in _MODULES]
    sources += [p for folder in _FOLDERS for p in sorted((library / folder).rglob("*.py"))]
    for source in sources:
        if source.is_file():  # the others are built in
            _module(source, guest, str(source.relative_to(root)))
    dynamic = (
        guest / library.relative_to(root) / "lib-dynload" / "empty"
    )  # the interpreter looks for its folder
    dynamic.parent.mkdir()
    dynamic.touch()


def _copy(source: Path, target: Path) -> None:
    target.parent.mkdir(parents=True, exist_ok=True)
    shutil.copyfile(source, target)


def _module(source: Path, guest: Path, name: str) -> None:
    _copy(source, guest / name)
    if ".".join(map(str, sys.version_info[:2])) == _VERSION:
        mode = py_compile.PycInvalidationMode.UNCHECKED_HASH
        py_compile.compile(str(guest / name), dfile=f"/{name}", invalidation_mode=mode)
