# SPDX-License-Identifier: MIT
"""sdist and wheel carry the whole project: an installed wheel needs nothing of the checkout."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tarfile
import zipfile
from dataclasses import dataclass
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
TREE = ("core", "host", "worlds", "boards")
SCRATCH = {"__pycache__", "build", "dist"}


@dataclass(frozen=True)
class Built:
    sdist: Path
    wheel: Path

    def in_sdist(self) -> dict[str, bytes]:
        with tarfile.open(self.sdist) as archive:
            return {
                member.name.split("/", 1)[1]: file.read()
                for member in archive
                if (file := archive.extractfile(member))
            }

    def in_wheel(self) -> dict[str, bytes]:
        with zipfile.ZipFile(self.wheel) as archive:
            return {name: archive.read(name) for name in archive.namelist()}


def files(*folders: str) -> list[str]:
    """The project's files below some folders, by their paths in the checkout."""
    found = [p for folder in folders for p in (ROOT / folder).rglob("*") if p.is_file()]
    paths = [p.relative_to(ROOT) for p in found]
    return sorted(str(p) for p in paths if not SCRATCH & set(p.parts) and not p.name.startswith("."))


@pytest.fixture(scope="module")
def packages(tmp_path_factory: pytest.TempPathFactory) -> Built:
    """The sdist out of a copy of the checkout, the wheel out of the sdist."""
    work = tmp_path_factory.mktemp("package")
    copy, out = work / "copy", work / "dist"
    ignored = shutil.ignore_patterns(
        ".git", ".venv", ".*_cache", ".hypothesis", "*.egg-info", "*.so", *SCRATCH
    )
    shutil.copytree(ROOT, copy, ignore=ignored)
    subprocess.run(
        [sys.executable, "-m", "build", "--no-isolation", "--outdir", out, copy],
        check=True,
        stdout=subprocess.DEVNULL,
    )
    (sdist,) = out.glob("*.tar.gz")
    (wheel,) = out.glob("*.whl")
    return Built(sdist, wheel)


def test_sdist_carries_everything(packages: Built) -> None:
    inside = packages.in_sdist()
    sources = [p for p in files("src") if not p.endswith(".so") and ".egg-info/" not in p]
    wanted = [*files(*TREE, "docs", "tests", "tools", "LICENSES"), *sources]
    wanted += ["README.md", "CHANGELOG.md", "LICENSE", "Makefile", "pyproject.toml", "setup.py", ".ci/run"]
    assert [p for p in wanted if p not in inside] == []
    assert [p for p in wanted if inside[p] != (ROOT / p).read_bytes()] == []


def test_wheel_carries_the_tree(packages: Built) -> None:
    inside = packages.in_wheel()
    tree = {
        p.removeprefix("isthmus/_tree/"): data for p, data in inside.items() if p.startswith("isthmus/_tree/")
    }
    assert sorted(tree) == files(*TREE)
    assert [p for p, data in tree.items() if data != (ROOT / p).read_bytes()] == []


def test_wheel_carries_the_package(packages: Built) -> None:
    """All but the extension's sources, which are compiled in."""
    wheel = packages.in_wheel()
    inside = {p for p in wheel if p.startswith("isthmus/") and not p.startswith("isthmus/_tree/")}
    native = "src/isthmus/_native/"
    wanted = {p.removeprefix("src/") for p in files("src/isthmus") if not p.startswith(native)}
    assert {p for p in inside if not p.endswith(".so")} == {p for p in wanted if not p.endswith(".so")}


def test_one_wheel_serves_every_python(packages: Built) -> None:
    """The extension keeps to the limited API."""
    assert "-cp311-abi3-" in packages.wheel.name
    assert [p for p in packages.in_wheel() if p.endswith(".so")] == ["isthmus/_native.abi3.so"]


def test_metadata(packages: Built) -> None:
    (metadata,) = (data.decode() for name, data in packages.in_wheel().items() if name.endswith("/METADATA"))
    assert "Name: isthmus\n" in metadata
    assert "License-Expression: MIT\n" in metadata
    assert "Requires-Python: >=3.11\n" in metadata
    (scripts,) = (
        data.decode() for name, data in packages.in_wheel().items() if name.endswith("/entry_points.txt")
    )
    assert "isthmus = isthmus.cli:main" in scripts


@pytest.mark.slow
@pytest.mark.host
@pytest.mark.needs("computer")
def test_installed_wheel_works_from_an_empty_folder(packages: Built, tmp_path: Path) -> None:
    """Into an empty environment, with an empty cache, with nothing of the checkout in reach."""
    venv = tmp_path / "venv"
    empty = tmp_path / "empty"
    empty.mkdir()
    subprocess.run(["/usr/bin/python3", "-m", "venv", venv], check=True)
    subprocess.run([venv / "bin/pip", "install", "-q", packages.wheel], check=True, capture_output=True)
    environment = {
        k: v for k, v in os.environ.items() if not k.startswith(("PYTHON", "ISTHMUS", "VIRTUAL_ENV"))
    }
    environment["XDG_CACHE_HOME"] = str(tmp_path / "cache")
    done = subprocess.run(
        [venv / "bin/isthmus", "check", "--machine", "host"],
        cwd=empty,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert list(empty.iterdir()) == []
