# SPDX-License-Identifier: MIT
"""tools/demo.sh: which machine `make demo` takes, with a command of our own in isthmus's place."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest

BUILDS = 'echo "firmware /somewhere"'
CANNOT = 'echo "isthmus: no qemu-system-aarch64 here; install it" >&2; exit 2'


def demo(root: Path, checkout: Path, build: str, check: str = "exit 0") -> subprocess.CompletedProcess[str]:
    (checkout / "tools").mkdir()
    shutil.copy(root / "tools" / "demo.sh", checkout / "tools")
    command = checkout / ".venv" / "bin" / "isthmus"
    command.parent.mkdir(parents=True)
    command.write_text(f'#!/bin/sh\nif [ "$1" = build ]; then {build}; else echo "$@"; {check}; fi\n')
    command.chmod(0o755)
    return subprocess.run([checkout / "tools" / "demo.sh"], capture_output=True, text=True, check=False)


@pytest.mark.parametrize("status", [0, 1])
def test_the_trustzone_machine_where_it_builds(root: Path, tmp_path: Path, status: int) -> None:
    done = demo(root, tmp_path, BUILDS, f"exit {status}")
    attacks = "" if status else "attack --machine qemu --short --no-controls\n"
    assert done.returncode == status
    assert done.stdout == f"check --machine qemu --report {tmp_path}/demo.html\n{attacks}"


def test_the_host_machine_elsewhere_and_why(root: Path, tmp_path: Path) -> None:
    done = demo(root, tmp_path, CANNOT)
    assert done.returncode == 0
    assert done.stdout.splitlines() == [
        f"check --machine host --report {tmp_path}/demo.html",
        "attack --machine host --short --no-controls",
    ]
    assert done.stderr.splitlines()[-1].endswith(
        "on the host machine: no qemu-system-aarch64 here; install it"
    )
