# SPDX-License-Identifier: MIT
"""`isthmus attack`: every attack is contained, every control succeeds, and what falls short is seen."""

from __future__ import annotations

import ctypes
import json
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path

import msgspec
import pytest

from isthmus import attack
from isthmus.attack.catalogue import Attack, Control, Defence, Evidence, Outcome
from isthmus.attack.defences import DEFENCES, TOGETHER, changed_files, stage_library
from isthmus.attack.runner import on_memory, row
from isthmus.cli.common import Common
from isthmus.errors import EnvironmentProblem
from isthmus.report.attack import write

ISTHMUS = Path(sys.executable).with_name("isthmus")


def isthmus(*argv: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [ISTHMUS, "attack", *argv], capture_output=True, text=True, timeout=120, check=False
    )


def test_every_attack_on_memory_is_contained_and_every_control_succeeds(seed: int) -> None:
    report = attack.run("memory", attack.select("memory"), seed=seed)
    assert [(r.id, r.defence, r.detail) for r in report.rows if not r.ok] == []
    tried = Counter(r.defence for r in report.rows if r.applies)
    assert tried["on"] == tried["off"] >= 50


@pytest.mark.host
@pytest.mark.needs("processes")
def test_every_attack_on_the_host_is_contained_and_every_control_succeeds(seed: int) -> None:
    report = attack.run("host", attack.select("host"), seed=seed)
    assert [(r.id, r.defence, r.detail) for r in report.rows if not r.ok] == []
    tried = Counter(r.defence for r in report.rows if r.applies)
    assert tried["on"] == tried["off"] + 1 >= 28  # the kernel bounds host-77, and no build is without it
    assert sum(r.missed_deadlines or 0 for r in report.rows if r.defence == "on") == 0


def test_every_defence_is_what_some_attack_comes_up_against() -> None:
    used = {n for a in attack.ATTACKS if a.control for n in (a.control.without or "").split(" + ")}
    assert set(DEFENCES) - used == set()


def test_what_a_test_build_does_without_together_is_there_once() -> None:
    names = [name for names in TOGETHER for name in names]
    assert len(names) == len(set(names))
    for several in TOGETHER:
        assert changed_files(several)


def test_every_attack_has_a_row_on_every_machine_or_says_why_not() -> None:
    rows: dict[str, set[str]] = {}
    for one in attack.ATTACKS:
        assert one.run is not None or one.elsewhere
        rows.setdefault(one.id.rstrip("abcdefgh"), set()).add(one.machine)
    assert {name: machines for name, machines in rows.items() if len(machines) != 3} == {}


def test_a_seed_replays() -> None:
    (one,) = attack.select("memory", ["mem-30"])
    assert on_memory(one, "on", 7) == on_memory(one, "on", 7)


def test_the_document_has_its_rows() -> None:
    done = isthmus("--machine", "memory", "--only", "mem-3[04],mem-21", "--seed", "5", "--json", "-")
    assert done.returncode == 0, done.stderr
    document = json.loads(done.stdout)
    assert document["schema"] == "isthmus.attack/1"
    assert document["machine"] == "memory"
    rows = {(r["id"], r["defence"]): r for r in document["rows"]}
    assert set(rows) == {(i, d) for i in ("mem-30", "mem-34") for d in ("on", "off")} | {("mem-21", "on")}
    assert rows["mem-34", "on"]["counters"] == {"LENGTH_LONG": 1}
    assert rows["mem-34", "on"]["contained"] is True
    assert rows["mem-34", "off"]["contained"] is False
    assert rows["mem-21", "on"]["applies"] is False
    assert "TrustZone" in rows["mem-21", "on"]["detail"]
    wanted = "id name class attacker defence applies contained missed_deadlines counters work_max work_bound"
    wanted += " recovered_s flow_sent flow_lost seed replayable detail bare"
    assert set(rows["mem-30", "on"]) == set(wanted.split())


def test_without_controls_there_are_none() -> None:
    done = isthmus("--machine", "memory", "--only", "pkt-50*", "--no-controls", "--json", "-")
    assert {r["defence"] for r in json.loads(done.stdout)["rows"]} == {"on"}


def test_the_report_says_how_to_run_it_again(tmp_path: Path) -> None:
    page = tmp_path / "a.html"
    words = ("--only", "pkt-50", "--no-controls", "--machine", "memory", "--seed", "5")
    done = isthmus(*words, "--report", str(page))
    assert done.returncode == 0, done.stderr
    again = page.read_text().partition("Run it again: <code>")[2].partition("</code>")[0]
    assert sorted(again.split()) == sorted(("isthmus", "attack", *words))


