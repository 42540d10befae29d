# SPDX-License-Identifier: MIT
"""Whoever runs a machine dies at a random moment, or is asked to end: nothing remains of it."""

from __future__ import annotations

import signal
import subprocess
import sys
from pathlib import Path

import pytest

from host_tools import WORLDS, echo_world, nothing_left, reap
from isthmus.host.pump import frame_pump
from isthmus.qemu.linked import LinkedMachine

# By kind of machine: the longest that it is left alone, in seconds.
LONGEST = {"auto": 1.2, "packet": 1.2, "qemu": 4.0}
KINDS = [
    pytest.param("auto", marks=pytest.mark.host),
    pytest.param("packet", marks=pytest.mark.host),
    pytest.param("qemu", marks=pytest.mark.qemu),
]


def killed(kind: str, rounds: int, seed: int, folder: Path) -> None:
    argv = [sys.executable, str(WORLDS / "supervisor.py"), kind]
    if kind == "qemu":
        LinkedMachine().build()
    else:
        argv += [str(frame_pump()), str(echo_world())]
    nothing_left(lambda: reap(rounds, signal.SIGKILL, LONGEST[kind], seed, argv, cwd=folder), folder)


@pytest.mark.parametrize("kind", KINDS)
def test_kill_9_of_the_supervisor_leaves_nothing(kind: str, seed: int, tmp_path: Path) -> None:
    killed(kind, 2 if kind == "qemu" else 10, seed, tmp_path)


@pytest.mark.slow
@pytest.mark.timeout(3600)
@pytest.mark.parametrize("kind", KINDS)
def test_kill_9_of_the_supervisor_leaves_nothing_often(kind: str, seed: int, tmp_path: Path) -> None:
    killed(kind, 100 if kind == "qemu" else 500, seed, tmp_path)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
@pytest.mark.parametrize("command", [[], ["--", "sleep", "100"]], ids=["alone", "with a command"])
@pytest.mark.parametrize(
    "name",
    [
        pytest.param("host", marks=pytest.mark.host),
        pytest.param("qemu", marks=[pytest.mark.qemu, pytest.mark.slow]),
    ],
)
def test_isthmus_run_ended_at_any_moment_leaves_nothing(
    number: int, command: list[str], name: str, seed: int, tmp_path: Path
) -> None:
    argv = [sys.executable, "-m", "isthmus", "run", "--machine", name]
    subprocess.run([*argv, "--for", "0"], check=True, capture_output=True)  # builds what is to be built
    longest = 1.5 if name == "host" else 5.0
    nothing_left(lambda: reap(4, number, longest, seed, [*argv, *command], cwd=tmp_path), tmp_path)
