# SPDX-License-Identifier: MIT
"""`isthmus run` as a script sees it: exit statuses, streams, signals, refusals in one line."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

ISTHMUS = [sys.executable, "-m", "isthmus"]
LIMIT_S = 60.0
HOST_BOARD = Path(__file__).parent.parent / "boards" / "host.toml"


def isthmus(*args: str, before: tuple[str, ...] = (), stdin: str = "") -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [*before, *ISTHMUS, *args], input=stdin, capture_output=True, text=True, timeout=LIMIT_S, check=False
    )


def refused(done: subprocess.CompletedProcess[str]) -> str:
    """The one line of a refusal."""
    assert done.returncode == 2, (done.returncode, done.stderr)
    assert done.stdout == ""
    assert done.stderr.startswith("isthmus: "), done.stderr
    assert done.stderr.count("\n") == 1, done.stderr
    return done.stderr.removeprefix("isthmus: ").strip()


# ---- refusals ----------------------------------------------------------------------------------------

REFUSALS = {
    "no command": ([], "Missing command"),
    "unknown command": (["fly"], "No such command 'fly'"),
    "unknown option": (["run", "--fly"], "No such option"),
    "another machine's board": (
        ["run", "--machine", "qemu", "--board", str(HOST_BOARD)],
        "kind: a 'host' board needs --machine host, not qemu",
    ),
    "machine for others": (
        ["run", "--machine", "memory"],
        "this command runs on host and qemu, not on memory",
    ),
    "machine unknown": (["run", "--machine", "vax"], "'vax' is not one of"),
    "stack not built": (["run", "--stack", "freertos"], "the FreeRTOS+TCP world is not built yet"),
    "no number": (["run", "--for", "soon"], "'soon' is not a valid float"),
    "negative time": (["run", "--for", "-1"], "-1.0 is not in the range"),
    "time and command": (["run", "--for", "1", "--", "true"], "--for and a command exclude each other"),
    "two writers": (["run", "--json", "-", "--", "true"], "standard output is the command's"),
    "board missing": (["run", "--board", "/nonexistent.toml"], "/nonexistent.toml: No such file"),
    "board a folder": (["run", "--board", "/"], "/: Is a directory"),
    "results nowhere": (
        ["run", "--json", "/nonexistent/x.json"],
        "--json /nonexistent/x.json: cannot be written",
    ),
    "results a folder": (["run", "--json", "/"], "--json /: cannot be written"),
}


@pytest.mark.parametrize("name", REFUSALS)
def test_a_refusal_is_one_line(name: str) -> None:
    args, expected = REFUSALS[name]
    assert expected in refused(isthmus(*args))


def test_a_board_that_cannot_work(tmp_path: Path) -> None:
    (tmp_path / "my.toml").write_text("channel.mtu = 9000\n")
    line = refused(isthmus("run", "--board", str(tmp_path / "my.toml"), "--for", "1"))
    assert line.startswith(f"{tmp_path / 'my.toml'}: channel.mtu: 9000")
    assert list(tmp_path.iterdir()) == [tmp_path / "my.toml"]


@pytest.mark.host
def test_no_user_namespaces() -> None:
    """The limit is set in a user namespace of its own; the machine's stays as it is."""
    script = 'echo 0 > /proc/sys/user/max_user_namespaces && exec "$@"'
    line = refused(isthmus("run", "--for", "1", before=("unshare", "-Ur", "sh", "-c", script, "sh")))
    assert "user namespaces are not to be had here" in line


# ---- a command in the Normal world -------------------------------------------------------------------

STATUSES = {
    "success": (["true"], 0),
    "its own": (["sh", "-c", "exit 7"], 7),
    "not found": (
        ["isthmus-no-such-program"],
        (126, 127),
    ),  # 126 where PATH holds a folder that may not be searched
    "not found by path": (["/nonexistent/program"], 127),
    "not executable": (["/etc/passwd"], 126),
    "killed": (["sh", "-c", "kill -9 $$"], 137),
    "terminated": (["sh", "-c", "kill -15 $$"], 143),
}


@pytest.mark.host
@pytest.mark.parametrize("name", STATUSES)
def test_the_status_is_the_commands(name: str) -> None:
    argv, expected = STATUSES[name]
    done = isthmus("run", "--", *argv)
    assert done.returncode in (expected if isinstance(expected, tuple) else (expected,)), done.stderr
    assert done.stdout == ""


@pytest.mark.host
def test_the_streams_are_the_commands() -> None:
    done = isthmus("run", "--", "sh", "-c", "cat; echo err >&2; pwd", stdin="in\n")
    assert (done.returncode, done.stdout, done.stderr) == (0, f"in\n{os.getcwd()}\n", "err\n")


@pytest.mark.host
def test_options_behind_the_command_are_its_own() -> None:
    done = isthmus("run", "echo", "-v", "--json")
    assert (done.returncode, done.stdout) == (0, "-v --json\n")


@pytest.mark.host
def test_a_command_reaches_the_secure_world() -> None:
    done = isthmus("run", "--", "ping", "-c", "3", "-i", "0.2", "-W", "5", "10.77.0.2")
    assert done.returncode == 0, done.stdout + done.stderr
    assert " 0% packet loss" in done.stdout


@pytest.mark.host
def test_a_signal_ends_the_command_not_the_runner() -> None:
    trap = "trap 'echo caught; exit 5' TERM; echo ready; while :; do sleep 0.05; done"
    with subprocess.Popen(
        [*ISTHMUS, "run", "--", "sh", "-c", trap], stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
        process.send_signal(signal.SIGTERM)
        assert process.stdout.readline() == "caught\n"
        assert process.wait(LIMIT_S) == 5


# ---- without a command -------------------------------------------------------------------------------


@pytest.mark.host
def test_for_so_long(tmp_path: Path) -> None:
    begun = time.monotonic()
    done = isthmus("run", "--for", "0.3", "--json", "-")
    assert done.returncode == 0, done.stderr
    assert time.monotonic() - begun >= 0.3
    assert done.stderr.startswith("up: ist0 10.77.0.1 <-> 10.77.0.2 (")
    document = json.loads(done.stdout)
    assert document["schema"] == "isthmus.run/1"
    assert {"version", "commit", "machine", "stack", "rows"} <= document.keys()
    assert [(r["id"], r["state"]) for r in document["rows"]] == [
        ("world.normal", "RUN"),
        ("world.secure", "RUN"),
    ]
    done = isthmus("run", "--for", "0", "--json", str(tmp_path / "run.json"))
    assert json.loads((tmp_path / "run.json").read_text())["schema"] == "isthmus.run/1"
    assert done.stdout == ""


@pytest.mark.host
@pytest.mark.parametrize(
    ("number", "status"), [(signal.SIGINT, 130), (signal.SIGTERM, 143), (signal.SIGHUP, 129)]
)
def test_a_signal_ends_it_quietly(number: int, status: int) -> None:
    with subprocess.Popen([*ISTHMUS, "run"], stderr=subprocess.PIPE, text=True) as process:
        assert process.stderr is not None
        assert process.stderr.readline().startswith("up: ")
        process.send_signal(number)
        assert process.stderr.read() == ""
        assert process.wait(LIMIT_S) == status