def test_the_report_holds_each_task_to_its_deadline(tmp_path: Path) -> None:
    seen = Evidence(
        periods=[(0.0, 1.0, 150.0, 3), (0.001, None, None, 9)],
        flow=[(0.0, 90.0), (0.01, None)],
        responses={"control": [(0.0, 150.0)], "supervision": [(0.002, 700.0), (0.013, 7000.4)]},
        deadlines={"control": 500, "supervision": 6400},
    )
    flood = Attack("dos-1", "made up", "K", "qemu", None)
    runs: list[tuple[Defence, str, int]] = [
        ("on", "held", 0), ("off", "got through", 0), ("bare", "one missed", 1),
    ]  # fmt: skip
    rows = [
        row(flood, which, 1, Outcome(which == "on", said, missed=n, work_max=8, work_bound=9))
        for which, said, n in runs
    ]
    found = attack.Report("qemu", 1, 2.0, rows, {f"dos-1 {r.defence}": seen for r in rows})
    write(tmp_path / "a.html", found, again="isthmus attack", revision="1")
    page = (tmp_path / "a.html").read_text()
    longest = "control 150 of 500 µs, supervision 7000 of 6400 µs, a setpoint&#39;s answer 90 µs"
    assert page.count(longest) == page.count("<figure>") - 1 == 3
    assert "without the defence: got through; with nothing behind it: one missed" in page
    assert found.ok


def test_the_same_machine_again_is_of_its_board_and_its_world() -> None:
    common = Common("qemu", "freertos", Path("w.elf"), Path("b.toml"), None, False, ("a.b=1", "c=2"))
    words = "--machine qemu --board b.toml --set a.b=1 --set c=2 --stack freertos --world w.elf"
    assert common.words() == words.split()


def test_the_short_set_has_one_of_each_kind_that_the_machine_runs() -> None:
    wanted = {a.kind for a in attack.ATTACKS if a.machine == "qemu" and a.run}
    assert {a.kind for a in attack.select("qemu", attack.SHORT, known=False)} == wanted
    for machine in ("memory", "host"):
        assert all(a.run for a in attack.select(machine, attack.SHORT, known=False))


def test_a_list_runs_nothing() -> None:
    done = isthmus("--machine", "memory", "--list")
    assert done.returncode == 0
    assert "mem-30" in done.stdout
    assert "head range" in done.stdout


@pytest.mark.parametrize(
    ("argv", "says"),
    [
        (("--machine", "memory", "--only", "mem-99"), "no attack is called 'mem-99' on memory"),
        (("--machine", "memory", "--short", "--only", "mem-30"), "--short: beside --only"),
        (("--seed", "-1"), "--seed"),
        (("--only", "irq-99"), "no attack is called 'irq-99' on host"),
        (("--machine", "host", "--board", "/nowhere.toml"), "/nowhere.toml: No such file"),
        (("--machine", "memory", "--board", "/nowhere.toml"), "--machine memory is of no board"),
        (("--machine", "memory", "--set", "channel.tag=siphash"), "--machine memory is of no board"),
        (("--machine", "host", "--periods", "500"), "--periods: on --machine host"),
        (("--list", "--json", "-"), "--list: runs nothing"),
        (("--only", ""), "no attack is called '' on host"),
    ],
)
def test_bad_usage_is_one_line(argv: tuple[str, ...], says: str) -> None:
    done = isthmus(*argv)
    assert done.returncode == 2
    assert done.stdout == ""
    (line,) = done.stderr.splitlines()
    assert says in line


def test_what_fell_short_is_exit_status_1_and_named(monkeypatch: pytest.MonkeyPatch) -> None:
    """An attack that is not contained, and a control that does not succeed."""

    def harmless(stage: object, dice: object) -> Outcome:
        return Outcome(True, "nothing happened")

    def harmful(stage: object, dice: object) -> Outcome:
        return Outcome(False, "something did")

    for run, short in ((harmless, "off"), (harmful, "on")):
        made = Attack("mem-1", "made up", "K", "memory", run, {}, Control("head range"))
        report = attack.run("memory", [made], seed=1)
        assert not report.ok
        assert [r.defence for r in report.rows if not r.ok] == [short]


def test_a_process_that_dies_or_hangs_is_not_contained(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("isthmus.attack.runner.LIMIT_S", 0.3)

    def dies(stage: object, dice: object) -> Outcome:
        return Outcome(bool(ctypes.string_at(0)), "")

    def hangs(stage: object, dice: object) -> Outcome:
        time.sleep(60)
        return Outcome(True, "")

    for run, says in ((dies, "SIGSEGV"), (hangs, "did not end")):
        made = Attack("mem-1", "made up", "K", "memory", run, {}, Control("head range"))
        row = on_memory(made, "on", 1)
        assert row.contained is False
        assert says in row.detail


def test_a_control_needs_the_statement_that_it_takes_out(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(DEFENCES, "head range", DEFENCES["head range"]._replace(was="nowhere"))
    with pytest.raises(EnvironmentProblem, match="no control"):
        stage_library("head range")


def test_rows_travel_as_json() -> None:
    (one,) = attack.select("memory", ["mem-42"])
    (row,) = attack.run("memory", [one], seed=1).rows
    assert msgspec.json.decode(msgspec.json.encode(row))["contained"] is None
