# SPDX-License-Identifier: MIT
"""Instructions that a program executes, counted by valgrind's callgrind: the same each time."""

from __future__ import annotations

import re
import subprocess
from collections.abc import Sequence

__all__ = ["collected", "run"]


def run(command: Sequence[str], fds: Sequence[int] = ()) -> str:
    """What it says, on either channel; it inherits `fds`. OSError where it fails or is not there."""
    done = subprocess.run(command, capture_output=True, text=True, check=False, pass_fds=fds)
    if done.returncode:
        raise OSError(f"{' '.join(command)}: {done.stderr.strip() or done.returncode}")
    return done.stdout + done.stderr


def collected(command: Sequence[str], fds: Sequence[int] = ()) -> int:
    """Of the whole run. OSError without valgrind."""
    said = run(["valgrind", "--tool=callgrind", "--callgrind-out-file=/dev/null", *command], fds)
    found = re.search(r"Collected : (\d+)", said)
    assert found
    return int(found[1])
