# SPDX-License-Identifier: MIT
"""The bench: what it says, which runs it believes, and that it leaves nothing behind.

No number that a run measures is judged here: how fast a frame is, is the bench's own business.
"""

from __future__ import annotations

import json
import os
import random
import statistics
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from isthmus.bench import Options, Result, jobs_of, machine, result_of, rounds, run, runner
from isthmus.bench.cases import CASES, GIVEN, METRICS, UNITS, select
from isthmus.bench.rounds import Broken, Job, Missing, Plan, Sample
from isthmus.bench.verdict import GOALS, LESS_IS_BETTER, Row, judge, rows_of
from isthmus.cli import main
from isthmus.errors import EnvironmentProblem

ROW = {
    "case", "peer", "api", "mode", "metric", "frame_bytes", "unit", "value", "rounds", "checks", "tag",
    "batch", "slots", "status", "reason",
}  # fmt: skip
TINY = runner.Durations(warm=2_000, rtt=4_000, rewarm=2_000, flood=4_000)
ISTHMUS = [sys.executable, "-c", "import sys; from isthmus.cli import main; sys.exit(main())"]

needs_two_cores = pytest.mark.skipif(
    len(os.sched_getaffinity(0)) < 2, reason="bench: two processors are needed, one for each end"
)


# ---- what stands in for the machine --------------------------------------------------------------


def sample_of(job: Job, factor: float = 1.0, disturbed: str = "") -> Sample:
    """A run whose every metric differs, and whose ideal rings are twice as good as the rest."""
    better = 2.0 if job.case.peer == "bound" else 1.0
    values = {
        "rtt_p50": 1.0 / better, "rtt_p99": 2.0 / better, "frames": 1e6 * better, "bits": 1e9 * better,
        "cpu": 0.5, "samples": 1000.0, "to_secure": 1e9, "to_normal": 1e9,
        "latency_p50": 1.0, "latency_p99": 2.0, "latency_p999": 3.0,
        "size": 4096.0, "cost": 30.0 / better,
    }  # fmt: skip
    return Sample({k: v * factor for k, v in values.items()}, pingpong_us=0.3, disturbed=disturbed)


def bench(
    answer: Callable[[Job], Sample], only: str = "*", number: int = 4, seed: int = 7, **more: Any
) -> Result:
    return run(Options(cases=select(only), rounds=number, seed=seed, **more), sample=answer)


def row(result: Result, case: str, metric: str, frame: int) -> Row:
    return next(r for r in result.rows if (r.case, r.metric, r.frame_bytes) == (case, metric, frame))


# ---- the document --------------------------------------------------------------------------------


@needs_two_cores
def test_document_says_what_the_interface_promises(tmp_path: Path) -> None:
    out = tmp_path / "bench.json"
    command = [
        *ISTHMUS,
        "bench",
        "--only",
        "cacheline,ideal.packed,isthmus",
        "--rounds",
        "1",
        "--json",
        str(out),
    ]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode in (0, 1), done.stderr
    assert "ideal.packed" in done.stdout
    document = json.loads(out.read_text())
    assert document["schema"] == "isthmus.bench/1"
    assert document["machine"] == "host"
    assert isinstance(document["seed"], int)
    assert f"seed {document['seed']}" in done.stderr
    assert {"version", "commit", "stack", "goals"} <= set(document)
    for r in document["rows"]:
        assert set(r) == ROW
        assert r["unit"] == UNITS[r["metric"]]
        assert len(r["rounds"]) == 1
    kinds = {(r["case"], r["metric"], r["frame_bytes"]) for r in document["rows"]}
    sized = {(c, m, f) for c in ("ideal.packed", "isthmus") for m in METRICS for f in (64, 1500)}
    assert kinds == sized | {("cacheline", "rtt_p50", 0), ("cacheline", "rtt_p99", 0)}
    assert all(r["checks"] for r in document["rows"] if r["peer"] == "isthmus")
    names = {"ideal.packed", "isthmus"}
    assert {g["id"] for g in document["goals"]} == {g.id for g in GOALS if {g.over, g.under} <= names}
    assert done.returncode == (0 if all(g["ok"] for g in document["goals"]) else 1)


