# SPDX-License-Identifier: MIT
"""What the border costs in executed instructions: two runs alike to the last digit, beside the goals."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from isthmus.bench import blocking, instructions, record
from isthmus.bench.instructions import CountResult, CountRow, goals_of, rows_of, spans
from isthmus.errors import EnvironmentProblem, IsthmusError
from isthmus.qemu.count import Counts, Lap, laps
from isthmus.trustzone.board import load

UPDATE = "isthmus bench --machine qemu --record"

CASES = {
    ("crossing.roundtrip", 0), ("doorbell.switch", 0), ("doorbell.noswitch", 0), ("crossing.polled", 0),
    ("channel.send", 64), ("channel.send", 1500),
    ("channel.receive", 64), ("channel.receive", 1500), ("ping.rtt", 64), ("loopback.ping", 64),
    ("tcp.to_secure", 0), ("tcp.to_normal", 0), ("loopback.tcp", 0), *blocking.CASES,
}  # fmt: skip


@pytest.fixture(scope="module")
def result() -> CountResult:
    return instructions.run()


def row(result: CountResult, case: str, frame: int = 0) -> CountRow:
    return next(r for r in result.rows if (r.case, r.frame_bytes) == (case, frame))


@pytest.mark.qemu
def test_every_case_is_counted_and_every_goal_held(result: CountResult) -> None:
    assert {(r.case, r.frame_bytes) for r in result.rows} == CASES
    assert not [r for r in result.rows if r.status != "ok" or not r.value]
    assert len(result.goals) == 6
    assert all(goal.ok for goal in result.goals), result.goals


@pytest.mark.qemu
def test_a_second_run_counts_the_same(result: CountResult) -> None:
    again = instructions.run()
    assert again.rows == result.rows
    assert again.goals == result.goals


@pytest.mark.qemu
def test_instructions_are_charged_to_who_executes_them(result: CountResult) -> None:
    crossing, rung = row(result, "crossing.roundtrip"), row(result, "doorbell.noswitch")
    assert crossing.secure
    assert crossing.monitor
    assert crossing.normal == rung.normal, "Linux makes the same call"
    whole = row(result, "doorbell.switch")
    assert whole.monitor == crossing.monitor, "one and the same"
    assert whole.secure is not None
    assert whole.secure > crossing.secure == 2, "its SMC, and the instruction behind it"
    assert rung.secure == 0, "over the rate, the Secure world is not entered"
    assert rung.monitor
    assert rung.monitor < crossing.monitor
    for case, frame in (("channel.send", 64), ("channel.receive", 1500)):
        own = row(result, case, frame)
        assert (own.secure, own.monitor) == (0, 0), "the core runs in Linux alone"
    ping, loopback = row(result, "ping.rtt", 64), row(result, "loopback.ping", 64)
    assert loopback.secure is not None
    assert ping.secure is not None
    assert loopback.secure < ping.secure / 50, "only the Secure world's own period"
    for r in result.rows:
        assert r.normal is not None
        assert r.secure is not None
        assert r.monitor is not None
        assert r.value == pytest.approx(r.normal + r.secure + r.monitor)


@pytest.mark.qemu
def test_secure_interrupts_wait_no_longer_than_the_board_says(result: CountResult) -> None:
    """The machine's time counts an instruction as a nanosecond. Among the calls is one that rings."""
    call, whatever, limit = row(result, "blocked.call"), row(result, "blocked.any"), load().secure.blocking.us
    crossing = row(result, "crossing.roundtrip")
    assert call.value is not None
    assert whatever.value is not None
    assert crossing.monitor is not None
    assert crossing.monitor / 2 < call.value <= whatever.value <= limit * 1000


@pytest.mark.qemu
def test_nothing_costs_more_than_its_record(result: CountResult) -> None:
    """Nor less: then the record is out of date."""
    board = load()
    known, other = record.find(record.inputs_of(board), record.file_of(board))
    if known is None:
        pytest.skip(f"counts: no record for these inputs ({other}): {UPDATE}")
    changed = record.changes(known.counts, record.counts_of(result.rows))
    assert not changed, "\n".join([*changed, f"if that is meant: {UPDATE}"])


INPUTS = {"kernel": "k", "QEMU": "q", "compiler": "c", "flags": "f"}


def counted(**values: float) -> list[CountRow]:
    return [CountRow(case, "isthmus", 0, "instructions", value) for case, value in values.items()]


