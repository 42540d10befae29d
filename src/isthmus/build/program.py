# SPDX-License-Identifier: MIT
"""Compiles and links C programs with cc, in parallel, each source once per content."""

from __future__ import annotations

import functools
import hashlib
import logging
import os
import re
import shlex
import shutil
import signal
import subprocess
from collections import deque
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from isthmus.build import cache
from isthmus.errors import EnvironmentProblem

__all__ = ["Unit", "ask_compiler", "build_program"]

_log = logging.getLogger("isthmus.build")
_FORMAT = "1"  # of the cache's keys
_ERROR = re.compile(r": (?:fatal )?error: |: undefined reference |: multiple definition |: cannot find ")
_INCLUDED = {".h", ".c", ".inc"}  # what #include may reach in an include folder


@dataclass(frozen=True, slots=True)
class Unit:
    """Sources that are compiled alike. `system`: include folders of others, whose warnings are not ours."""

    sources: Sequence[Path]
    includes: Sequence[Path] = ()
    cflags: Sequence[str] = ()
    system: Sequence[Path] = field(default=())

    def arguments(self) -> list[str]:
        places = [f"-I{p}" for p in self.includes]
        for p in self.system:
            places += ["-isystem", str(p)]
        return [*self.cflags, *places]


def build_program(
    name: str,
    sources: Sequence[Path],
    includes: Sequence[Path] = (),
    cflags: Sequence[str] = (),
    ldflags: Sequence[str] = (),
    more: Sequence[Unit] = (),
    compiler: str | None = None,
) -> Path:
    """The finished executable NAME in the user's cache.

    Compiles `sources` with `includes` and `cflags`, every unit of `more` with its own; links with `ldflags`.
    The key covers sources, every header in the include folders, flags and the compiler's version; no path.
    CC names another compiler. Raises EnvironmentProblem: no compiler, or its first error.
    """
    cc = _compiler(compiler)
    objects = _objects((Unit(sources, includes, cflags), *more), cc)
    key = _digest("program", name, cc.identity, *ldflags, *(o.key for o in objects))
    program = cache.folder("programs") / key / name
    if program.is_file():
        return cache.used(program)
    with cache.staging(name) as staging:
        if program.is_file():  # another process has built it while this one waited
            return program
        _compile(objects, cc, staging)
        _link(objects, cc, ldflags, staging / name)
        program.parent.mkdir(exist_ok=True)
        os.replace(staging / name, program)
    cache.prune()
    return program


# ---- keys --------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class _Compiler:
    command: tuple[str, ...]
    identity: str  # command, version and target


@dataclass(frozen=True, slots=True)
class _Object:
    source: Path
    arguments: tuple[str, ...]
    key: str

    @property
    def result(self) -> Path:
        return cache.folder("objects") / f"{self.key}.o"


def _compiler(name: str | None) -> _Compiler:
    return _ask_compiler(name or os.environ.get("CC") or "cc", os.environ.get("PATH", ""))


@functools.cache
def _ask_compiler(text: str, path: str) -> _Compiler:
    command = tuple(shlex.split(text))
    if not command or shutil.which(command[0], path=path) is None:
        hint = f"gcc-{text.removesuffix('-gcc')}" if text.endswith("-gcc") else "gcc, or set CC"
        raise EnvironmentProblem(f"no C compiler: `{text}` is not on PATH; install {hint}")
    answers = []
    for question in ("--version", "-dumpmachine"):
        done = _run([*command, question])
        if done.returncode != 0:
            raise EnvironmentProblem(f"`{text} {question}` failed; set CC to a C compiler")
        answers.append(done.stdout)
    return _Compiler(command, _digest(text, *answers))


def ask_compiler(compiler: str, question: str) -> str:
    """What the compiler prints when asked, say "-print-file-name=include". EnvironmentProblem if there is
    none."""
    return _run([*_compiler(compiler).command, question]).stdout.strip()


