# SPDX-License-Identifier: MIT
"""The documents are executed: SPEC's tables against the compiled header, README's commands and Python.

SPEC's tables are known by their header row; names are C names in backticks, numbers are decimal or 0x:

    | Offset | Size | Name | ...     offsets in the control block and in a record: rows ascend, do not
                                     overlap, and each name has its offset as its value; a size that is
                                     no number (n bytes) only in the last row
    | Value | Name | ...             any other number or enumerator
    | Value | Verdict | Text | ...   verdicts by their public name, with the text that the core prints
    | Byte | Asks for | Answer |      commands of the Secure world's console
    | Own | CONDITION | ...          link states: an entry is the next state and, if any, the verdict in
                                     backticks; "the refusal" stands for whichever fits, "-" for no case

A row whose name does not start with IST_ describes a part of the row before it, and is not compared.

Together they name everything that core/abi.h defines, each exactly once.
"""

from __future__ import annotations

import re
import shlex
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
ABI = ROOT / "core/abi.h"
COUNTS = {"IST_STATES", "IST_TAGS"}  # how many there are: no number on the wire
REFUSALS = {f"PEER_{word}" for word in ("MAGIC", "VERSION", "ROLE", "GEOMETRY", "MTU", "FEATURES", "EPOCH")}
REFUSALS.add("STATE_WORD")
ISTHMUS = Path(sys.executable).with_name("isthmus")

# ---- the compiled side ---------------------------------------------------------------------------


@dataclass(frozen=True)
class Layout:
    numbers: dict[str, int]
    verdicts: dict[str, tuple[int, str]]


@pytest.fixture(scope="module")
def layout(tmp_path_factory: pytest.TempPathFactory) -> Layout:
    """What the compiler makes of every name in core/abi.h."""
    text = re.sub(r"/\*.*?\*/", "", ABI.read_text(), flags=re.DOTALL)
    names = re.findall(r"^#define (IST_\w+) +\S", text, re.MULTILINE)
    for body in re.findall(r"\benum \w+ \{([^{}#]*)\}", text):
        names += re.findall(r"\bIST_\w+", re.sub(r"=[^,]*", "", body))
    names = [name for name in names if name not in COUNTS]
    work = tmp_path_factory.mktemp("layout")
    program = work / "layout.c"
    program.write_text(
        '#include <stdio.h>\n#include "abi.h"\n'
        '#define V(name, text) printf("V\\t%s\\t%d\\t%s\\n", #name, IST_V_##name, text);\n'
        "int main(void) {\n"
        + "".join(f'printf("N\\t{n}\\t%lld\\n", (long long)({n}));\n' for n in names)
        + "IST_VERDICTS(V)\nreturn 0; }\n"
    )
    subprocess.run(["cc", "-I", ABI.parent, "-o", work / "layout", program], check=True)
    out = subprocess.run([work / "layout"], check=True, capture_output=True, text=True).stdout
    rows = [line.split("\t") for line in out.splitlines()]
    return Layout(
        {row[1]: int(row[2]) for row in rows if row[0] == "N"},
        {row[1]: (int(row[2]), row[3]) for row in rows if row[0] == "V"},
    )


# ---- the written side ----------------------------------------------------------------------------


@dataclass(frozen=True)
class Table:
    line: int
    header: list[str]
    rows: list[dict[str, str]]


def cells(line: str) -> list[str]:
    return [cell.strip() for cell in re.split(r"(?<!\\)\|", line.strip().strip("|"))]


def tables(text: str) -> Iterator[Table]:
    lines = text.splitlines()
    for at, line in enumerate(lines[1:], 1):
        if re.fullmatch(r"\s*\|?[\s:|-]*-[\s:|-]*\|[\s:|-]*", line) and "|" in lines[at - 1]:
            header = cells(lines[at - 1])
            rows = []
            for row in lines[at + 1 :]:
                if not row.lstrip().startswith("|"):
                    break
                rows.append(dict(zip(header, cells(row), strict=False)))
            yield Table(at, header, rows)


def number(text: str) -> int | None:
    text = text.strip("`").replace("_", "")
    return int(text, 0) if re.fullmatch(r"0x[0-9a-fA-F]+|\d+", text) else None


