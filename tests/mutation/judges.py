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
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import NamedTuple, cast

import pytest

import arm_trace
import core_programs
import monitor_programs
import test_filter
import test_memory_model
import test_port_channels
from core_programs import HOOKED, HOST, ROOT, SANITIZED, build
from isthmus.build import cache
from mutation.find import Mutant, mutants
from mutation.objects import same_code, same_monitor
from mutation.schemata import CHOICE, Schemata, schemata

__all__ = ["AREAS", "SAME_CODE", "STAGES", "Workshop"]

SAME_CODE = "the same machine code"
#: All changes go through a stage before any goes through the next, which takes longer.
STAGES = ("units", "programs", "suite")
UNITS_STAGE, PROGRAMS_STAGE, SUITE_STAGE = range(len(STAGES))

#: What is changed, by area.
AREAS = {
    "core": ("core/*.c", "core/*.h"),
    "port": ("worlds/secure/port/*.h",),
    "monitor": ("worlds/monitor/tfa/*.c", "worlds/monitor/tfa/*.h", "worlds/monitor/tfa/*.S"),
}
LIMIT_S = 600  # of one step: a test that hangs has noticed
PROGRAM_S = 300  # of one C program
#: And of the processor's time, which a busy computer does not lengthen: a loop without an end is over soon.
PROGRAM_CPU_S = {UNITS_STAGE: 10, PROGRAMS_STAGE: 60}

FIRST = {"guard": "guard", "ring": "ring", "session": "session", "tag": "tag", "config": "config",
         "limit": "limit", "check": "guard", "shared": "copy", "inner": "wake", "lane": "lane",
         "budget": "port", "netport": "port"}  # fmt: skip
UNITS = ("guard", "ring", "session", "states", "tag", "wake", "limit", "copy", "config", "lane", "port")
PORT = (f"-I{ROOT / 'worlds' / 'secure' / 'port'}",)
GEOMETRIES = ("plain", "crc", "wrap", "budget", "siphash", "tight", "uneven")
QUICK = ("-g", "-O1", "-fsanitize=address", HOOKED)
ORDERING = ("order", "call", "barrier", "always", "never")


def _frames(program: Path) -> None:
    test_filter.test_frames_of_every_kind_under_one_policy(program)
    test_filter.test_a_rule_keeps_its_rate_and_others_theirs(program)
    test_filter.test_frames_to_groups_share_a_budget_that_refused_ones_cost_too(program)
    test_filter.test_a_rule_of_another_lane_lets_nothing_pass_by_this_one(program)
    test_filter.test_the_largest_policy_fits(program)
    for name in test_filter.TABLES:
        test_filter.test_a_table_is_held_to_its_bounds(name, program)


def _turns(program: Path) -> None:
    for linger in (-1, 0, 1):
        test_port_channels.agree(program, (3, 2, (2, 150), 7, linger, test_port_channels.STEPS))
    test_port_channels.agree(program, (2, 2, (2, 150), 0, 1, test_port_channels.HOLDING))
    test_port_channels.agree(program, (2, 1, (2, 150), 0, 2, test_port_channels.WARM))
    test_port_channels.agree(program, (2, 1, (9, 150), 0, 0, test_port_channels.BYTES))
    test_port_channels.test_a_doorbell_is_heard_between_two_turns(program)
    test_port_channels.test_a_peer_that_waits_for_room_is_told(program)
    test_port_channels.test_channels_with_all_lanes_wait_for_nothing(program)


#: Of the steps below what can be had without starting pytest: tests, program, flags, and what is to hold.
FIRST_OF: dict[str, tuple[str, str, tuple[str, ...], Callable[[Path], None]]] = {
    "filter.c": ("test_filter", "judge", (), _frames),
    "channels.h": ("test_port_channels", "channels", PORT, _turns),
}

