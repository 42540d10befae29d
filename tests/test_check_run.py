# SPDX-License-Identifier: MIT
"""`isthmus check` as people and scripts run it: complete runs, as root and as an ordinary user, and its
contract.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec
import pytest

from isthmus import build
from isthmus.check import CATALOGUE
from isthmus.host.pump import frame_pump

NOBODY = 65534
ISTHMUS = [sys.executable, "-c", "import sys; from isthmus.cli import main; sys.exit(main())"]
LIMIT_S = 600
HOST_BOARD = Path(__file__).parent.parent / "boards" / "host.toml"


def isthmus(*arguments: str, **more: Any) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [*ISTHMUS, *arguments], capture_output=True, text=True, check=False, timeout=LIMIT_S, **more
    )


def one_line(done: subprocess.CompletedProcess[str]) -> str:
    """What a refusal looks like; returns its line."""
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.count("\n") == 1
    assert done.stderr.startswith("isthmus: ")
    return done.stderr


RUNS = 4  # what a neighbour on this computer spoils in one of them, it hardly spoils in all


def quiet_run(run: Callable[[], subprocess.CompletedProcess[str]]) -> subprocess.CompletedProcess[str]:
    """The first run in which every row held, or the last of a few. What we do wrong falls short in each."""
    for _ in range(RUNS):
        done = run()
        if all(row["ok"] for row in msgspec.json.decode(done.stdout)["rows"]):
            break
    return done


def all_ok(done: subprocess.CompletedProcess[str], machine: str = "host") -> dict[str, Any]:
    """A complete run's document."""
    document = msgspec.json.decode(done.stdout, type=dict[str, Any])
    assert [row for row in document["rows"] if not row["ok"]] == []
    assert (done.returncode, document["schema"]) == (0, "isthmus.check/1")
    assert (document["machine"], document["stack"]) == (machine, "lwip")
    assert {"version", "commit", "seed", "interface", "seconds"} <= document.keys()
    assert [row["id"] for row in document["rows"]] == list(CATALOGUE)
    for row in document["rows"]:
        assert list(row) == ["id", "what", "ok", "value", "unit", "detail"]
        assert isinstance(row["value"], int | float)
    assert "Traceback" not in done.stderr
    return document


@pytest.mark.parametrize(
    "name", [pytest.param(name, marks=getattr(pytest.mark, name)) for name in ("host", "qemu")]
)
def test_every_row_holds(name: str, tmp_path: Path) -> None:
    """The table on standard output, the document in a file, progress on standard error."""
    made = tmp_path / "check.json"
    tables = []

    def run() -> subprocess.CompletedProcess[str]:
        done = isthmus("check", "--machine", name, "--seed", "7", "--json", str(made))
        tables.append(done.stdout)
        done.stdout = made.read_text()
        return done

    done = quiet_run(run) if name == "host" else run()
    table = tables[-1]
    assert all_ok(done, name)["seed"] == 7
    for kind in CATALOGUE.values():
        assert kind.what in table
    assert f"{len(CATALOGUE)} of {len(CATALOGUE)} hold" in table
    assert "\x1b" not in table, "no colour but on a terminal"
    assert "check: restart\n" in done.stderr


@pytest.mark.host
@pytest.mark.needs("computer")
def test_every_row_holds_for_an_ordinary_user() -> None:
    if os.geteuid() != 0:
        pytest.skip("check: only root can become another user")
    programs = [build.secure_world().parent, frame_pump().parent]
    with tempfile.TemporaryDirectory(dir="/tmp") as folder:  # not tmp_path: its parents are closed to others
        home = Path(folder)
        cache = home / "cache" / "isthmus"
        for source in [build.folder("sources"), *programs]:  # fetched and compiled once is enough
            shutil.copytree(source, cache / source.relative_to(build.folder()))
        for path in [home, *home.rglob("*")]:
            os.chown(path, NOBODY, NOBODY)
        ordinary: dict[str, Any] = {
            "user": NOBODY, "group": NOBODY, "extra_groups": [], "cwd": "/",
            "env": {**os.environ, "HOME": folder, "XDG_CACHE_HOME": str(home / "cache")},
        }  # fmt: skip
        if isthmus("--version", **ordinary).returncode:
            pytest.skip("check: an ordinary user cannot read this checkout")
        done = quiet_run(lambda: isthmus("check", "--machine", "host", "--json", "-", **ordinary))
    all_ok(done)


@pytest.mark.host
@pytest.mark.needs("crowding")
def test_a_row_that_falls_short_is_exit_status_1(tmp_path: Path) -> None:
    """A task that has no room for anything beside it: any work of ours makes it miss its deadline."""
    board = tmp_path / "tight.toml"
    board.write_text("[[secure.task]]\ncost_us = 100\ndeadline_us = 101\nperiod_us = 1000\n")
    done = isthmus("check", "--machine", "host", "--board", str(board), "--json", "-")
    rows = {row["id"]: row for row in msgspec.json.decode(done.stdout)["rows"]}
    assert done.returncode == 1
    assert not rows["critical.missed"]["ok"]
    assert rows["http.ok"]["ok"]


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["--machine", "qemu", "--board", str(HOST_BOARD)], "qemu"),
        (["--machine", "memory"], "memory"),
        (["--stack", "freertos"], "freertos"),
        (["--board", "/nonexistent.toml"], "/nonexistent.toml"),
        (["--json", "/nonexistent/check.json"], "/nonexistent/check.json"),
        (["--seed", "x"], "seed"),
        (["--unknown"], "unknown"),
        (["surplus"], "surplus"),
    ],
)
def test_bad_usage_is_one_line_and_exit_status_2(arguments: list[str], says: str) -> None:
    assert says in one_line(isthmus("check", *arguments))


def test_a_missing_compiler_is_one_line_and_exit_status_2(tmp_path: Path) -> None:
    env = {**os.environ, "PATH": str(tmp_path), "XDG_CACHE_HOME": str(tmp_path / "cache")}
    env.pop("CC", None)
    one_line(isthmus("check", "--machine", "host", env=env))
    assert not list(tmp_path.rglob("*.o"))


@pytest.mark.parametrize(
    "name", [pytest.param(name, marks=getattr(pytest.mark, name)) for name in ("host", "qemu")]
)
def test_ctrl_c_is_exit_status_130(name: str) -> None:
    with subprocess.Popen(
        [*ISTHMUS, "check", "--machine", name], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as run:
        assert run.stderr is not None
        for line in run.stderr:
            if line.startswith("check: ping"):
                break
        run.send_signal(2)
        out, err = run.communicate(timeout=LIMIT_S)
    assert (run.returncode, out) == (130, "")
    assert "Traceback" not in err
