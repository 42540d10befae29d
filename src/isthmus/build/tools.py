# SPDX-License-Identifier: MIT
"""Runs other people's tools: make, apt-get, dpkg-deb. What ends us ends them, with all that they started."""

from __future__ import annotations

import os
import signal
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import IO, Any

__all__ = ["run"]


def run(
    command: Sequence[str],
    *,
    cwd: Path | None = None,
    env: Mapping[str, str] | None = None,
    output: IO[Any] | int = subprocess.PIPE,
    errors: IO[Any] | int = subprocess.STDOUT,
) -> subprocess.CompletedProcess[str]:
    """Runs a tool without input, in English, in a process group of its own: a terminal's Ctrl-C is for us,
    and the whole group is killed before it is passed on. `env` is added to ours."""
    with subprocess.Popen(
        command,
        cwd=cwd,
        env={**os.environ, "LC_ALL": "C", **(env or {})},
        stdin=subprocess.DEVNULL,
        stdout=output,
        stderr=errors,
        text=True,
        errors="replace",
        process_group=0,
    ) as process:
        try:
            said, complaints = process.communicate()
        except BaseException:
            os.killpg(process.pid, signal.SIGKILL)
            raise
    return subprocess.CompletedProcess(process.args, process.returncode, said or "", complaints or "")