def spec_problems(text: str, layout: Layout) -> Iterator[str]:
    """Where SPEC and the compiled header differ; nothing where they agree."""
    seen: Counter[str] = Counter()
    for table in tables(text):
        numbers = "Offset" if "Offset" in table.header else "Value"
        if numbers not in table.header or not {"Name", "Verdict"} & set(table.header):
            continue
        end: int | None = 0
        for row in table.rows:
            value = number(row.get(numbers, ""))
            if "Verdict" in row:
                name = row["Verdict"].strip("`")
                known = layout.verdicts.get(name)
                seen[f"IST_V_{name}"] += 1
                if known is None:
                    yield f"{name}: no such verdict"
                elif (value, row.get("Text")) != known:
                    yield f"{name}: SPEC says {(value, row.get('Text'))}, compiled is {known}"
                continue
            name = row["Name"].strip("`")
            if not name.startswith("IST_"):
                continue  # a part of the row before: a half word, a bit field
            seen[name] += 1
            if name not in layout.numbers:
                yield f"{name}: not in core/abi.h"
            elif value != layout.numbers[name]:
                yield f"{name}: SPEC says {value}, compiled is {layout.numbers[name]}"
            if numbers == "Offset" and value is not None:
                if end is None or value < end:
                    yield f"{name}: overlaps the row before"
                size = number(row.get("Size", ""))
                end = None if size is None else value + size
    for name in [*layout.numbers, *(f"IST_V_{v}" for v in layout.verdicts)]:
        if seen[name] != 1:
            yield f"{name}: in {seen[name]} rows of SPEC, not in one"


def test_spec_tables_equal_the_compiled_layout(layout: Layout) -> None:
    problems = list(spec_problems((ROOT / "docs/SPEC.md").read_text(), layout))
    if problems:
        pytest.fail("\n".join(problems), pytrace=False)


def test_layout_is_lifted_whole(layout: Layout) -> None:
    assert layout.numbers["IST_CTL_HEAD"] == 0x80
    assert layout.numbers["IST_RUN"] == 3
    assert layout.numbers["IST_SECURE"] == 1
    assert layout.verdicts["OK"] == (0, "accepted")


TINY = Layout({"IST_A": 0, "IST_B": 4}, {"OK": (0, "accepted")})
GOOD = """
| Offset | Size | Name | Meaning |
|---|---|---|---|
| 0x0 | 4 | `IST_A` | first |
| | 2 | low half | a part |
| 0x4 | 4 | `IST_B` | second |

| Value | Verdict | Text |
|---:|---|---|
| 0 | `OK` | accepted |
"""


def test_spec_rule_accepts() -> None:
    assert not list(spec_problems(GOOD, TINY))


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("| 0x4 | 4 |", "| 0x8 | 4 |"),
        ("| 0x0 | 4 |", "| 0x0 | 8 |"),
        ("`IST_B`", "`IST_C`"),
        ("| 0x4 | 4 | `IST_B` | second |\n", ""),
        ("| 0 | `OK`", "| 1 | `OK`"),
        ("accepted", "taken"),
        ("| 0 | `OK` | accepted |\n", ""),
        ("second |\n", "second |\n| 0x8 | 4 | `IST_A` | again |\n"),
    ],
)
def test_spec_rule_refuses(old: str, new: str) -> None:
    assert old in GOOD
    assert list(spec_problems(GOOD.replace(old, new), TINY))


def test_state_table_is_what_the_core_does(tmp_path: Path) -> None:
    """Every own state x condition of the peer: the compiled core does what SPEC's entry says."""
    program = tmp_path / "states"
    sources = [ROOT / "tests/c/spec_states.c", *ABI.parent.glob("*.c")]
    subprocess.run(["cc", "-std=c11", "-I", ABI.parent, "-o", program, *sources], check=True)
    lines = subprocess.run([program], check=True, capture_output=True, text=True).stdout.splitlines()
    (table,) = (t for t in tables((ROOT / "docs/SPEC.md").read_text()) if t.header[0] == "Own")
    entries = {
        (row["Own"], condition): row[condition] for row in table.rows for condition in table.header[1:]
    }
    tried = set()
    for own, condition, state, verdict in (line.split("\t") for line in lines):
        entry = entries[own, condition]
        tried.add((own, condition))
        if entry == "-":
            continue
        expected, _, reason = entry.partition(", ")
        assert state == expected, f"{own}, peer {condition}: {state}, SPEC says {entry}"
        if reason == "the refusal":
            assert verdict in REFUSALS, f"{own}, peer {condition}: {verdict}"
        else:
            assert verdict == (reason.strip("`") or "-"), (
                f"{own}, peer {condition}: {verdict}, SPEC says {entry}"
            )
    assert tried == set(entries)