def _digest(*parts: str) -> str:
    h = hashlib.sha256(_FORMAT.encode())
    for part in parts:
        h.update(f"{len(part)}:".encode())
        h.update(part.encode())
    return h.hexdigest()


def _read_digest(path: Path) -> str:
    try:
        return hashlib.sha256(path.read_bytes()).hexdigest()
    except OSError as error:
        raise EnvironmentProblem(f"cannot read {path}: {error.strerror}") from None


def _folder_digest(place: Path) -> str:
    files = sorted(p for p in place.rglob("*") if p.suffix in _INCLUDED)
    return _digest(*(text for p in files for text in (str(p.relative_to(place)), _read_digest(p))))


def _objects(units: Iterable[Unit], cc: _Compiler) -> list[_Object]:
    folder_digest = functools.cache(_folder_digest)
    objects = []
    for unit in units:
        headers = [folder_digest(p) for p in (*unit.includes, *unit.system)]
        arguments = tuple(unit.arguments())
        for source in unit.sources:
            key = _digest("object", cc.identity, *unit.cflags, *headers, source.name, _read_digest(source))
            objects.append(_Object(source, arguments, key))
    return objects


# ---- work --------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class _Job:
    """One compiler at work, in a process group of its own: to end it is to end what it has started."""

    object: _Object
    made: Path
    process: subprocess.Popen[bytes]

    def finish(self) -> None:
        if self.process.wait() != 0:
            log = self.made.with_suffix(".log").read_text(errors="replace")
            raise EnvironmentProblem(f"cannot compile {self.object.source}: {_first_error(log)}")
        os.replace(self.made, self.object.result)

    def stop(self) -> None:
        if self.process.poll() is None:
            os.killpg(self.process.pid, signal.SIGKILL)
            self.process.wait()


def _compile(objects: Sequence[_Object], cc: _Compiler, staging: Path) -> None:
    missing = [o for o in {o.key: o for o in objects}.values() if not cache.used(o.result).is_file()]
    _log.info("building %s: %d of %d sources to compile", staging.name, len(missing), len(objects))
    running: deque[_Job] = deque()
    try:
        for number, o in enumerate(missing):
            if len(running) >= (os.cpu_count() or 1):
                running[0].finish()
                running.popleft()
            running.append(_start(o, cc, staging / f"{number}.o"))
        while running:
            running[0].finish()
            running.popleft()
    finally:
        for job in running:
            job.stop()


def _start(o: _Object, cc: _Compiler, made: Path) -> _Job:
    command = [*cc.command, *o.arguments, "-c", str(o.source), "-o", str(made)]
    with made.with_suffix(".log").open("wb") as log:
        process = subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            env=_env(made.parent),
            process_group=0,
        )
    return _Job(o, made, process)


def _link(objects: Sequence[_Object], cc: _Compiler, ldflags: Sequence[str], made: Path) -> None:
    command = [*cc.command, *(str(o.result) for o in objects), *ldflags, "-o", str(made)]
    done = _run(command, made.parent)
    if done.returncode != 0:
        raise EnvironmentProblem(f"cannot link {made.name}: {_first_error(done.stderr)}")


def _run(command: Sequence[str], scratch: Path | None = None) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        command,
        check=False,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        errors="replace",
        env=_env(scratch),
    )


def _env(scratch: Path | None) -> dict[str, str]:
    """The caller's, in English: what the compiler says is read here, and enters the keys. Its temporary files
    go to `scratch`, which is removed whatever becomes of it."""
    return {**os.environ, "LC_ALL": "C"} | ({"TMPDIR": str(scratch)} if scratch else {})


def _first_error(log: str) -> str:
    lines = [line.strip() for line in log.splitlines() if line.strip()]
    errors = [line for line in lines if _ERROR.search(line)]
    return (errors or lines or ["the compiler said nothing"])[0]
