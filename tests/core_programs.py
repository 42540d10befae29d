# SPDX-License-Identifier: MIT
"""Builds and runs the C tests of the core (tests/c) for the pytest drivers beside this file."""

from __future__ import annotations

import hashlib
import re
import subprocess
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import NamedTuple

import pytest

ROOT = Path(__file__).parent.parent
SOURCES = ROOT / "tests/c"
CORE = ROOT / "core"
HOST = ROOT / "host"

#: Both compilers of the project; a test that needs one and does not find it fails.
COMPILERS = ("gcc", "clang")
WARNINGS = ("-std=c11", "-Wall", "-Wextra", "-Wconversion", "-pedantic", "-Werror")
#: Addresses and undefined behaviour: the first finding ends the program.
SANITIZED = ("-g", "-O1", "-fsanitize=address,undefined", "-fno-sanitize-recover=all")
#: Puts the program in every load of shared memory (core/shared.h).
HOOKED = "-DIST_TEST_HOOKS"


class Defect(NamedTuple):
    """One statement of the core, and what it becomes."""

    file: str
    was: str
    becomes: str


def compiler(*command: str, folder: Path | None = None) -> str:
    """Runs a compiler or binary tool in `folder`; its standard output, or a failed test with what it said."""
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
    if done.returncode:
        pytest.fail(f"{' '.join(command)}\n{done.stderr}", pytrace=False)
    return done.stdout


def build(
    factory: pytest.TempPathFactory,
    program: str | Path,
    *flags: str,
    cc: str = "gcc",
    also: tuple[Path, ...] = (),
    instead: Path | None = None,
) -> Path:
    """Links tests/c/`program`.c, or the file given, with the core and `also`; the executable.

    Objects lie in a folder of this test session by compiler and flags: the core is compiled once for each.
    `instead` stands in for the core's file of the same name; where it is a header, in each file that includes
    it (its guard keeps the original out). The executable then lies beside it.
    """
    source = program if isinstance(program, Path) else SOURCES / f"{program}.c"
    command = (cc, "-D_GNU_SOURCE", *WARNINGS, *flags, f"-I{CORE}", f"-I{HOST}", f"-I{SOURCES}")
    folder = factory.getbasetemp() / f"core-{hashlib.sha256(repr(command).encode()).hexdigest()[:12]}"
    folder.mkdir(exist_ok=True)

    def compiled(path: Path) -> Path:
        place: Path = folder
        extra: tuple[str, ...] = ()
        if instead and path.name == instead.name:
            place, path = instead.parent, instead
        elif instead and f'#include "{instead.name}"' in path.read_text():
            place, extra = instead.parent, ("-include", str(instead))
        target = place / f"{path.stem}.o"
        if not target.exists():
            compiler(*command, *extra, "-c", str(path), "-o", str(target))
        return target

    executable = (instead.parent if instead else folder) / source.stem
    if not executable.exists():
        with ThreadPoolExecutor(2) as pool:
            objects = [*pool.map(compiled, [source, *also, *sorted(CORE.glob("*.c"))])]
        compiler(*command, *map(str, objects), "-o", str(executable))
    return executable


def defective(
    factory: pytest.TempPathFactory,
    program: str,
    defect: Defect,
    *flags: str,
    cc: str = "gcc",
    also: tuple[Path, ...] = (),
) -> Path:
    """The program over a core with one statement changed: the positive control of what it is to notice."""
    text = (CORE / defect.file).read_text()
    assert text.count(defect.was) == 1, f"{defect.file} no longer says {defect.was!r}"
    broken = factory.mktemp("defect") / defect.file
    broken.write_text(text.replace(defect.was, defect.becomes))
    return build(factory, program, *flags, "-w", cc=cc, also=also, instead=broken)


def run(program: Path, *arguments: str, stdin: str = "", timeout: float = 200) -> str:
    """Runs a test program; its standard output, or a failed test that shows what it said."""
    command = [str(program), *arguments]
    try:
        done = subprocess.run(
            command, input=stdin, capture_output=True, text=True, check=False, timeout=timeout
        )
    except subprocess.TimeoutExpired:
        pytest.fail(f"{' '.join(command)}: still running after {timeout} s", pytrace=False)
    if done.returncode:
        pytest.fail(
            f"{' '.join(command)}: status {done.returncode}\n{done.stdout[-2000:]}{done.stderr[-6000:]}",
            pytrace=False,
        )
    return done.stdout


def names_of(program: str) -> list[str]:
    """The names of all TEST(name) in tests/c/`program`.c."""
    return re.findall(r"^TEST\((\w+)\)", (SOURCES / f"{program}.c").read_text(), re.MULTILINE)
