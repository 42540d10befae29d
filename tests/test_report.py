# SPDX-License-Identifier: MIT
"""The report of a check: one file that needs nothing else, says what was measured, escapes what it quotes."""

from __future__ import annotations

import html
import re
import subprocess
import sys
from html.parser import HTMLParser
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pytest

from isthmus import boards, report
from isthmus.check import CATALOGUE, Evidence, Report, restart
from isthmus.check.evidence import NONE
from isthmus.check.rows import missing, row
from isthmus.errors import ClosedError, EnvironmentProblem
from isthmus.report import plots
from isthmus.trustzone.board import TrustZone

BORN_NS = 1_000_000


def line(first: int, periods: list[list[int]], *events: tuple[int, str]) -> dict[str, Any]:
    """What the Secure world's console says: worlds/secure/apps/record.h."""
    return {
        "now_ns": BORN_NS + (first + len(periods)) * 1_000_000,
        "born_ns": BORN_NS,
        "first": first,
        "written": first + len(periods),
        "periods": [number for period in periods for number in period],
        "events": [list(event) for event in events],
    }


def evidence(*lines: dict[str, Any]) -> Evidence:
    """One call of record() for each line."""
    source = iter(lines)
    found = Evidence()
    task = boards.load("qemu").secure.task[0]
    found.follow(task, 20.0, lambda: [next(source)])
    return found


def steady(first: int, count: int) -> dict[str, Any]:
    return line(first, [[384, 50_624, n % 7, n % 5] for n in range(count)])


def a_run() -> Evidence:
    found = evidence(steady(0, 100), steady(100, 50), steady(150, 80), steady(230, 200), steady(430, 20))
    found.topic("ping")
    found.topic("restart")
    with found.restart("driver reloaded"):
        pass
    found.close()
    found.rtt_ns = [28_000 + 100 * (n % 40) for n in range(2000)]
    return found


def a_report(machine: str, found: Evidence, **changed: Any) -> Report:
    rows = [changed.get(i.replace(".", "_")) or row(i, True, 1.5, "fine") for i in CATALOGUE]
    return Report(machine, "lwip", "driver", 7, 1.0, rows, found)


def written(path: Path, machine: str, found: Report) -> str:
    report.write(path, found, boards.load(machine), again="isthmus check --seed 7", revision="0.1, abc")
    return path.read_text(encoding="utf-8")


class Page(HTMLParser):
    """Every element with its attributes, and that they are closed in order."""

    VOID = ("meta", "path", "rect", "use", "br")

    def __init__(self, text: str) -> None:
        super().__init__()
        self.stack: list[str] = []
        self.attributes: list[tuple[str, str, str]] = []
        self.feed(text)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.attributes += [(tag, name, value or "") for name, value in attrs]
        if tag not in self.VOID:
            self.stack.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.attributes += [(tag, name, value or "") for name, value in attrs]

    def handle_endtag(self, tag: str) -> None:
        if tag not in self.VOID:
            assert self.stack.pop() == tag


# ---- evidence --------------------------------------------------------------------------------------------


def test_periods_have_their_place_in_time() -> None:
    found = evidence(line(2, [[384, 50_624, 3, 4], [NONE, NONE, 0, 0]], (5_000_000, "link up")))
    assert found.look() == pytest.approx(0.005)
    began, skipped = found.periods
    assert [began.release_s, skipped.release_s] == pytest.approx([0.003, 0.004])
    assert (began.late_us, began.done_us, began.frames_in, began.frames_out) == (0.384, 50.624, 3, 4)
    assert (skipped.late_us, skipped.done_us) == (None, None)
    assert [(m.at_s, m.what) for m in found.moments] == [(0.005, "link up")]


def test_a_topic_ends_where_the_next_begins_and_a_restart_within_it() -> None:
    spans = {span.what: (span.kind, round(span.begin_s, 3), round(span.end_s, 3)) for span in a_run().spans}
    assert spans == {
        "boot": ("topic", 0.0, 0.101),
        "ping": ("topic", 0.101, 0.151),
        "restart": ("topic", 0.151, 0.451),
        "driver reloaded": ("restart", 0.231, 0.431),
    }


def test_a_machine_that_does_not_answer_leaves_no_evidence() -> None:
    found = Evidence()

    def gone() -> list[dict[str, Any]]:
        raise ClosedError("the machine is gone")

    found.follow(boards.load("qemu").secure.task[0], 20.0, gone)
    found.topic("ping")
    with found.restart("driver reloaded"):
        pass
    found.close()
    assert [span.what for span in found.spans] == ["boot"]


# ---- plots -----------------------------------------------------------------------------------------------


