# SPDX-License-Identifier: MIT
"""Which tests try a changed file: the C programs of tests/c first, then tests of the suite in a private copy.

Nothing of a changed tree is left in the user's cache: firmware and work in progress have one of their own,
which shares what was fetched and compiled.
"""

from __future__ import annotations

import functools
import hashlib
import os
import re
import shlex
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import cast

import pytest

import core_programs
import monitor_programs
from core_programs import HOOKED, HOST, ROOT, SANITIZED, build
from isthmus.build import cache
from mutation.find import Mutant
from mutation.objects import same_code, same_monitor

__all__ = ["AREAS", "SAME_CODE", "Workshop"]

SAME_CODE = "the same machine code"

#: What is changed, by area.
AREAS = {
    "core": ("core/*.c", "core/*.h"),
    "port": ("worlds/secure/port/*.h",),
    "monitor": ("worlds/monitor/tfa/*.c", "worlds/monitor/tfa/*.h", "worlds/monitor/tfa/*.S"),
}
LIMIT_S = 600  # of one step: a test that hangs has noticed
PROGRAM_S = 120  # of one C program, which takes a few

FIRST = {"guard": "guard", "ring": "ring", "session": "session", "tag": "tag", "config": "config",
         "limit": "limit", "check": "guard", "shared": "copy", "inner": "wake", "lane": "lane",
         "budget": "port", "netport": "port"}  # fmt: skip
UNITS = ("guard", "ring", "session", "states", "tag", "wake", "limit", "copy", "config", "lane", "port")
PORT = (f"-I{ROOT / 'worlds' / 'secure' / 'port'}",)
GEOMETRIES = ("plain", "crc", "wrap", "budget", "siphash", "tight", "uneven")
QUICK = ("-g", "-O1", "-fsanitize=address", HOOKED)
ORDERING = ("order", "call", "barrier", "always", "never")

CHANNELS = "pytest tests/test_port_channels.py -k 'not notices'"
LOCK = "pytest tests/test_monitor_lock.py -k in_order"
#: Of the steps below those that take seconds.
SECONDS = (
    CHANNELS,
    "pytest tests/test_monitor_session.py",
    LOCK,
    "pytest tests/test_filter.py -k 'not defect and not lets_out'",
)
#: What else tries an area, cheapest first: modules of Python with their arguments. Never a test that changes
#: the source itself, or counts instructions: that one would notice for another reason.
SUITE = {
    "core/filter.c": ("pytest tests/test_filter.py -k 'not defect and not lets_out'",),
    "core": (
        "pytest tests/test_core_tag.py",
        "isthmus attack --machine memory --no-controls",
        "pytest tests/test_secure_port.py",
    ),
    "order": (
        "pytest tests/test_core_threads.py -k 'no_race or no_wake or both'",
        "pytest tests/test_memory_model.py -k 'holds_every or comes_behind'",
    ),
    "worlds/secure/port/channels.h": (CHANNELS,),
    "port": (
        "pytest tests/test_secure_port.py",
        "pytest tests/test_freertos_port.py -k 'not mistake and not checksums'",
        "isthmus attack --machine host --no-controls",
    ),
    "worlds/monitor/tfa/session.c": ("pytest tests/test_monitor_session.py",),
    "worlds/monitor/tfa/lock.S": (LOCK,),
    "worlds/monitor/tfa/lock.h": (LOCK,),
    "monitor": (
        "pytest tests/test_smc.py tests/test_qemu.py",
        "pytest tests/test_qemu_smc.py",
        "pytest tests/test_psci.py",
        "pytest tests/test_registers.py tests/test_qemu_registers.py -k 'not wrong and not is_found'",
        "pytest tests/test_restart.py",
        "pytest tests/test_qemu_cores.py tests/test_qemu_doorbell.py",
        "pytest tests/test_qemu_interrupts.py tests/test_qemu_driver.py",
    ),
}


