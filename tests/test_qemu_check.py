# SPDX-License-Identifier: MIT
"""`isthmus build`, `run` and `check` on the emulated TrustZone machine, as people and scripts use them, and
what `check` makes of its measurements there.
"""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from isthmus.check import qemu
from isthmus.check.evidence import Evidence
from isthmus.check.qemu import Critical, Pause, restarted, work_before_linux
from isthmus.trustzone.board import load

ISTHMUS = [sys.executable, "-m", "isthmus"]
LIMIT_S = 600


def isthmus(*arguments: str, **more: Any) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [*ISTHMUS, *arguments], capture_output=True, text=True, timeout=LIMIT_S, check=False, **more
    )


def one_line(done: subprocess.CompletedProcess[str]) -> str:
    assert (done.returncode, done.stdout, done.stderr.count("\n")) == (2, "", 1), done.stderr
    return done.stderr


@pytest.mark.qemu
def test_a_second_build_runs_no_compiler(tmp_path: Path) -> None:
    """Whatever the build calls then, it is not one of these."""
    first = isthmus("build")
    assert first.returncode == 0, first.stderr
    for tool in ("make", "apt-get", "dpkg-deb", "aarch64-linux-gnu-objcopy"):
        fake = tmp_path / tool
        fake.write_text("#!/bin/sh\nexit 1\n")
        fake.chmod(0o755)
    path = f"{tmp_path}:{os.environ['PATH']}"
    second = isthmus("build", env={**os.environ, "PATH": path})
    assert (second.returncode, second.stdout) == (0, first.stdout), second.stderr


@pytest.mark.qemu
def test_a_board_that_no_emulator_plays_is_built_all_the_same(root: Path, tmp_path: Path) -> None:
    """As PORTING has it: [emulator] is left out."""
    text = (root / "boards" / "qemu-virt.toml").read_text()
    board = tmp_path / "mine.toml"
    board.write_text(re.sub(r"(?ms)^\[emulator\].*?(?=^\[|\Z)", "", text))
    done = isthmus("build", "--board", str(board), "--json", "-")
    assert done.returncode == 0, done.stderr
    made = {row["id"]: Path(row["path"]) for row in json.loads(done.stdout)["rows"]}
    assert list(made) == ["firmware", "bl1", "bl2", "bl31", "payload"]
    assert made["firmware"].read_bytes().startswith(made["bl1"].read_bytes())
    assert "has no [emulator]" in one_line(isthmus("run", "--board", str(board), "--for", "1"))


def test_a_board_for_another_machine(root: Path) -> None:
    line = one_line(isthmus("check", "--machine", "qemu", "--board", str(root / "boards" / "host.toml")))
    assert "kind: a 'host' board needs --machine host, not qemu" in line


# ---- verdicts, no machine needed ---------------------------------------------------------------------------


def test_a_pause_is_the_longest_time_without_a_frame() -> None:
    pause = Pause("secure", since=1.0, until=1.3, renewed=True)
    before = [0.5, 0.9]  # that gap is not ours
    assert pause.seconds([*before, 0.99, 1.01, 1.05, 1.15, 1.29]) == pytest.approx(0.14)
    assert pause.seconds([*before, 0.99, 1.01]) == float("inf"), "frames never came back"
    assert pause.seconds([]) == float("inf")


@pytest.mark.parametrize(
    ("renewed", "arrivals", "ok"),
    [(True, [0.99, 1.1, 1.3], True), (False, [0.99, 1.1, 1.3], False), (True, [0.99], False)],
)
def test_a_restart_needs_a_new_epoch_and_frames(renewed: bool, arrivals: list[float], ok: bool) -> None:
    row = restarted("restart.secure", [Pause("secure", 1.0, 1.3, renewed)], arrivals, True, "")
    assert row.ok == ok


def critical(
    first: dict[str, Any], last: dict[str, Any], before_linux: int | None = 100_050
) -> dict[str, bool]:
    class Machine:
        board = load()

    looks = [(1.0, first, 1.01), (2.0, last, 2.01)]
    return {row.id: row.ok for row in Critical(before_linux, looks).rows(Machine())}  # type: ignore[arg-type]


def report(periods: int, below: dict[str, int] | None = None, **changed: Any) -> dict[str, Any]:
    """The control task's report with one of a task below, whose period is ten times as long."""
    calm = {"p50": 0, "p99": 0, "max": 0}
    control = {
        "periods": periods, "missed": 0, "skipped": 0, "period_us": 1000, "cost_us": 50, "deadline_us": 1000,
        "first_period_us": 50, "cost_us_max": 50, "wait_us_max": 1, "late_kernel_us": calm, **changed,
    }  # fmt: skip
    more = {"response_us_max": 51}
    slow = {**control, **more, "name": "supervision", "runs": "below", "periods": periods // 10,
            "period_us": 10000, "missed": 0, "skipped": 0, **(below or {})}  # fmt: skip
    return {**control, "tasks": [{**control, **more, "name": "control", "runs": "above"}, slow]}


