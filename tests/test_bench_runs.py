# SPDX-License-Identifier: MIT
"""The bench runs for real: each case moves frames without a loss, and leaves nothing however it ends."""

from __future__ import annotations

import itertools
import os
import re
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from host_tools import descendants
from isthmus.bench import defences, ends, machine, network, ports, runner
from isthmus.bench.cases import CASES, Case, select
from isthmus.bench.program import case_runner
from isthmus.bench.rounds import Broken, Job, Missing

TINY = runner.Durations(warm=2_000, rtt=4_000, rewarm=2_000, flood=4_000)
ISTHMUS = [sys.executable, "-c", "import sys; from isthmus.cli import main; sys.exit(main())"]

needs_two_cores = pytest.mark.skipif(
    len(os.sched_getaffinity(0)) < 2, reason="bench: two processors are needed, one for each end"
)


# ---- real runs -----------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def program() -> Path:
    return case_runner()


@pytest.fixture
def real(program: Path) -> Iterator[runner.Runner]:
    r = runner.Runner(program, machine.pick_processors(), TINY, seed=1)
    yield r
    r.close()


@needs_two_cores
@pytest.mark.parametrize("frame", [60, 64, 1500])
@pytest.mark.parametrize(
    "case", [c for c in CASES if c.sized and not c.ends and not c.loop], ids=lambda c: c.name
)
def test_every_case_moves_frames_without_a_loss(case: Case, frame: int, real: runner.Runner) -> None:
    try:
        values = real(Job(case, frame)).values
    except Missing as reason:
        pytest.skip(f"bench: the peer {case.peer} is missing: {reason}")
    assert values["samples"] > 0
    assert 0 < values["rtt_p50"] <= values["rtt_p99"]
    assert values["bits"] == pytest.approx(values["frames"] * frame * 8)
    assert values["cpu"] > 0


@needs_two_cores
@pytest.mark.parametrize("case", [c for c in CASES if not c.sized], ids=lambda c: c.name)
def test_every_other_case_gives_what_it_is_to_measure(case: Case, real: runner.Runner) -> None:
    """A frame lost or out of turn on either lane, or a ping without an answer, would end the run."""
    values = real(Job(case, 0)).values
    assert all(values[metric] > 0 for metric in case.metrics)
    if case.name.startswith("latency"):
        assert values["samples"] >= 1e5


@needs_two_cores
@pytest.mark.parametrize("frame", [64, 1500])
@pytest.mark.parametrize("case", [c for c in CASES if c.sized and c.loop], ids=lambda c: c.name)
def test_every_loop_has_a_cost(case: Case, frame: int, real: runner.Runner) -> None:
    sample = real(Job(case, frame))
    assert sample.values["cost"] > 0
    assert sample.pingpong_us > 0


