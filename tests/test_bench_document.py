# SPDX-License-Identifier: MIT
"""The generated part of docs/PERFORMANCE.md: one command makes it again of the record beside it."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path

import msgspec
import pytest

from isthmus.bench import chart, document
from isthmus.errors import EnvironmentProblem
from isthmus.report.figure import NORMAL

ROOT = Path(__file__).parent.parent
PAGE = ROOT / "docs/PERFORMANCE.md"
ISTHMUS = Path(sys.executable).with_name("isthmus")


@pytest.fixture
def page(tmp_path: Path) -> Path:
    """A copy, with nothing generated in it."""
    before, after = re.split(f"(?<={document.BEGIN}).*(?={document.END})", PAGE.read_text(), flags=re.DOTALL)
    copy = tmp_path / PAGE.name
    copy.write_text(before + after)
    return copy


def isthmus(*arguments: str | Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [ISTHMUS, "bench", *arguments], capture_output=True, text=True, timeout=60, check=False
    )


def labels(svg: str) -> list[str]:
    """What a chart says; where its ink is, another version of the library may see otherwise."""
    return re.findall(r"<text[^>]*>([^<]*)</text>", svg)


def test_one_command_makes_the_committed_page_of_its_record(page: Path) -> None:
    done = isthmus("--document", page, "--from", document.record_of(PAGE))
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
    assert page.read_text() == PAGE.read_text()
    assert document.record_of(page).read_text() == document.record_of(PAGE).read_text()
    drawn, committed = (document.chart_of(each).read_text() for each in (page, PAGE))
    assert labels(drawn) == labels(committed)
    assert len(labels(drawn)) > 20


def test_the_page_follows_the_record(page: Path, tmp_path: Path) -> None:
    """Another number is another page: nothing in it is written by hand."""
    record = json.loads(document.record_of(PAGE).read_text())
    row = next(
        r for r in record["rows"] if (r["case"], r["metric"], r["frame_bytes"]) == ("isthmus", "rtt_p50", 64)
    )
    row["value"], row["rounds"] = 123.4, [123.4] * len(row["rounds"])
    changed = tmp_path / "changed.json"
    changed.write_text(json.dumps(record))
    assert isthmus("--document", page, "--from", changed).returncode == 0
    text = page.read_text()
    assert "| **isthmus** | 123 |" in text
    goal = next(line for line in text.splitlines() if line.startswith("| rtt.64.bound "))
    assert goal.endswith("| **not held** |")
    assert "123" in labels(document.chart_of(page).read_text())


def test_a_run_on_a_busy_machine_is_not_worth_a_page() -> None:
    record = document.read(document.record_of(PAGE))
    assert not document.objection(record.rows)
    spoilt = [msgspec.structs.replace(r, status="invalid", value=None) for r in record.rows]
    assert "not quiet" in document.objection(spoilt)
    assert "not quiet" in document.objection([])
    lacking = [msgspec.structs.replace(r, status="missing", value=None) for r in record.rows[1:]]
    assert not document.objection([record.rows[0], *lacking]), "what the machine lacks does not count"


@pytest.mark.parametrize("text", ["", "{}", '{"schema": "isthmus.check/1"}', "[]"])
def test_what_is_no_record_is_refused_in_one_line(page: Path, tmp_path: Path, text: str) -> None:
    record = tmp_path / "record.json"
    record.write_text(text)
    before = page.read_text()
    done = isthmus("--document", page, "--from", record)
    assert done.returncode == 2
    assert len(done.stderr.splitlines()) == 1
    assert "no document of isthmus bench" in done.stderr
    assert page.read_text() == before


def test_a_page_without_marks_is_refused_before_any_measuring(tmp_path: Path) -> None:
    page = tmp_path / "PAGE.md"
    page.write_text("nothing\n")
    with pytest.raises(EnvironmentProblem, match="has no lines"):
        document.require(page)
    for arguments in (
        ("--document", page),
        ("--document", page, "--from", page),
        ("--document", tmp_path / "none.md"),
    ):
        done = isthmus(*arguments)
        assert done.returncode == 2
        assert len(done.stderr.splitlines()) == 1


def test_options_that_say_nothing_together_are_refused(page: Path) -> None:
    for arguments in (("--from", PAGE), ("--document", page, "--machine", "memory"),
                      ("--document", page, "--machine", "qemu")):  # fmt: skip
        done = isthmus(*arguments)
        assert done.returncode == 2
        assert len(done.stderr.splitlines()) == 1


def test_the_chart_says_which_colour_is_whose() -> None:
    drawn = labels(document.chart_of(PAGE).read_text())
    for word in ("isthmus, ", "bound: ", "peers"):
        assert sum(text.startswith(word) for text in drawn) == 1
    assert set(chart.COLOURS.values()) | {NORMAL} == {colour for colour, _ in chart.LEGEND}


def test_the_chart_has_a_curve_over_the_number_of_channels() -> None:
    """Only where one channel and more were measured; each point is a ratio to one channel's cost."""
    record = json.loads(document.record_of(PAGE).read_text())
    blank = next(r for r in record["rows"] if r["case"] == "isthmus" and r["metric"] == "cpu")
    record["rows"] = [r for r in record["rows"] if not r["case"].startswith("scale")]
    without = labels(chart.draw(document.decode(json.dumps(record).encode(), "a record")))
    for channels, cost in ((1, 0.5), (64, 0.55)):
        values = {"frame_bytes": 0, "value": cost, "rounds": [cost]}
        record["rows"].append({**blank, "case": f"scale.{channels}", **values})
        size = {"metric": "size", "unit": "bytes", "value": 51040, "rounds": [51040]}
        record["rows"].append({**blank, "case": f"scale.{channels}", **size})
    drawn = labels(chart.draw(document.decode(json.dumps(record).encode(), "a record")))
    assert {"64", "1.00", "1.10", "memory: 51,040 bytes a channel"} <= set(drawn)
    assert drawn.count("1.10") == without.count("1.10") + 1, "a ratio of another figure may say the same"