@needs_two_cores
def test_json_on_standard_output_is_alone_there() -> None:
    command = [*ISTHMUS, "bench", "--only", "cacheline", "--rounds", "1", "--json", "-"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
    assert json.loads(done.stdout)["rows"][0]["case"] == "cacheline"


def test_goals_can_be_recomputed_from_the_rows() -> None:
    rng = random.Random(3)
    result = bench(
        lambda job: sample_of(job, rng.uniform(0.8, 1.2), rng.choice(["", "", "", "noise"])), number=9
    )
    assert len(result.goals) == len(GOALS)
    for goal in result.goals:
        over = row(result, goal.over, goal.metric, goal.frame_bytes)
        names = goal.under.split(",") if goal.under else []
        unders = [row(result, name, goal.metric, goal.frame_bytes).rounds for name in names] or [[1.0] * 9]
        best = min if goal.metric in LESS_IS_BETTER else max
        ratios = [
            a / best(v for v in found if v is not None)
            for a, *found in zip(over.rounds, *unders, strict=True)
            if a is not None and any(v is not None for v in found)
        ]
        assert goal.measured is not None
        assert goal.measured == statistics.median(ratios)
        assert goal.rounds == len(ratios)
        assert goal.low is not None
        assert goal.high is not None
        assert goal.low <= goal.measured <= goal.high
        within = goal.measured <= goal.limit if goal.sense == "at most" else goal.measured >= goal.limit
        assert goal.ok == within


def test_a_goal_that_falls_short_is_not_ok() -> None:
    slow = bench(sample_of, "ideal.packed,isthmus")  # RTT twice the bound's, throughput half of it
    assert len(slow.goals) == 4
    assert not any(g.ok for g in slow.goals)
    fast = bench(
        lambda job: sample_of(job, 0.3 if job.case.peer == "isthmus" else 1.0), "ideal.packed,isthmus"
    )
    assert {g.id: g.ok for g in fast.goals if g.metric == "rtt_p50"} == {
        "rtt.64.bound": True,
        "rtt.1500.bound": True,
    }


def test_the_best_of_those_that_are_there_is_compared_with() -> None:
    def answer(job: Job) -> Sample:
        if job.case.name == "dpdk-rte_ring":
            raise Missing("no libdpdk here")
        return sample_of(job, {"pipe.sleep": 7.0, "udp-veth": 3.0}.get(job.case.name, 1.0))

    result = bench(answer, "isthmus,dpdk-rte_ring,pipe.sleep,udp-veth")
    goals = {g.id: g for g in result.goals}
    assert set(goals) == {"throughput.64.peers", "throughput.1500.peers"}, "none against what is not there"
    best = max(row(result, name, "frames", 64).rounds[0] or 0 for name in ("pipe.sleep", "udp-veth"))
    own = row(result, "isthmus", "frames", 64).rounds[0]
    assert own is not None
    assert goals["throughput.64.peers"].measured == own / best


@pytest.mark.parametrize(("factor", "ok"), [(1.3, True), (1.4, False)])
def test_a_goal_may_ask_for_a_value_of_its_own(factor: float, ok: bool) -> None:
    (goal,) = bench(lambda job: sample_of(job, factor), "filter.ipv6.tcp").goals
    assert (goal.under, goal.measured, goal.limit, goal.ok) == ("", 30 * factor, 40, ok)


def test_a_frame_that_costs_a_ninth_more_is_a_tenth_fewer_frames() -> None:
    for factor, ok in ((1.11, True), (1.12, False)):

        def sample(job: Job, dear: float = factor) -> Sample:
            return sample_of(job, 1 if job.case.checks else 2 / dear)

        (goal,) = bench(sample, "defences.checks,defences.unchecked").goals
        assert goal.id == "defences.checks.64"
        assert goal.measured == pytest.approx(factor)
        assert goal.ok == ok


def test_same_seed_same_verdict() -> None:
    def go() -> Result:
        rng = random.Random(5)
        return bench(lambda job: sample_of(job, rng.uniform(0.5, 2.0)), seed=11)

    assert go().goals == go().goals


def test_every_case_has_its_rows_and_only_known_ones() -> None:
    result = bench(sample_of)
    assert {r.case for r in result.rows} == {c.name for c in (*CASES, *GIVEN)}
    assert {r.peer for r in result.rows} >= {
        "bound",
        "isthmus",
        "udp-veth",
        "unix-seqpacket",
        "pipe",
        "mp-pipe",
    }
    assert {r.tag for r in result.rows if r.peer == "isthmus"} == {"none", "crc32c", "siphash"}
    assert {r.mode for r in result.rows if r.peer == "isthmus"} == {"spin", "adaptive", "sleep"}
    assert row(result, "ideal.slots", "frames", 64).slots == 256
    assert row(result, "isthmus", "frames", 64).slots == (256 << 10) // 80
    assert row(result, "isthmus.siphash", "frames", 64).slots == (256 << 10) // 96
    assert row(result, "udp-veth", "frames", 64).slots is None


def test_memory_machine_has_bound_and_channel_alone() -> None:
    names = {job.case.name for job in jobs_of(Options(machine="memory"))}
    assert names >= {"cacheline", "ideal.packed", "isthmus", "isthmus.sleep"}
    assert not names & {"udp-veth", "unix-seqpacket", "python.isthmus"}


# ---- which runs count ----------------------------------------------------------------------------


def test_a_missing_peer_is_a_row_with_its_reason() -> None:
    asked: list[str] = []

    def answer(job: Job) -> Sample:
        asked.append(job.case.name)
        if job.case.name == "udp-veth":
            raise Missing("no network namespaces: not permitted")
        return sample_of(job)

    result = bench(answer, "udp-veth,pipe.sleep")
    for metric in METRICS:
        found = row(result, "udp-veth", metric, 64)
        assert (found.status, found.value) == ("missing", None)
        assert found.reason == "no network namespaces: not permitted"
    assert row(result, "pipe.sleep", "frames", 64).status == "ok"
    assert asked.count("udp-veth") == 2  # once for each size: what is missing is not asked for again


def test_a_disturbed_run_is_repeated() -> None:
    disturbed = iter(["noise", "noise", ""] + [""] * 100)
    result = bench(lambda job: sample_of(job, disturbed=next(disturbed)), "isthmus", number=3)
    assert all(r.status == "ok" and None not in r.rounds for r in result.rows)


def test_a_round_that_stays_disturbed_is_invalid() -> None:
    runs = 0

    def answer(job: Job) -> Sample:
        nonlocal runs
        runs += 1
        return sample_of(job, disturbed="noise" if runs <= 1 + rounds.REPEATS else "")

    result = bench(answer, "cacheline", number=3)
    found = row(result, "cacheline", "rtt_p50", 0)
    assert found.rounds == [None, 0.5, 0.5]
    assert (found.status, found.value) == ("ok", 0.5)
    assert runs == 1 + rounds.REPEATS + 2


def test_mostly_disturbed_says_invalid_and_reaches_no_goal() -> None:
    result = bench(lambda job: sample_of(job, disturbed="noise" if job.case.peer == "isthmus" else ""))
    found = row(result, "isthmus", "frames", 64)
    assert (found.status, found.value, found.rounds) == ("invalid", None, [None] * 4)
    assert found.reason == "4 of 4 rounds invalid: noise"
    assert [(g.measured, g.rounds, g.ok) for g in result.goals] == [(None, 0, False)] * len(GOALS)


def test_a_case_that_goes_wrong_is_left_alone_and_says_so() -> None:
    tries = 0

    def answer(job: Job) -> Sample:
        nonlocal tries
        tries += 1
        raise Broken("frame 7: 64 bytes and sequence 9 arrived")

    result = bench(answer, "cacheline", number=10)
    assert tries == rounds.BREAKS
    found = row(result, "cacheline", "rtt_p50", 0)
    assert found.status == "invalid"
    assert found.reason.endswith("sequence 9 arrived")


def test_a_pingpong_that_is_off_objects() -> None:
    yardstick = rounds.Yardstick()
    assert not any(yardstick.objection(0.3) for _ in range(rounds.Yardstick.ENOUGH))
    assert "0.06 us where 0.30 us" in yardstick.objection(0.06)
    assert yardstick.objection(1.2)
    assert not yardstick.objection(0.33)


NOTHING = machine.Taken(0.0, 0.0)
QUIET = {"wall_s": 0.1, "cpu_s": 0.1, "involuntary": 2, "voluntary": 0}


@pytest.mark.parametrize(
    ("case", "change", "taken", "objection"),
    [
        ("isthmus", {}, NOTHING, ""),
        ("isthmus", {}, machine.Taken(0.04, 0.0), "hypervisor took 20%"),
        ("isthmus.sleep", {}, machine.Taken(0.0, 0.05), "other programs took 25%"),
        ("isthmus.sleep", {}, machine.Taken(0.02, 0.02), ""),  # two ticks say nothing
        ("isthmus", {"cpu_s": 0.08}, NOTHING, "off its processor for 20%"),
        ("isthmus", {"involuntary": 90}, NOTHING, "900 involuntary"),
        ("isthmus.sleep", {"cpu_s": 0.01, "voluntary": 5000}, NOTHING, ""),
        ("unix-seqpacket", {"involuntary": 90}, NOTHING, "900 involuntary"),
        ("udp-veth", {"cpu_s": 0.05, "involuntary": 90}, NOTHING, ""),  # kernel threads share its processor
    ],
)
@pytest.mark.parametrize("place", ["rtt_meter", "flood_meter"])
@pytest.mark.parametrize("end", [0, 1])
def test_what_disturbs_a_run(
    case: str, change: dict[str, float], taken: machine.Taken, objection: str, place: str, end: int
) -> None:
    meters: dict[str, Any] = {"rtt_meter": [QUIET, QUIET], "flood_meter": [QUIET, QUIET]}
    meters[place] = [QUIET, QUIET]
    meters[place][end] = {**QUIET, **change}
    said = runner.disturbance(meters, select(case)[0], taken, elapsed=0.2)
    assert objection in said
    assert bool(said) == bool(objection)


def test_rounds_are_interleaved_in_random_order_that_the_seed_replays() -> None:
    def order(seed: int) -> list[tuple[str, ...]]:
        seen: list[str] = []
        jobs = [Job(c, 64) for c in select("ideal.*,isthmus*")]

        def answer(job: Job) -> Sample:
            seen.append(job.case.name)
            return sample_of(job)

        rounds.measure(jobs, Plan(5, None), random.Random(seed), answer, lambda: 0.0)
        return [tuple(seen[i : i + len(jobs)]) for i in range(0, len(seen), len(jobs))]

    first = order(1)
    assert all(sorted(r) == sorted(first[0]) for r in first)  # each case once in every round
    assert len(set(first)) == 5
    assert order(1) == first != order(2)


def test_no_round_begins_that_would_end_behind_the_deadline() -> None:
    now = 0.0

    def answer(job: Job) -> Sample:
        nonlocal now
        now += 10.0
        return sample_of(job)

    series = rounds.measure(
        [Job(select("isthmus")[0], 64)], Plan(100, 35.0), random.Random(1), answer, lambda: now
    )
    assert [len(s.rounds) for s in series.values()] == [3]


def test_no_run_begins_behind_the_latest_moment() -> None:
    now = 0.0
    begun: list[Job] = []

    def answer(job: Job) -> Sample:
        nonlocal now
        now += 10.0
        return sample_of(job)

    jobs = [Job(case, 64) for case in select("ideal.*,isthmus")]
    plan = Plan(100, 15.0, latest=20.0)
    series = rounds.measure(jobs, plan, random.Random(1), answer, lambda: now, begun.append)
    assert now == 20.0
    assert len(begun) == 2
    assert [s.why for job, s in series.items() if job not in begun] == ["no time was left"] * 2
    assert all(s.rounds != [None] for job, s in series.items() if job in begun)


def test_quick_keeps_the_ends_of_the_curve() -> None:
    jobs = jobs_of(Options(quick=True))
    assert {j.case.name for j in jobs_of(Options())} - {j.case.name for j in jobs} == {
        *("scale.2", "scale.4", "scale.8", "scale.16", "scale.32")
    }
    chosen = Options(quick=True, cases=select("scale.2"))
    assert [j.case.name for j in jobs_of(chosen)] == ["scale.2"]


# ---- the choice of cases -------------------------------------------------------------------------


def test_only_takes_names_and_patterns_in_the_tables_order() -> None:
    assert [c.name for c in select("isthmus,cacheline")] == ["cacheline", "isthmus"]
    assert [c.name for c in select("ideal.*")] == ["ideal.packed", "ideal.slots", "ideal.slotseq"]
    with pytest.raises(ValueError, match="no case 'warp'"):
        select("isthmus,warp")


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        (["--only", "warp"], "no case 'warp'"),
        (["--only", "udp-veth", "--machine", "memory"], "none of these cases runs"),
        (["--machine", "qemu", "--rounds", "2"], "--rounds"),
        (["--rounds", "0"], "--rounds"),
    ],
)
def test_misuse_is_one_line(arguments: list[str], complaint: str) -> None:
    done = subprocess.run(
        [*ISTHMUS, "bench", *arguments], capture_output=True, text=True, timeout=60, check=False
    )
    assert done.returncode == 2
    assert done.stdout == ""
    assert complaint in done.stderr
    assert len(done.stderr.splitlines()) == 1