def test_a_loop_that_cannot_be_built_is_missing(
    program: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("CC", "/nonexistent/cc")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    for build in (defences.channel_loop, defences.filter_loop):
        build.cache_clear()
    r = runner.Runner(program, (0, 0), TINY, seed=1)
    for name in ("defences.checks", "filter.ipv4.udp"):
        with pytest.raises(Missing, match="nonexistent/cc"):
            r(Job(select(name)[0], 64))


@needs_two_cores
@pytest.mark.parametrize("case", [c for c in CASES if c.threads], ids=lambda c: c.name)
def test_in_one_process(case: Case, program: Path) -> None:
    r = runner.Runner(program, machine.pick_processors(), TINY, seed=1, threads=True)
    assert r(Job(case, 64)).values["rtt_p50"] > 0


@needs_two_cores
def test_pingpong_is_measured_beside_every_run(real: runner.Runner) -> None:
    for name in ("cacheline", "isthmus", "python.mp-pipe"):
        assert real(Job(select(name)[0], 64)).pingpong_us > 0


def interfaces() -> set[str]:
    return {name for _, name in socket.if_nameindex()}


@needs_two_cores
@pytest.mark.host
@pytest.mark.needs("computer")
def test_the_networks_peers_run_in_namespaces_that_leave_nothing(real: runner.Runner) -> None:
    before, ours = interfaces(), os.readlink("/proc/self/ns/net")
    assert real(Job(select("udp-veth")[0], 1500)).values["rtt_p50"] > 0
    for name in ("af_packet", "tap"):
        assert real(Job(select(name)[0], 1500)).values["rtt_p50"] > 0
    real.close()
    assert interfaces() == before
    assert os.readlink("/proc/self/ns/net") == ours


def test_namespaces_that_cannot_be_made_are_missing(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    refused = tmp_path / "network_ends.py"
    refused.write_text("import sys\nsys.exit('no network namespaces: unshare: Operation not permitted')\n")
    monkeypatch.setattr(network, "SETUP", refused)
    with pytest.raises(Missing, match="Operation not permitted"):
        network.ends("udp")


@needs_two_cores
def test_a_foreign_frame_ends_the_run(program: Path) -> None:
    """The positive control of every run: a frame that is not the next one is noticed."""
    a, b = (socket.socket(socket.AF_INET, socket.SOCK_DGRAM) for _ in range(2))
    with a, b:
        a.bind(("127.0.0.1", 0))
        b.bind(("127.0.0.1", 0))
        a.connect(b.getsockname())
        b.connect(a.getsockname())
        a.send(bytes(8) + b"x" * 56)  # number 0, twice: the end that follows takes ours for the first one
        case = Case("foreign", "udp-veth", "udp-veth", batch=1, kernel=True, company=True, ends="udp")
        job = Job(case, 64)
        r = runner.Runner(program, machine.pick_processors(), TINY, seed=1)
        settings = [*r._settings(job, TINY), f"fd0={a.fileno()}", f"fd1={b.fileno()}"]
        with pytest.raises(Broken, match=r"frame \d+: 64 bytes and sequence \d+ arrived"):
            runner.execute([str(program), "udp-veth", *settings], 1.0, [a.fileno(), b.fileno()])


@pytest.mark.parametrize("setting", ["frame=59", "ring=3000", "frame=", "warp=1", "cpu0"])
def test_runner_refuses_settings_that_cannot_be(setting: str, program: Path) -> None:
    with pytest.raises(Missing, match="isthmus-bench"):
        runner.execute([str(program), "ideal.packed", setting], 1.0, [])


def test_a_program_that_is_not_there_is_missing() -> None:
    with pytest.raises(Missing, match="No such file"):
        runner.execute(["/nonexistent/isthmus-bench"], 1.0, [])


def test_a_stuck_run_is_ended(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(runner, "GRACE_SECONDS", 0.2)
    with pytest.raises(Broken, match="stuck"):
        runner.execute(["/bin/sleep", "600"], 0.1, [])


# ---- the end -------------------------------------------------------------------------------------


def command_of(pid: int) -> str:
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes().replace(b"\0", b" ").decode()
    except OSError:
        return ""


def wait_for(condition: Callable[[], object], seconds: float = 60.0) -> None:
    until = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < until, "it did not come to pass"
        time.sleep(0.01)


# A bench whose first run takes a minute: what is gone earlier was ended.
LONG = """
import sys, isthmus.bench
isthmus.bench.FULL = isthmus.bench.Durations(warm=60_000_000)
from isthmus.cli import main
sys.exit(main(["bench", "--only", sys.argv[1]]))
"""


@pytest.fixture
def running(
    request: pytest.FixtureRequest, program: Path
) -> Iterator[tuple[subprocess.Popen[str], set[int]]]:
    """A bench in the middle of a run, and its runner with both ends."""
    cases, sign = request.param
    process = subprocess.Popen(
        [sys.executable, "-c", LONG, cases],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        process_group=0,
    )

    def below() -> set[int]:
        return {p for p in descendants(process.pid) if sign in command_of(p)}

    wait_for(lambda: len(below()) == 3)
    found = below()
    yield process, found
    for pid in found:
        if sign in command_of(pid):
            os.kill(pid, signal.SIGKILL)
    process.kill()
    process.communicate()


both_runners = pytest.mark.parametrize(
    "running",
    [("isthmus", "isthmus-bench"), ("python.isthmus", "ends.py")],
    indirect=True,
    ids=["c", "python"],
)


@needs_two_cores
@both_runners
def test_ctrl_c_is_130_and_leaves_nothing(running: tuple[subprocess.Popen[str], set[int]]) -> None:
    process, below = running
    os.killpg(process.pid, signal.SIGINT)
    out, err = process.communicate(timeout=30)
    assert process.returncode == 130
    assert out == ""
    assert re.fullmatch(r"(bench: (seed|round) .*\n)*bench: interrupted\n", err)
    wait_for(lambda: not any(map(command_of, below)), 10)


@needs_two_cores
@both_runners
def test_kill_9_leaves_nothing(running: tuple[subprocess.Popen[str], set[int]]) -> None:
    process, below = running
    process.kill()
    process.communicate(timeout=30)
    wait_for(lambda: not any(map(command_of, below)), 10)


POOL = Path("/proc/sys/vm/nr_hugepages")


@pytest.mark.parametrize("spoil", ["byte", "length", "order"])
def test_other_frames_in_a_buffer_end_the_run(spoil: str) -> None:
    frames = [bytes([n]) * 64 for n in range(64)]
    arriving = list(frames)
    if spoil == "byte":
        arriving[40] = arriving[40][:63] + b"x"
    elif spoil == "length":
        arriving[40] = arriving[40][:63]
    else:
        arriving[40], arriving[41] = arriving[41], arriving[40]
    source = iter(arriving)

    def into(buffer: bytearray, lengths: memoryview) -> int:
        some = list(itertools.islice(source, min(5, len(lengths))))
        buffer[: sum(map(len, some))] = b"".join(some)
        for n, frame in enumerate(some):
            lengths[n] = len(frame)
        return len(some)

    port = ports.Port(send=len, receive=bytes, receive_batch_into=into)
    receive_all, _ = ends.buffer_receiver(port, frames, 32)
    with pytest.raises(ports.Broken, match="from number 40 on"):
        receive_all(frames)
    arriving[:] = frames
    source = iter(arriving)
    receive_all(frames)


@needs_two_cores
@pytest.mark.skipif(
    os.geteuid() != 0, reason="bench: the peer dpdk-rte_ring is missing: needs root for huge pages"
)
@pytest.mark.parametrize("by", [signal.SIGKILL, signal.SIGTERM, None])
def test_huge_pages_are_given_back(by: signal.Signals | None) -> None:
    before, folders = POOL.read_text(), set(Path("/tmp").glob("isthmus-huge-*"))
    shown = "cat /proc/sys/vm/nr_hugepages; ls -d $ISTHMUS_BENCH_HUGE; sleep 60 & sleep 60"
    command = [sys.executable, "-P", str(runner.HUGE_PAGES), "/bin/sh", "-c", shown if by else "exit 7"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, process_group=0) as process:
        assert process.stdout is not None
        if by is not None:
            count, folder = process.stdout.readline(), process.stdout.readline()
            if not folder:
                pytest.skip("bench: the peer dpdk-rte_ring is missing: no huge pages to be had")
            assert int(count) > int(before)
            os.killpg(process.pid, by)
        process.communicate()
    assert by is not None or process.returncode in (2, 7)
    wait_for(lambda: POOL.read_text() == before and set(Path("/tmp").glob("isthmus-huge-*")) == folders)
