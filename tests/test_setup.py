# SPDX-License-Identifier: MIT
"""tools/setup.sh on machines that lack something: one line that names it, status 2, nothing made."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest

# An ordinary user, and another system, are user and mount namespaces.
pytestmark = [pytest.mark.host, pytest.mark.needs("computer")]


@pytest.fixture
def checkout(root: Path, tmp_path: Path) -> Path:
    """A checkout with nothing but the script; commands in bin/ stand before the system's."""
    made = tmp_path / "checkout"
    (made / "tools").mkdir(parents=True)
    (made / "bin").mkdir()
    shutil.copy(root / "tools/setup.sh", made / "tools")
    return made


def command(checkout: Path, name: str, script: str) -> None:
    path = checkout / "bin" / name
    path.write_text(f"#!/bin/sh\n{script}\n")
    path.chmod(0o755)


def setup(checkout: Path, *enter: str, options: tuple[str, ...] = ()) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        ["unshare", "--user", *enter, str(checkout / "tools/setup.sh"), *options],
        env={"PATH": f"{checkout / 'bin'}:/usr/bin:/bin", "HOME": str(checkout)},
        capture_output=True,
        text=True,
        check=False,
    )


def refused(done: subprocess.CompletedProcess[str], checkout: Path) -> str:
    assert done.returncode == 2
    assert done.stdout == ""
    (line,) = done.stderr.splitlines()
    assert not (checkout / ".venv").exists()
    return line


def test_ordinary_user_is_told_what_to_install(checkout: Path) -> None:
    command(checkout, "sudo", "exit 1")
    command(checkout, "dpkg-query", 'case "$*" in *iperf|*python3-venv) exit 1;; esac; printf installed')
    line = refused(setup(checkout), checkout)
    assert line.endswith("apt-get install python3-venv iperf")


def test_only_tests_need_the_cross_compiler(checkout: Path) -> None:
    command(checkout, "sudo", "exit 1")
    command(checkout, "dpkg-query", 'case "$*" in *gcc-aarch64*) exit 1;; esac; printf installed')
    line = refused(setup(checkout, options=("--test",)), checkout)
    assert line.endswith("apt-get install gcc-aarch64-linux-gnu")


def test_without_the_emulator_set_up_goes_on(checkout: Path) -> None:
    """... to the Python environment, which this checkout has no project for."""
    command(checkout, "sudo", "exit 1")
    command(checkout, "dpkg-query", 'case "$*" in *qemu*) exit 1;; esac; printf installed')
    done = setup(checkout)
    first = done.stderr.splitlines()[0]
    assert first.endswith("no TrustZone machine without these; as root: apt-get install qemu-system-arm")
    assert (checkout / ".venv" / "root").exists()


def test_half_removed_package_counts_as_missing(checkout: Path) -> None:
    command(checkout, "sudo", "exit 1")
    command(checkout, "dpkg-query", 'case "$*" in *curl) printf config-files;; *) printf installed;; esac')
    assert refused(setup(checkout), checkout).endswith("apt-get install curl")


def test_another_system_is_told_what_is_supported(checkout: Path, tmp_path: Path) -> None:
    other = tmp_path / "os-release"
    other.write_text('ID=fedora\nVERSION_ID="41"\n')
    script = 'mount --bind "$0" /etc/os-release && exec "$@"'
    line = refused(setup(checkout, "--map-root-user", "--mount", "sh", "-c", script, str(other)), checkout)
    assert "Debian 12" in line
    assert "fedora 41" in line


def test_unknown_option_is_refused(checkout: Path) -> None:
    assert "--everything" in refused(setup(checkout, options=("--everything",)), checkout)