def test_one_core_is_not_enough() -> None:
    with pytest.raises(EnvironmentProblem, match="two processor cores"):
        machine.pick_processors([0])


def test_processor_time_is_read_for_our_processors_alone() -> None:
    stat = """cpu  9 9 9 9 9 9 9 900 0 0
cpu0 10 2 3 1000 50 6 7 30 0 0
cpu1 20 0 5 1000 50 6 7 20 0 0
cpu11 1 1 1 1 1 1 1 7 0 0
intr 5 5 5 5 5 5 5 5
"""
    busy, stolen = machine.processor_seconds((0, 1), stat)
    assert busy == pytest.approx(40 * machine.TICK)
    assert stolen == pytest.approx(50 * machine.TICK)


def test_what_we_use_ourselves_is_not_foreign() -> None:
    burn = [sys.executable, "-c", "import time\nwhile time.process_time() < 0.3: pass"]
    taken = machine.watch(os.sched_getaffinity(0))
    before = machine.processor_seconds(os.sched_getaffinity(0))[0]
    subprocess.run(burn, check=True)
    everything = machine.processor_seconds(os.sched_getaffinity(0))[0] - before
    assert taken().foreign <= everything - 0.3 + 6 * machine.TICK


# ---- the pure parts ------------------------------------------------------------------------------


def test_half_of_the_rounds_must_be_valid() -> None:
    case = select("isthmus")[0]
    good = dict.fromkeys(METRICS, 1.0)
    assert rows_of(case, 64, [good, None])[0].status == "ok"
    assert rows_of(case, 64, [good, None, None], why="noise")[0].status == "invalid"
    assert rows_of(case, 64, [])[0].status == "invalid"


def test_goals_of_cases_that_were_left_out_are_left_out() -> None:
    assert judge(bench(sample_of, "isthmus").rows, random.Random(1)) == []


@pytest.mark.parametrize("quick", [True, False])
def test_quick_says_what_it_is_worth(
    quick: bool, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Behind its table, and not where a script reads standard output."""

    def nothing(options: Options, began: object) -> Result:
        return result_of(options, {}, seconds=1.0, processors=(0, 1))

    monkeypatch.setattr("isthmus.cli.bench.run", nothing)
    assert main(["bench", *["--quick"] * quick]) in (0, 1)
    said = capsys.readouterr()
    assert said.err.count("first impression") == quick
    assert "in 1 s" in said.out
    assert "first impression" not in said.out
