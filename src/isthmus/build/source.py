# SPDX-License-Identifier: MIT
"""Upstream sources as Debian packages them, through this machine's own apt configuration.

Works as an ordinary user, and leaves the system's package lists as they are: the machine's entries for Debian
itself are read, turned into source entries in a private folder, and apt-get is pointed at that. Mirrors,
proxies, keys and credentials are thus the machine's own. What arrives is compared with the pinned checksum
before it is unpacked.
"""

from __future__ import annotations

import hashlib
import logging
import os
import platform
import re
import shutil
import subprocess
import tarfile
import tomllib
from collections.abc import Sequence
from pathlib import Path

import msgspec

from isthmus.build import cache, tools
from isthmus.errors import EnvironmentProblem

__all__ = [
    "SOURCES",
    "Pin",
    "apt_get",
    "apt_reason",
    "debian_source",
    "private_apt",
    "read_pin",
    "source_entries",
]

_log = logging.getLogger("isthmus.build")
SOURCES = "ISTHMUS_SOURCES"  # environment: a folder of archives that were downloaded already


class Pin(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One upstream archive of one Debian source package."""

    package: str
    version: str
    archive: str
    sha256: str
    folder: str


def read_pin(path: Path) -> Pin:
    """A pin from its TOML file."""
    return msgspec.convert(tomllib.loads(path.read_text(encoding="utf-8")), Pin)


def debian_source(pin: Pin) -> Path:
    """The unpacked archive, from the cache when it is there. Raises EnvironmentProblem, one line."""
    place = cache.folder("sources") / f"{pin.package}-{pin.sha256[:16]}"
    if place.is_dir():
        return place / pin.folder
    with cache.staging(f"source-{pin.package}") as staging:
        if not place.is_dir():
            archive = _local(pin) or _fetch(pin, staging)
            _check(pin, archive)
            _unpack(archive, staging / "tree")
            if not (staging / "tree" / pin.folder).is_dir():
                raise EnvironmentProblem(f"{archive.name} does not hold {pin.folder}/")
            os.replace(staging / "tree", place)
    return place / pin.folder


def _local(pin: Pin) -> Path | None:
    folder = os.environ.get(SOURCES)
    if not folder:
        return None
    archive = Path(folder) / pin.archive
    if not archive.is_file():
        raise EnvironmentProblem(f"{SOURCES}={folder} does not hold {pin.archive}")
    return archive


def _check(pin: Pin, archive: Path) -> None:
    with archive.open("rb") as file:
        found = hashlib.file_digest(file, "sha256").hexdigest()
    if found != pin.sha256:
        raise EnvironmentProblem(
            f"{archive} is not used: its SHA-256 is {found}, not the pinned {pin.sha256}; fetch it elsewhere"
        )


def _unpack(archive: Path, place: Path) -> None:
    """Regular files only, below `place` only: an archive is not trusted to name where it writes."""
    place.mkdir()
    with tarfile.open(archive) as tar:
        for member in tar:
            parts = Path(member.name).parts
            content = tar.extractfile(member) if member.isfile() else None
            if content is None or Path(member.name).is_absolute() or ".." in parts:
                continue
            target = place.joinpath(*parts)
            target.parent.mkdir(parents=True, exist_ok=True)
            with content, target.open("wb") as file:
                shutil.copyfileobj(content, file)


# ---- apt --------------------------------------------------------------------------------------------


def _fetch(pin: Pin, staging: Path) -> Path:
    if shutil.which("apt-get") is None:
        raise EnvironmentProblem(
            f"no apt-get here (Debian 12 is supported); set {SOURCES} to a folder with {pin.archive}"
        )
    apt = private_apt(staging / "apt", pin.archive)
    _log.info("fetching Debian's source package %s %s", pin.package, pin.version)
    said = apt_get(apt, "update")
    # A later Debian revision keeps the upstream archive: where the pinned one is gone, any that has it does.
    for wanted in (f"{pin.package}={pin.version}", pin.package):
        said += apt_get(apt, "source", "--download-only", wanted)
        if (apt / pin.archive).is_file():
            return apt / pin.archive
    raise EnvironmentProblem(
        f"cannot fetch Debian's source package {pin.package} {pin.version}: {apt_reason(said)}; "
        f"mend this machine's apt sources, or set {SOURCES} to a folder with {pin.archive}"
    )


def apt_reason(said: list[str]) -> str:
    """The first thing that apt-get could not do."""
    found = (line[2:].strip() for line in said if line.startswith(("E:", "W: Failed")))
    return next(found, "apt-get gave no reason")


def apt_get(folder: Path, *arguments: str) -> list[str]:
    """Runs apt-get with the private configuration; returns what it said."""
    done = tools.run(["apt-get", "-q", "-c", str(folder / "apt.conf"), *arguments], cwd=folder)
    return done.stdout.splitlines()


def private_apt(folder: Path, wanted: str, kind: str = "deb-src", architectures: Sequence[str] = ()) -> Path:
    """A folder with lists, cache and sources of its own, for source packages (`kind` "deb-src") or binary
    ones ("deb", of these architectures, the first one's by default). Its configuration is read after the
    machine's, and so is the place to clear the machine's hooks: they refresh system-wide state, which is not
    ours. `wanted` is what a user without Debian's archive has to bring along."""
    for name in ("lists/partial", "cache/archives/partial", "parts"):
        (folder / name).mkdir(parents=True)
    settings = {
        "Dir::Etc::sourcelist": "/dev/null",
        "Dir::Etc::sourceparts": folder / "parts",
        "Dir::State::lists": folder / "lists",
        "Dir::Cache": folder / "cache",
        "APT::Sandbox::User": "root",  # no other user can reach into the cache folder
        "Acquire::Languages": "none",
        "Acquire::http::Timeout": "30",
        "Acquire::Retries": "2",
    }
    hooks = ("APT::Update::Pre-Invoke", "APT::Update::Post-Invoke", "APT::Update::Post-Invoke-Success")
    lines = [f"#clear {name};" for name in hooks] + [f'{name} "{value}";' for name, value in settings.items()]
    if architectures:
        lines += [f'APT::Architecture "{architectures[0]}";', "#clear APT::Architectures;"]
        lines += [f'APT::Architectures:: "{name}";' for name in architectures]
    (folder / "apt.conf").write_text("\n".join(lines) + "\n")

    list_file, parts = _configured_sources()
    codename = platform.freedesktop_os_release().get("VERSION_CODENAME", "bookworm")
    found = 0
    files = [list_file, *sorted(parts.glob("*.list")), *sorted(parts.glob("*.sources"))]
    for number, path in enumerate(files):
        try:
            text = path.read_text(encoding="utf-8", errors="replace")
        except OSError:
            continue
        entries = source_entries(text, path.suffix == ".sources", codename, kind)
        if entries:
            (folder / "parts" / f"{number}{path.suffix}").write_text(entries)
            found += 1
    if not found:
        raise EnvironmentProblem(
            f"this machine's apt sources name no Debian archive for {codename}; "
            f"set {SOURCES} to a folder with {wanted}"
        )
    return folder


def _configured_sources() -> tuple[Path, Path]:
    """sources.list and sources.list.d, wherever this machine's apt keeps them."""
    names = ("LIST", "Dir::Etc::sourcelist/f", "PARTS", "Dir::Etc::sourceparts/d")
    done = subprocess.run(
        ["apt-config", "shell", *names], check=False, capture_output=True, text=True, stdin=subprocess.DEVNULL
    )
    found = dict(re.findall(r"^(LIST|PARTS)='(.*)'$", done.stdout, re.MULTILINE))
    etc = Path("/etc/apt")
    return Path(found.get("LIST", etc / "sources.list")), Path(found.get("PARTS", etc / "sources.list.d"))


def source_entries(text: str, deb822: bool, codename: str, kind: str = "deb-src") -> str:
    """What of one of apt's source files is Debian's own, for this release: as entries of this kind.

    >>> source_entries("deb [signed-by=/k.gpg] http://mirror/debian bookworm main # x", False, "bookworm")
    'deb-src [signed-by=/k.gpg] http://mirror/debian bookworm main\\n'
    >>> source_entries("deb http://elsewhere/apt bookworm-vendor main", False, "bookworm")
    ''
    """
    if deb822:
        stanzas = [_deb822(stanza, codename, kind) for stanza in re.split(r"\n[ \t]*\n", text)]
        return "\n\n".join(filter(None, stanzas))
    lines = {_one_line(line, codename, kind): None for line in text.splitlines()}
    return "".join(filter(None, lines))


def _debian(suites: list[str], components: list[str], codename: str) -> bool:
    own = {codename, f"{codename}-updates", f"{codename}-security", f"{codename}/updates"}
    return bool(suites) and own.issuperset(suites) and "main" in components


def _one_line(line: str, codename: str, kind: str) -> str:
    entry = re.match(r"deb(?:-src)?\s+(\[[^]]*\]\s+)?(\S+)\s+(\S+)\s+([^#]+)", line.strip())
    if not entry or not _debian([entry[3]], entry[4].split(), codename) or entry[2].startswith("cdrom:"):
        return ""
    options = re.sub(r"\barch=\S+?(?=[\s\]])\s*", "", entry[1] or "").replace("[]", "").strip()
    return f"{kind} {options + ' ' if options else ''}{entry[2]} {entry[3]} {entry[4].strip()}\n"


def _deb822(stanza: str, codename: str, kind: str) -> str:
    kept: list[str] = []
    fields: dict[str, str] = {}
    name = ""
    for line in stanza.splitlines():
        if line.startswith("#"):
            continue
        if not line[:1].isspace() and ":" in line:
            name, _, value = line.partition(":")
            name = name.strip().lower()
            fields[name] = value
        elif name:
            fields[name] += " " + line
        if name not in ("types", "architectures", "enabled"):
            kept.append(line)
    suites, components = fields.get("suites", "").split(), fields.get("components", "").split()
    enabled = fields.get("enabled", "yes").strip().lower() not in ("no", "false", "off", "0")
    if not enabled or not _debian(suites, components, codename):
        return ""
    return "\n".join([f"Types: {kind}", *kept]).strip() + "\n"
