# SPDX-License-Identifier: MIT
"""`isthmus run` as a script sees it: exit statuses, streams, signals, refusals in one line."""

from __future__ import annotations

import json
import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

ISTHMUS = [sys.executable, "-m", "isthmus"]
LIMIT_S = 240.0  # far beyond what a boot takes: it only ends what hangs
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
        "this command runs on qemu and host, not on memory",
    ),
    "machine unknown": (["run", "--machine", "vax"], "'vax' is not one of"),
    "no world of another stack": (
        ["run", "--stack", "freertos"],
        "name it with --world or ISTHMUS_FREERTOS_WORLD",
    ),
    "a world of our own stack": (["run", "--world", "/bin/true"], "--world is for --stack freertos"),
    "a world that is not there": (
        ["run", "--stack", "freertos", "--world", "/nonexistent"],
        "world /nonexistent: No such file or directory",
    ),
    "a world that is none": (
        ["run", "--stack", "freertos", "--world", __file__],
        "not an ELF file of 64 bits",
    ),
    "a world for another machine": (
        ["run", "--machine", "qemu", "--stack", "freertos", "--world", "/bin/true"],
        "not linked for Secure EL1",
    ),
    "a stack where none runs": (
        ["attack", "--machine", "memory", "--stack", "freertos", "--world", "/bin/true"],
        "on --machine memory no IP stack runs",
    ),
    "no world to measure": (["bench", "--stack", "freertos"], "name it with --world"),
    "a case of another stack": (["bench", "--only", "freertos.*"], "freertos.channel wants --stack freertos"),
    "no number": (["run", "--for", "soon"], "'soon' is not a valid float"),
    "negative time": (["run", "--for", "-1"], "-1.0 is not in the range"),
    "no time": (["run", "--for", "nan"], "--for: nan is not a number of seconds"),
    "time and command": (["run", "--for", "1", "--", "true"], "--for and a command exclude each other"),
    "two writers": (["run", "--json", "-", "--", "true"], "standard output is the command's"),
    "a board for nothing": (
        ["bench", "--machine", "host", "--board", "/nonexistent.toml"],
        "--machine host is of no board file",
    ),
    "a change of nothing": (
        ["bench", "--machine", "memory", "--set", "channel.mtu=1400"],
        "--machine memory is of no board file",
    ),
    "a count of many rounds": (["bench", "--machine", "qemu", "--quick"], "it counts once"),
    "board missing": (["run", "--board", "/nonexistent.toml"], "/nonexistent.toml: No such file"),
    "board a folder": (["run", "--board", "/"], "/: Is a directory"),
    "results nowhere": (
        ["run", "--json", "/nonexistent/x.json"],
        "--json /nonexistent/x.json: cannot be written",
    ),
    "results a folder": (["run", "--json", "/"], "--json /: cannot be written"),
}


@pytest.mark.parametrize(
    "command",
    [
        "attack --machine memory --only mem-30",
        "bench --only isthmus --rounds 1",
    ],
)
def test_a_missing_compiler_is_one_line(command: str, tmp_path: Path) -> None:
    bare = ("env", "-u", "CC", f"PATH={tmp_path}", f"XDG_CACHE_HOME={tmp_path / 'cache'}")
    assert "no C compiler" in refused(isthmus(*command.split(), before=bare))


@pytest.mark.parametrize("name", REFUSALS)
def test_a_refusal_is_one_line(name: str) -> None:
    args, expected = REFUSALS[name]
    assert expected in refused(isthmus(*args))


def test_a_board_that_cannot_work(tmp_path: Path) -> None:
    (tmp_path / "my.toml").write_text("channel = {mtu = 9000, frame_max = 1536}\n")
    line = refused(isthmus("run", "--machine", "host", "--board", str(tmp_path / "my.toml"), "--for", "1"))
    assert line.startswith(f"{tmp_path / 'my.toml'}: channel.mtu: 9000")
    assert list(tmp_path.iterdir()) == [tmp_path / "my.toml"]


@pytest.mark.host
@pytest.mark.needs("computer")
def test_no_user_namespaces() -> None:
    """The limit is set in a user namespace of its own; the machine's stays as it is."""
    script = 'echo 0 > /proc/sys/user/max_user_namespaces && exec "$@"'
    before = ("unshare", "-Ur", "sh", "-c", script, "sh")
    line = refused(isthmus("run", "--machine", "host", "--for", "1", before=before))
    assert "user namespaces are not to be had here" in line


