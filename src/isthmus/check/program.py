# SPDX-License-Identifier: MIT
"""Runs the programs of check/programs in the Normal world and reads their answers."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import msgspec

from isthmus.errors import LinkDown
from isthmus.host import HostMachine
from isthmus.qemu.linked import LinkedMachine, ProgramFailed

__all__ = ["Failed", "Machine", "Program", "answer", "argv"]

Machine = HostMachine | LinkedMachine

_HERE = Path(__file__).parent / "programs"


class Failed(Exception):
    """A program in the Normal world gave no answer; the message is why, in one line."""


def argv(name: str, *arguments: object) -> list[str]:
    """The command line of programs/NAME.py: the standard library alone, so that it starts in milliseconds."""
    return [sys.executable, "-I", "-S", str(_HERE / f"{name}.py"), *map(str, arguments)]


class Program:
    """A running program. Raises Failed if it cannot be started; leaving the context kills it if it still
    runs.
    """

    def __init__(
        self, machine: HostMachine, name: str, *arguments: object, pass_fds: Sequence[int] = ()
    ) -> None:
        self.name = name
        try:
            self.process = machine.popen(
                argv(name, *arguments),
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                cwd="/",
                pass_fds=pass_fds,
            )
        except LinkDown as problem:
            raise Failed(f"{name}: {problem}") from None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self.process.poll() is None:
            self.process.kill()
        self.process.communicate()

    def answer(self, limit: float) -> dict[str, Any]:
        """Closes its standard input and waits for its answer, at most `limit` seconds. Raises Failed."""
        try:
            out, err = self.process.communicate(timeout=limit)
        except subprocess.TimeoutExpired:
            raise Failed(f"{self.name}: no answer within {limit:g} s") from None
        if self.process.returncode:
            last = err.decode(errors="replace").strip().splitlines()
            raise Failed(f"{self.name}: {last[-1] if last else f'exit status {self.process.returncode}'}")
        try:
            return msgspec.json.decode(out, type=dict[str, Any])
        except msgspec.DecodeError:
            raise Failed(f"{self.name}: its answer is not JSON") from None


def answer(machine: Machine, name: str, *arguments: object, limit: float) -> dict[str, Any]:
    """Runs a program that ends by itself. Raises Failed."""
    if isinstance(machine, LinkedMachine):
        try:
            return machine.ask(name, *arguments, limit=limit)
        except ProgramFailed as problem:
            raise Failed(str(problem)) from None
    with Program(machine, name, *arguments) as program:
        return program.answer(limit)