def test_plots_are_svg_in_the_pages_colours() -> None:
    found = a_run()
    (closer,) = plots.restarts(found)
    drawn = [plots.whole_run(found), closer, plots.round_trips(found.rtt_ns)]
    drawn.append(plots.throughput([("to the critical OS", 3400.0), ("to Linux", 1600.0)]))
    for text in drawn:
        assert text is not None
        ElementTree.fromstring(text)
        assert "var(--ink)" in text
        assert set(re.findall(r"#[0-9a-fA-F]{6}", text)) == set(), "a colour of its own"
    assert "driver" in closer


def test_kills_and_the_frames_that_came_back() -> None:
    found = Evidence()
    kills = [restart.Kill("normal", 10.4, 10.41), restart.Kill("secure", 10.8, 10.81)]
    passed = [(10 + n / 100, 10.001 + n / 100) for n in range(100) if n not in range(40, 45)]
    restart.show(restart.Campaign(kills=kills, passed=passed), found)
    shaded = [(s.what, round(s.begin_s, 3), round(s.end_s, 3)) for s in found.spans]
    assert shaded == [("Normal world killed", 0.4, 0.451), ("Secure world killed", 0.8, 0.821)]
    drawn = plots.arrivals(found)
    assert drawn is not None
    assert "Normal world" in drawn
    ElementTree.fromstring(drawn)


def test_the_same_run_gives_the_same_plots() -> None:
    assert plots.whole_run(a_run()) == plots.whole_run(a_run())


def test_nothing_is_drawn_of_nothing() -> None:
    nothing = Evidence()
    assert [plots.whole_run(nothing), plots.round_trips([]), plots.throughput([])] == [None] * 3
    assert plots.restarts(nothing) == []
    assert plots.arrivals(nothing) is None


# ---- the page --------------------------------------------------------------------------------------------


@pytest.mark.parametrize("machine", ["qemu", "host"])
def test_the_page_needs_nothing_else(machine: str, tmp_path: Path) -> None:
    found = a_report(machine, a_run() if machine == "qemu" else Evidence())
    text = written(tmp_path / "report.html", machine, found)
    page = Page(text)
    assert page.stack == []
    for tag, name, value in page.attributes:
        if name in ("src", "href", "xlink:href", "srcset", "data"):
            assert value.startswith("#"), (tag, name, value)
    assert "@import" not in text
    assert re.findall(r"url\((?!#)", text) == []
    assert "<script" not in text
    for kind in CATALOGUE.values():
        assert html.escape(kind.what).replace("&#x27;", "&#39;") in text
    assert f"{len(CATALOGUE)} of {len(CATALOGUE)} hold" in text
    assert "prefers-color-scheme: dark" in text


def test_the_drawing_has_the_boards_numbers(tmp_path: Path) -> None:
    text = written(tmp_path / "report.html", "qemu", a_report("qemu", a_run()))
    board = boards.load("qemu")
    assert isinstance(board, TrustZone)
    for number in (board.memory.secure.base, board.memory.normal.base, board.memory.window.base):
        assert f"{number:#010x}" in text
    assert f"doorbell: interrupt {board.interrupt.doorbell}" in text
    assert f"secure timer: interrupt {board.interrupt.timer}" in text
    assert board.normal.address in text


def test_what_fell_short_is_said_and_what_is_quoted_is_escaped(tmp_path: Path) -> None:
    short = missing("http.ok", "<script>alert(1)</script> & more")
    text = written(tmp_path / "report.html", "qemu", a_report("qemu", a_run(), http_ok=short))
    assert "fell short" in text
    assert "<script" not in text
    assert "&lt;script&gt;" in text


def test_the_story_counts_what_did_not_begin(tmp_path: Path) -> None:
    found = evidence(line(0, [[384, 50_624, 0, 0]] * 9 + [[NONE, NONE, 0, 0]]))
    found.close()
    assert "1 did not begin" in written(tmp_path / "report.html", "qemu", a_report("qemu", found))


# ---- the command -----------------------------------------------------------------------------------------


def check(*arguments: str) -> str:
    done = subprocess.run(
        [sys.executable, "-m", "isthmus", "check", *arguments], capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stdout, done.stderr.count("\n")) == (2, "", 1), done.stderr
    return done.stderr


@pytest.mark.parametrize("place", ["/nonexistent/report.html", "/"])
def test_a_report_that_cannot_be_written_is_refused_before_any_work(place: str) -> None:
    assert f"'{place}'" in (said := check("--report", place)) or f"{place}: cannot be written" in said


def test_missing_libraries_are_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(EnvironmentProblem, match=r"jinja2 and matplotlib: pip install 'isthmus\[report\]'"):
        report.require()