# ---- a command in the Normal world -------------------------------------------------------------------

# What a status may be, tests/test_worlds.py shows on every machine.

machines = pytest.mark.parametrize(
    "name", [pytest.param(name, marks=getattr(pytest.mark, name)) for name in ("host", "qemu")]
)


@machines
def test_status_and_streams_are_the_commands(name: str) -> None:
    """... and so are the options behind it."""
    script = 'echo "$0  $1"; echo err >&2; ping -c 1 10.77.0.2 >/dev/null && exit 7'
    done = isthmus("run", "--machine", name, "sh", "-c", script, "-v", "--json")
    assert (done.returncode, done.stdout, done.stderr) == (7, "-v  --json\n", "err\n")


@machines
def test_the_streams_are_the_commands(name: str) -> None:
    """Every byte, more than any buffer on the way takes, and the input's end."""
    data = random.Random(7).randbytes(1 << 20)
    argv = [*ISTHMUS, "run", "--machine", name, "--", "sh", "-c", "cat; echo err >&2"]
    done = subprocess.run(argv, input=data, capture_output=True, timeout=LIMIT_S, check=False)
    assert (done.returncode, done.stderr) == (0, b"err\n")
    assert done.stdout == data


@pytest.mark.host
@pytest.mark.needs("computer")
def test_the_folder_is_the_callers() -> None:
    done = isthmus("run", "--machine", "host", "--", "pwd")
    assert (done.returncode, done.stdout) == (0, f"{os.getcwd()}\n")


@machines
def test_output_nobody_reads_ends_the_command(name: str) -> None:
    """As it would without us: the status is SIGPIPE's."""
    argv = [*ISTHMUS, "run", "--machine", name, "--", "yes"]
    with subprocess.Popen(argv, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        assert process.stdout.read(4) == b"y\ny\n"
        process.stdout.close()
        assert process.wait(LIMIT_S) == 128 + signal.SIGPIPE


@machines
def test_a_signal_ends_the_command_not_the_runner(name: str) -> None:
    """Its output is here while it runs, and it answers what it is given."""
    trap = "trap 'echo caught; exit 5' TERM; read word; echo got $word; while :; do sleep 0.05; done"
    with subprocess.Popen(
        [*ISTHMUS, "run", "--machine", name, "--", "sh", "-c", trap],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        process.stdin.write("this\n")
        process.stdin.flush()
        assert process.stdout.readline() == "got this\n"
        process.send_signal(signal.SIGTERM)
        assert process.stdout.readline() == "caught\n"
        assert process.wait(LIMIT_S) == 5


# ---- without a command -------------------------------------------------------------------------------


@machines
def test_for_so_long(name: str) -> None:
    begun = time.monotonic()
    done = isthmus("run", "--machine", name, "--for", "0.3", "--json", "-")
    assert done.returncode == 0, done.stderr
    assert time.monotonic() - begun >= 0.3
    assert done.stderr.startswith("up: ist0 10.77.0.1 <-> 10.77.0.2 (")
    document = json.loads(done.stdout)
    assert (document["schema"], document["machine"]) == ("isthmus.run/1", name)
    assert {"version", "commit", "machine", "stack", "rows"} <= document.keys()
    assert [(r["id"], r["state"]) for r in document["rows"]] == [
        ("world.normal", "RUN"),
        ("world.secure", "RUN"),
    ]


@pytest.mark.parametrize(
    ("name", "number", "status"),
    [
        pytest.param("host", signal.SIGINT, 130, marks=pytest.mark.host),
        pytest.param("host", signal.SIGTERM, 143, marks=pytest.mark.host),
        pytest.param("host", signal.SIGHUP, 129, marks=pytest.mark.host),
        pytest.param("qemu", signal.SIGINT, 130, marks=pytest.mark.qemu),
        pytest.param("qemu", signal.SIGTERM, 143, marks=[pytest.mark.qemu, pytest.mark.slow]),
        pytest.param("qemu", signal.SIGHUP, 129, marks=[pytest.mark.qemu, pytest.mark.slow]),
    ],
)
def test_a_signal_ends_it_quietly(name: str, number: int, status: int) -> None:
    argv = [*ISTHMUS, "run", "--machine", name]
    with subprocess.Popen(argv, stderr=subprocess.PIPE, text=True) as process:
        assert process.stderr is not None
        assert process.stderr.readline().startswith("up: ")
        process.send_signal(number)
        assert process.stderr.read() == ""
        assert process.wait(LIMIT_S) == status