CHANNELS = "pytest tests/test_port_channels.py -k 'not notices'"
LOCK = "pytest tests/test_monitor_lock.py -k in_order"
ENTRY = "pytest tests/test_monitor_entry.py"
#: Of the steps below those that take seconds.
SECONDS = ("pytest tests/test_monitor_session.py", LOCK, ENTRY)
#: What else tries an area, cheapest first: modules of Python with their arguments. Never a test that changes
#: the source itself, or counts instructions: that one would notice for another reason.
SUITE = {
    "core/filter.c": (
        "pytest tests/test_filter.py -k 'not defect and not lets_out'",
        "pytest tests/test_filter_ipv6.py -k 'not linux'",
    ),
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
    "worlds/monitor/tfa/entry.S": (ENTRY,),
    "worlds/monitor/tfa/pen.S": (ENTRY,),
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


def _limited(program: Path, seconds: int, number: int | None = None) -> Path:
    """The program, with so much of the processor's time, and the change of this number, if it has several."""
    script = program.with_suffix(".limited")
    choice = f"export {CHOICE}={number or 0}\n"
    script.write_text(f'#!/bin/sh\nulimit -t {seconds}\n{choice}exec {shlex.quote(str(program))} "$@"\n')
    script.chmod(0o700)
    return script


class _Step(NamedTuple):
    stage: int
    name: str
    run: Callable[[], str]  # what it is that noticed; empty: nothing


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
        self.late = False  # a time limit has noticed
        self.noticed: Counter[tuple[str, str]] = Counter()  # changes, by function and step
        self.all: dict[Path, Schemata] = {}
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

    def judge(self, mutant: Mutant, area: str, stage: int) -> str:
        """What noticed the change in this stage (of STAGES), SAME_CODE, or an empty string.

        RuntimeError: a test falls short without the change too. Each one that notices is asked that once, and
        each time where it was its time limit that noticed: on a busy computer anything may be late.
        """
        original = (ROOT / mutant.file).read_text(encoding="utf-8")
        self.late = False
        noticed_by = ""
        function = mutant.id.split(" ")[1]
        steps = [s for s in self._steps(mutant, area, mutant.apply(original)) if s.stage == stage]
        for step in sorted(steps, key=lambda s: -self.noticed[function, s.name]):  # as its neighbours were
            if noticed_by := step.run():
                self.noticed[function, step.name] += 1
                break
        if noticed_by not in ("", SAME_CODE) and (self.late or (mutant.file, noticed_by) not in self.sound):
            if not self._holds(mutant, area, original, noticed_by):
                raise RuntimeError(f"without any change this does not hold: {noticed_by}")
            self.sound.add((mutant.file, noticed_by))
        return noticed_by

    def _holds(self, mutant: Mutant, area: str, original: str, noticed_by: str) -> bool:
        if noticed_by.startswith("tests/"):
            return not self._changed_suite(mutant.file, original, f"pytest {noticed_by}")
        return not any(s.run() for s in self._steps(mutant, area, original) if s.name == noticed_by)

    def _steps(self, mutant: Mutant, area: str, text: str) -> Iterator[_Step]:
        """All that tries `text` in place of the changed file, cheapest first."""
        shutil.rmtree(self.changed, ignore_errors=True)
        yield from self._units(mutant, text) if area == "monitor" else self._programs(mutant, text, area)
        more = SUITE["order"] if area == "core" and mutant.kind in ORDERING else ()
        for tests in (*SUITE.get(mutant.file, ()), *SUITE[area], *more):
            suite = functools.partial(self._changed_suite, mutant.file, text, tests)
            yield _Step(PROGRAMS_STAGE if tests in SECONDS else SUITE_STAGE, tests, suite)

    def _programs(self, mutant: Mutant, text: str, area: str) -> Iterator[_Step]:
        """C programs with `text` in place of the core's or the ports' file."""
        name = Path(mutant.file).name
        original = (ROOT / mutant.file).read_text(encoding="utf-8")
        folders = cast(pytest.TempPathFactory, _Folders(self.objects))
        race = ("-g", "-O1", "-fsanitize=thread", "-Wno-tsan", "-pthread")

        def step(
            stage: int,
            called: str,
            program: str,
            *flags: str,
            argv: Sequence[str] = (),
            holds: Callable[[Path], None] | None = None,
        ) -> _Step:
            def run() -> str:
                also = (HOST / "link.c",) if program in ("unit_copy", "trace", "threads") else ()
                all_changes = self._schemata(mutant.file, flags)
                number = all_changes.number.get(mutant.id) if program not in ("trace", "threads") else None
                if number is not None:
                    options, file = (*flags, "-w"), all_changes.file
                    also = (*also, all_changes.switch)
                else:
                    place = self.changed / hashlib.sha256(repr(flags).encode()).hexdigest()[:8]
                    place.mkdir(parents=True, exist_ok=True)
                    options, file = (*flags, "-w"), place / name
                    file.write_text(text, encoding="utf-8")
                made = build(folders, program, *options, also=also, instead=file)
                made = _limited(made, PROGRAM_CPU_S[stage], number if text != original else 0)
                if holds is None:
                    core_programs.run(made, *argv, timeout=PROGRAM_S)
                    return ""
                try:
                    holds(made)
                except AssertionError:
                    return called
                return ""

            return _Step(stage, called, functools.partial(self._fails, run, called))

        first = FIRST.get(name.split(".")[0], "guard")
        others = ("lane",) if first == "port" else UNITS
        order = (first, *(u for u in others if u != first))
        if name in ("channels.h", "filter.c"):  # they have their own tests
            order = ()
        flags = {
            unit: PORT if unit in ("lane", "port") else (HOOKED,) if unit == "wake" else () for unit in UNITS
        }
        for unit in order:
            yield step(UNITS_STAGE, f"unit_{unit}", f"unit_{unit}", "-O0", *flags[unit])
        if name in FIRST_OF:
            tests, program, flags_of, holds = FIRST_OF[name]
            yield step(UNITS_STAGE, tests, program, "-O1", *flags_of, holds=holds)
            yield step(PROGRAMS_STAGE, f"{tests}, sanitized", program, *SANITIZED, *flags_of, holds=holds)
        if mutant.kind in ORDERING and area == "core":
            ordered = functools.partial(self._orderings, name, text)
            called = "test_memory_model"
            yield _Step(PROGRAMS_STAGE, called, functools.partial(self._fails, ordered, called))
        if order and first != "port":
            yield step(PROGRAMS_STAGE, "trace", "trace", "-O2")
        same = functools.partial(same_code, mutant.file, text, self.code)
        yield _Step(PROGRAMS_STAGE, SAME_CODE, lambda: SAME_CODE if same() else "")
        if first == "port" or not order:
            return
        for unit in order:
            called = f"unit_{unit}, sanitized"
            yield step(PROGRAMS_STAGE, called, f"unit_{unit}", *SANITIZED, *flags[unit])
        for geometry in GEOMETRIES:
            argv: tuple[str, ...] = ("--cut", "1", "--only", geometry)
            yield step(PROGRAMS_STAGE, f"hostile {geometry}", "hostile", *QUICK, argv=argv)
        if mutant.kind in ORDERING:
            for fence in ("core", "peer"):
                argv = ("6000", "1", "mixed", fence, "2", "1")
                yield step(PROGRAMS_STAGE, f"threads, fence of {fence}", "threads", *race, argv=argv)

    def _schemata(self, file: str, flags: tuple[str, ...]) -> Schemata:
        """All changes of the file in one, to be built with these flags."""
        place = self.objects / "all" / hashlib.sha256(repr((file, flags)).encode()).hexdigest()[:12]
        if place not in self.all:
            original = ROOT / file
            known = mutants(file, original.read_text(encoding="utf-8"))
            command = ("gcc", "-std=c11", "-D_GNU_SOURCE", f"-I{core_programs.CORE}", *PORT, *flags)
            self.all[place] = schemata(original, known, place, command)
        return self.all[place]

    def _units(self, mutant: Mutant, text: str) -> Iterator[_Step]:
        """The units of the monitor, board by board, with `text` in place of its file."""
        name = Path(mutant.file).name
        if name.endswith(".S"):
            return

        def run(board: str) -> str:
            place = self.changed / board
            place.mkdir(parents=True)
            (place / name).write_text(text, encoding="utf-8")
            program = monitor_programs.build(self.objects / board, board, place / name)
            core_programs.run(_limited(program, PROGRAM_CPU_S[UNITS_STAGE]), timeout=PROGRAM_S)
            return ""

        for board in monitor_programs.BOARDS:
            called = f"unit_monitor, {board}"
            step = functools.partial(run, board)
            yield _Step(UNITS_STAGE, called, functools.partial(self._fails, step, called))
        same = functools.partial(same_monitor, name, text, self.code)
        yield _Step(UNITS_STAGE, SAME_CODE, lambda: SAME_CODE if same() else "")

    def _orderings(self, name: str, text: str) -> str:
        """The litmus tests over what AArch64's machine code does."""
        place = self.changed / "model"
        shutil.rmtree(place, ignore_errors=True)
        image = arm_trace.core_image(place, "gcc", "-O2", lambda n, t: text if n == name else t)
        work = test_memory_model.Work(image)
        try:
            hurts = any(test_memory_model.hurts(work, name) for name in test_memory_model.ORDERINGS)
        except (AssertionError, StopIteration):  # an access that an ordering is about is not made at all
            hurts = True
        return "test_memory_model" if hurts else ""

    def _changed_suite(self, file: str, text: str, tests: str) -> str:
        target = self.copy / file
        original = target.read_text(encoding="utf-8")
        target.write_text(text, encoding="utf-8")
        try:
            return self.suite(tests)
        finally:
            target.write_text(original, encoding="utf-8")

    def _fails(self, step: Callable[[], str], name: str) -> str:
        """A program that does not compile is noticed by whoever builds it."""
        try:
            return step()
        except pytest.fail.Exception as failure:
            self.late |= "still running" in str(failure)
            return name

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
                self.late = True
                os.killpg(child.pid, signal.SIGTERM)
                child.wait(30)
                return tests
            except BaseException:
                os.killpg(child.pid, signal.SIGTERM)
                child.wait(30)
                raise
            said.seek(0)
            failed = re.search(r"^(?:FAILED|ERROR) ([^\s[]+)", said.read(), re.MULTILINE)
        return failed[1] if failed else tests