@pytest.mark.parametrize(
    ("last", "short"),
    [
        (report(2000), set()),
        (report(1900), {"critical.periods"}),
        (report(2100), {"critical.periods"}),
        (report(2000, skipped=1), {"critical.periods"}),
        (report(2000, missed=1), {"critical.missed"}),
        (report(2000, below={"missed": 1}), {"critical.missed"}),
        (report(2000, below={"skipped": 1}), {"critical.periods"}),
        (report(2000, below={"periods": 150}), {"critical.periods"}),
        (report(2000, late_kernel_us={"p50": 0, "p99": 0, "max": 21}), {"critical.late_kernel"}),
        (report(2000, first_period_us=0), {"critical.first_period"}),
    ],
)
def test_the_critical_tasks_account(last: dict[str, Any], short: set[str]) -> None:
    assert {ident for ident, ok in critical(report(1000), last).items() if not ok} == short


@pytest.mark.parametrize("counted", [None, 0, 300, 90_000])
def test_linux_before_the_first_period_falls_short(counted: int | None) -> None:
    """Nobody saw it, none of its instructions, an interrupt that did nothing, or not all of its cost."""
    assert not critical(report(1000), report(2000), counted)["critical.first_period"]


def test_the_count_ends_with_linuxs_first_instruction(tmp_path: Path) -> None:
    laps = tmp_path / "laps"
    assert work_before_linux(laps) is None
    laps.write_text("3 0 1 1 1 1 1 1\n")
    assert work_before_linux(laps) is None
    laps.write_text("3 0 1 1 1 1 1 1\n32 1 0 0 20 0 0 7 0 0 50000 0 0 7\n32 0 9 9 99 9 9 9\n")
    assert work_before_linux(laps) == 50020


# ---- Linux's crash -----------------------------------------------------------------------------------------


class Crashing:
    """A machine whose Linux crashes once; what `changes` names comes out otherwise."""

    def __init__(self, **changes: Any) -> None:
        self.board = load()
        self.boot_id, self.epoch, self.changes = "first", 1, changes
        self.evidence = Evidence()
        self.lines = iter([self.line(1000, 1.0), self.line(1000, 1.0), self.after(), self.after()])
        task = self.board.secure.task[0]
        self.evidence.follow(task, 20.0, lambda: [next(self.lines)])

    def line(self, written: int, now_s: float, *events: tuple[float, str]) -> dict[str, Any]:
        noted = [[int(at_s * 1e9), what] for at_s, what in events]
        return {
            "now_ns": int(now_s * 1e9), "born_ns": 0, "written": written,
            "first": written, "periods": [], "events": noted,
        }  # fmt: skip

    def after(self) -> dict[str, Any]:
        up = 1.1 + self.changes.get("took", 1.0)
        events = [(1.1, "link down"), (1.1, "Linux restarts"), (up, "link up")]
        return self.line(3000 + self.changes.get("gap", 0), 3.0, *events[: self.changes.get("noted", 3)])

    def reboot(self, script: str, timeout: float) -> None:
        self.boot_id, self.epoch = self.changes.get("boot_id", "second"), self.changes.get("epoch", 2)

    def run(self, script: str) -> None:
        pass

    def wait_up(self, timeout: float) -> None:
        pass

    def status(self, world: str) -> dict[str, Any]:
        return {"critical": {"tasks": [{n: self.changes.get(n, 0) for n in ("missed", "skipped")}]}}


@pytest.mark.parametrize(
    ("changes", "ok"),
    [
        ({}, True),
        ({"boot_id": "first"}, False),
        ({"epoch": 1}, False),
        ({"missed": 1}, False),
        ({"skipped": 1}, False),
        ({"gap": 3}, False),
        ({"gap": -3}, False),
        ({"took": 5.5}, False),
        ({"noted": 2}, False),
        ({"lost": 1}, False),
    ],
)
def test_a_crash_of_linux_leaves_the_control_task_alone(
    changes: dict[str, Any], ok: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    machine = Crashing(**changes)
    pings = {"sent": 20, "received": 20 - changes.get("lost", 0)}
    monkeypatch.setattr(qemu, "answer", lambda *_, **__: pings)
    reloaded = restarted("restart.normal", [Pause("normal", 1.0, 1.3, True)], [0.99, 1.1, 1.3], True, "")
    row = qemu.crash(machine, machine.evidence, reloaded)  # type: ignore[arg-type]
    assert row.ok == ok, row.detail
    if ok:
        assert row.value == 1.0
