# SPDX-License-Identifier: MIT
"""What connects FreeRTOS' POSIX port to a world of the host machine, without FreeRTOS: its interrupts, and
the option that takes a world built elsewhere.
"""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import msgspec
import pytest

from isthmus import build

ROOT = Path(__file__).parent.parent
POSIX = ROOT / "worlds" / "secure" / "freertos" / "posix"
FLAGS = ["-std=c11", "-g", "-O1", "-Wall", "-Wextra", "-Wconversion", "-pedantic", "-Werror", "-pthread"]


def interrupts(folder: Path, source: Path) -> Path:
    program = folder / "interrupts"
    includes = [f"-I{ROOT / 'tests/freertos'}", f"-I{POSIX}"]
    sources = [str(ROOT / "tests/freertos/interrupts.c"), str(source)]
    subprocess.run(["gcc", *FLAGS, *includes, *sources, "-o", str(program)], check=True)
    return program


def test_signals_come_as_interrupts_do(tmp_path: Path) -> None:
    program = interrupts(tmp_path, POSIX / "interrupt.c")
    done = subprocess.run([program], check=False, capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr


MISTAKES = {
    "handlers nest": ("    sigfillset(&action.sa_mask);\n", ""),
    "errno is lost": ("    errno = before;", "    (void)before;"),
    "nobody is told": ("flags | O_ASYNC", "flags"),
    "never quiet again": ("flags & ~O_ASYNC", "flags | O_ASYNC"),
    "no switch": ("portYIELD_FROM_ISR(handlers", "(void)(handlers"),
    "the timer at once": ("{(time_t)(first / SECOND), (long)(first % SECOND)}", "{0, 1 + (long)(first % 2)}"),
    "sleep with signals blocked": ("sigemptyset(&none)", "sigfillset(&none)"),
}


@pytest.mark.parametrize("name", MISTAKES)
def test_a_mistake_is_noticed(name: str, tmp_path: Path) -> None:
    old, new = MISTAKES[name]
    text = (POSIX / "interrupt.c").read_text(encoding="utf-8")
    assert text.count(old) == 1
    changed = tmp_path / "interrupt.c"
    changed.write_text(text.replace(old, new), encoding="utf-8")
    program = interrupts(tmp_path, changed)
    try:
        status = subprocess.run([program], check=False, capture_output=True, timeout=5).returncode
    except subprocess.TimeoutExpired:
        status = -1
    assert status != 0


@pytest.mark.host
@pytest.mark.needs("processes")
def test_a_world_built_elsewhere_runs_in_place_of_our_own(tmp_path: Path) -> None:
    """Any program that speaks the supervisor's protocol; here it is our own by another name."""
    given, report = tmp_path / "my-world", tmp_path / "run.json"
    given.write_bytes(build.secure_world().read_bytes())
    given.chmod(0o755)
    options = ["--machine", "host", "--stack", "freertos", "--world", str(given), "--for", "0.5"]
    command = [sys.executable, "-m", "isthmus", "run", *options, "--json", str(report)]
    done = subprocess.run(command, check=False, capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    document = msgspec.json.decode(report.read_bytes())
    assert document["stack"] == "freertos"
    assert {row["state"] for row in document["rows"]} == {"RUN"}