class _Folders:
    """What core_programs.build() asks pytest's factory of temporary folders for."""

    def __init__(self, base: Path) -> None:
        self.base = base

    def getbasetemp(self) -> Path:
        return self.base


class Workshop:
    """A private copy of the tree, in which one change at a time is judged. `folder` is its own."""

    def __init__(self, folder: Path) -> None:
        self.copy = folder / "tree"
        self.changed = folder / "changed"
        self.code = folder / "code"
        digest = hashlib.sha256()
        for place in ("core", "host", "tests/c", "tests/monitor", "worlds/monitor/tfa"):
            for path in sorted((ROOT / place).iterdir()):
                digest.update(path.read_bytes())
        self.objects = folder / f"objects-{digest.hexdigest()[:16]}"
        self.objects.mkdir(parents=True, exist_ok=True)
        self.sound: set[tuple[str, str]] = set()  # tests that hold where this file is as it was
        made = {"build", "dist"}  # at the top; elsewhere it is a package of that name
        rest = shutil.ignore_patterns(".git", ".venv", "__pycache__", ".*_cache", ".hypothesis")
        shutil.copytree(
            ROOT, self.copy, ignore=lambda at, names: {*rest(at, names), *(made if at == str(ROOT) else ())}
        )
        self.cache = folder / "cache"
        own = self.cache / "isthmus"
        own.mkdir(parents=True)
        for shared in ("sources", "packages", "objects", "programs", "modules", "initramfs", "boards"):
            (own / shared).symlink_to(cache.folder(shared))

    def judge(self, mutant: Mutant, area: str, quick: bool = False) -> str:
        """What noticed the change, SAME_CODE, or an empty string. `quick`: what takes seconds alone.

        RuntimeError: a test falls short without the change too. Each one that notices is asked that once.
        """
        original = (ROOT / mutant.file).read_text(encoding="utf-8")
        if area != "monitor" and same_code(mutant.file, mutant.apply(original), self.code):
            return SAME_CODE
        noticed_by = self._first(mutant, area, mutant.apply(original), quick)
        if noticed_by not in ("", SAME_CODE) and (mutant.file, noticed_by) not in self.sound:
            if self._first(mutant, area, original, quick, noticed_by):
                raise RuntimeError(f"without any change this does not hold: {noticed_by}")
            self.sound.add((mutant.file, noticed_by))
        return noticed_by

    def _first(self, mutant: Mutant, area: str, text: str, quick: bool, only: str = "") -> str:
        """The first step that fails with `text` in the file's place; `only`: this step alone."""
        if area in ("core", "port"):
            shutil.rmtree(self.changed, ignore_errors=True)
            for name, step in self._programs(Path(mutant.file).name, text, mutant.kind):
                if only in ("", name) and _fails(step):
                    return name
                if only == name:
                    return ""
        if area == "monitor" and not only.startswith(("pytest", "tests/")):
            if noticed_by := self._units(Path(mutant.file).name, text):
                return noticed_by
            if only:
                return ""
            if same_monitor(Path(mutant.file).name, text, self.code):
                return SAME_CODE
        target = self.copy / mutant.file
        original = target.read_text(encoding="utf-8")
        target.write_text(text, encoding="utf-8")
        more = SUITE["order"] if area == "core" and mutant.kind in ORDERING else ()
        steps = (*SUITE.get(mutant.file, ()), *SUITE[area], *more)
        if quick:
            steps = tuple(step for step in steps if step in SECONDS)
        try:
            for tests in (f"pytest {only}",) if only.startswith("tests/") else (only,) if only else steps:
                if noticed_by := self.suite(tests):
                    return noticed_by
        finally:
            target.write_text(original, encoding="utf-8")
        return ""

    def _programs(self, name: str, text: str, kind: str) -> Iterator[tuple[str, Callable[[], object]]]:
        """C programs with `text` in place of the core's file `name`."""
        folders = cast(pytest.TempPathFactory, _Folders(self.objects))
        race = ("-g", "-O1", "-fsanitize=thread", "-Wno-tsan", "-pthread")

        def step(program: str, *flags: str, argv: Sequence[str] = ()) -> Callable[[], None]:
            def run() -> None:
                place = self.changed / hashlib.sha256(repr(flags).encode()).hexdigest()[:8]
                place.mkdir(parents=True, exist_ok=True)
                file = place / name
                file.write_text(text, encoding="utf-8")
                also = (HOST / "link.c",) if program in ("unit_copy", "trace", "threads") else ()
                made = build(folders, program, *flags, "-w", also=also, instead=file)
                core_programs.run(made, *argv, timeout=PROGRAM_S)

            return run

        if name == "channels.h":  # has its own program, too
            return
        if name == "filter.c":  # the allow-list has its own tests
            yield "unit_guard", step("unit_guard", "-O0")
            return
        first = FIRST.get(name.split(".")[0], "guard")
        others = ("lane",) if first == "port" else UNITS
        order = (first, *(u for u in others if u != first))
        for unit in order:
            more = PORT if unit in ("lane", "port") else (HOOKED,) if unit == "wake" else ()
            yield f"unit_{unit}", step(f"unit_{unit}", "-O0", *more)
        if first == "port":
            return
        yield "trace", step("trace", "-O2")
        for geometry in GEOMETRIES:
            yield f"hostile {geometry}", step("hostile", *QUICK, argv=("--cut", "1", "--only", geometry))
        for unit in order:
            more = PORT if unit in ("lane", "port") else (HOOKED,) if unit == "wake" else ()
            yield f"unit_{unit}, sanitized", step(f"unit_{unit}", *SANITIZED, *more)
        if kind in ORDERING:
            for fence in ("core", "peer"):
                yield "threads", step("threads", *race, argv=("6000", "1", "mixed", fence, "2", "1"))

    def _units(self, name: str, text: str) -> str:
        """The first board for which a unit of the monitor does not hold with `text` in place of its file."""
        if name.endswith(".S"):
            return ""
        for board in monitor_programs.BOARDS:
            place = self.changed / board
            shutil.rmtree(place, ignore_errors=True)
            place.mkdir(parents=True)
            (place / name).write_text(text, encoding="utf-8")
            if _fails(functools.partial(_unit_of_monitor, self.objects / board, board, place / name)):
                return f"unit_monitor, {board}"
        return ""

    def suite(self, tests: str) -> str:
        """The first of these tests that does not hold in the copy; empty if all do."""
        module, *arguments = shlex.split(tests)
        more = ("-x", "-q", "-p", "no:cacheprovider") if module == "pytest" else ()
        environment = {
            **os.environ,
            "PYTHONPATH": str(self.copy / "src"),
            "PYTHONDONTWRITEBYTECODE": "1",
            "XDG_CACHE_HOME": str(self.cache),
        }
        with tempfile.TemporaryFile("w+", errors="replace") as said:
            child = subprocess.Popen(
                [sys.executable, "-m", module, *more, *arguments],
                cwd=self.copy, env=environment, stdout=said, stderr=said, start_new_session=True,
            )  # fmt: skip
            try:
                if child.wait(LIMIT_S) == 0:
                    return ""
            except subprocess.TimeoutExpired:
                os.killpg(child.pid, signal.SIGTERM)
                child.wait(30)
                return f"{arguments[0]}"
            except BaseException:
                os.killpg(child.pid, signal.SIGTERM)
                child.wait(30)
                raise
            said.seek(0)
            failed = re.search(r"^(?:FAILED|ERROR) ([^\s[]+)", said.read(), re.MULTILINE)
        return failed[1] if failed else tests


def _unit_of_monitor(folder: Path, board: str, changed: Path) -> None:
    core_programs.run(monitor_programs.build(folder, board, changed), timeout=PROGRAM_S)


def _fails(step: Callable[[], object]) -> bool:
    """A program that does not compile is noticed by whoever builds it."""
    try:
        step()
    except pytest.fail.Exception:
        return True
    return False