# ---- README --------------------------------------------------------------------------------------


def blocks(language: str) -> list[str]:
    return re.findall(
        rf"^```{language}\n(.*?)^```", (ROOT / "README.md").read_text(), re.MULTILINE | re.DOTALL
    )


def commands() -> list[str]:
    lines = (
        line.split("  #")[0].strip().removeprefix("$ ")
        for block in blocks("sh")
        for line in block.splitlines()
    )
    return [line for line in lines if line]


def test_console_table_is_what_the_runtime_obeys() -> None:
    spec = (ROOT / "docs/SPEC.md").read_text().partition("## The Secure world's console\n")[2]
    table = spec.partition("\n## ")[0]
    obeyed = (ROOT / "worlds/secure/runtime/orders.c").read_text().partition("void orders_obey(")[2]
    assert Counter(re.findall(r"^\| `(.)` \|", table, re.MULTILINE)) == Counter(
        re.findall(r"case '(.)':", obeyed.partition("\n}")[0])
    )


def test_readme_has_something_to_run() -> None:
    assert "make demo" in commands()
    assert "make test" in commands()
    assert any(line.startswith("isthmus ") for line in commands())
    assert blocks("python")


@pytest.mark.parametrize("line", commands())
def test_readme_command_exists(line: str) -> None:
    """Not run but resolved: targets are known to make, commands and options to isthmus."""
    words = shlex.split(line)
    if words[0] == "make":
        subprocess.run(["make", "-n", *words[1:]], cwd=ROOT, check=True, capture_output=True)
    elif Path(words[0]).name == "isthmus":
        own = words[1 : words.index("--")] if "--" in words else words[1:]
        text = subprocess.run(
            [ISTHMUS, own[0], "--help"], check=True, capture_output=True, text=True, env={"COLUMNS": "200"}
        ).stdout
        for option in own[1:]:
            if option.startswith("-") and option != "-":
                assert re.search(rf"(?<![\w-]){re.escape(option)}\b", text), (
                    f"isthmus {own[0]} has no {option}"
                )
    else:
        assert words[0] in {"git", "cd", "pip"}, f"README runs {words[0]}"


@pytest.mark.parametrize("block", blocks("python"), ids=lambda block: block.splitlines()[0])
def test_readme_python_runs(block: str, tmp_path: Path) -> None:
    """As a program of its own, so that a claim about what it prints could be checked by its asserts."""
    program = tmp_path / "example.py"
    program.write_text(block)
    done = subprocess.run(
        [sys.executable, "-X", "dev", "-W", "error", program],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done.stderr


# ---- links between documents ---------------------------------------------------------------------


DOCUMENTS = sorted(p.relative_to(ROOT).as_posix() for p in [*ROOT.glob("*.md"), *ROOT.glob("docs/*.md")])


@pytest.mark.parametrize("document", DOCUMENTS)
def test_links_lead_somewhere(document: str) -> None:
    path = ROOT / document
    for target in re.findall(r"\]\(([^)#]+)(?:#[^)]*)?\)", path.read_text()):
        if "://" not in target:
            assert (path.parent / target).exists(), f"{document} links to {target}"


@pytest.mark.parametrize("document", DOCUMENTS)
def test_named_files_exist(document: str) -> None:
    """`core/abi.h` in a text is a claim like any other, and so is `tests/c/unit_ring.c: name_of_a_test`."""
    folders = "core|host|worlds|boards|src|tests|tools|docs"
    missing = []
    for name, test in re.findall(rf"`((?:{folders})/[\w./*-]*)(?:: (\w+))?`", (ROOT / document).read_text()):
        found = list(ROOT.glob(name.rstrip("/")))
        if not found or (test and not any(re.search(rf"\b{test}\b", p.read_text()) for p in found)):
            missing.append(f"{name} {test}".rstrip())
    assert missing == []