def test_a_change_of_more_than_two_percent_is_told_with_both_numbers(tmp_path: Path) -> None:
    file = tmp_path / "counts.json"
    assert record.find(INPUTS, file) == (None, "there is none at all")
    record.keep(INPUTS, counted(same=500, within=500, more=500, less=500, gone=1), file)
    known, _ = record.find(INPUTS, file)
    assert known is not None
    new = record.counts_of(counted(same=500, within=510, more=511, less=489, new=1))
    assert record.changes(known.counts, new) == [
        "gone: is counted no more",
        "less: 500 before, 489 now (-2.2 %)",
        "more: 500 before, 511 now (+2.2 %)",
        "new: was not counted before",
    ]


def test_a_record_is_for_its_inputs_alone(tmp_path: Path) -> None:
    file = tmp_path / "counts.json"
    record.keep(INPUTS, counted(case=1), file)
    for name in INPUTS:
        assert record.find({**INPUTS, name: "other"}, file) == (None, f"another {name}")
    record.keep({**INPUTS, "QEMU": "8"}, counted(case=2), file)
    told = record.keep({**INPUTS, "flags": "new"}, counted(case=3), file)
    assert told == ["case: 1 before, 3 now (+200.0 %)"]
    assert record.find(INPUTS, file)[0] is None, "this machine's record for the flags as they were"
    assert record.find({**INPUTS, "flags": "new"}, file)[0] is not None
    assert record.find({**INPUTS, "QEMU": "8"}, file)[0] is not None, "another machine's"


@pytest.mark.parametrize("text", ["", "[]", '{"key": {"inputs": {}}}'])
def test_a_broken_record_is_refused(tmp_path: Path, text: str) -> None:
    (tmp_path / "counts.json").write_text(text)
    with pytest.raises(EnvironmentProblem, match="not a record of counts"):
        record.find(INPUTS, tmp_path / "counts.json")


def lap(mark: int, *numbers: int) -> Lap:
    return Lap(mark, 0, (Counts(*numbers),))


def test_spans_pair_a_mark_with_the_next_one() -> None:
    passed = [
        lap(2, 9, 9, 9, 9, 9),
        lap(1, 10, 0, 0, 1, 0),
        lap(3, 11, 0, 0, 1, 0),
        lap(2, 15, 2, 3, 1, 1),
        lap(2, 20, 0, 0, 0, 0),
    ]
    assert spans(passed, (1, 2)) == [Counts(5, 2, 3, 0, 1)]
    assert Counts(5, 2, 3, 1).work == 8, "the critical task's are not the traffic's"
    assert Lap(0, 1, (Counts(1, 2, 3, 4), Counts(10, 20, 30, 40))).total == Counts(11, 22, 33, 44)


def test_a_case_that_was_not_reached_is_missing_and_its_goal_not_held() -> None:
    rows = rows_of([lap(11, 0, 0, 0, 0), lap(12, 500, 0, 0, 0)])
    assert {(r.case, r.status) for r in rows if r.value is not None} == {("ping.rtt", "ok")}
    assert next(r for r in rows if r.case == "tcp.to_secure").status == "missing"
    assert not any(goal.ok for goal in goals_of(rows))


@pytest.mark.parametrize("text", ["1 0 5 5 5 5 5\n", "1 0\n"])
def test_what_the_counter_did_not_write_is_refused(tmp_path: Path, text: str) -> None:
    (tmp_path / "laps").write_text(text)
    with pytest.raises(IsthmusError, match="not a lap"):
        list(laps(tmp_path / "laps"))


def test_only_counts_are_recorded() -> None:
    command = [sys.executable, "-c", "import sys; from isthmus.cli import main; sys.exit(main())"]
    done = subprocess.run(
        [*command, "bench", "--machine", "memory", "--record"], capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stdout) == (2, "")
    assert "--record is for --machine qemu" in done.stderr


def test_options_of_the_other_machines_are_refused() -> None:
    command = [sys.executable, "-c", "import sys; from isthmus.cli import main; sys.exit(main())"]
    done = subprocess.run(
        [*command, "bench", "--machine", "qemu", "--seed", "1"], capture_output=True, text=True, check=False
    )
    assert done.returncode == 2
    assert done.stdout == ""
    assert "--machine qemu: it counts once" in done.stderr
