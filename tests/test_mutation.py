# SPDX-License-Identifier: MIT
"""`make mutants` works: it finds what it is to take out, the tests notice, and what nobody notices is said.

The whole of it takes long; these are the finder, a sample, and the account of what is left.
"""

from __future__ import annotations

import dataclasses
import subprocess
from pathlib import Path

import pytest

from core_programs import ROOT
from mutation import __main__ as mutation
from mutation import verdicts
from mutation.find import Mutant, mutants
from mutation.judges import AREAS, Workshop
from mutation.objects import same_code
from mutation.schemata import CHOICE, schemata

SOURCE = """
/* if (never) here(); */
#define SKIPPED(x) if (x) f()
_Static_assert(1 < 2, "no part of it");
static int judge(struct s *s, int n)
{
    if (n > s->limit || (n & 3) != 0)
        return -1;
    for (int i = 0; i < n; i++)
        s->sum += i;
    if (n == 7)
        n = 8;
    s->open = 0;
    ist_store_release(s->own, HEAD, s->head);
    return s->ok && n < 9 ? f(n) : 0;
}
"""
FOUND = {
    "n > s->limit || (n & 3) != 0 -> 0": "never",
    "n > s->limit -> 0": "part",
    "> -> >=": "edge",
    " & 3 -> ": "unmasked",
    "(n & 3) != 0 -> 0": "part",
    "i < n -> 1": "unbounded",
    "s->sum += i -> (void)0": "count",
    "n == 7 -> 0": "never",
    "n == 7 -> 1": "always",
    "s->open = 0 -> (void)0": "clear",
    "ist_store_release( -> ist_store(": "order",
    "ist_store_release(s->own, HEAD, s->head) -> (void)0": "call",
    "s->ok && n < 9 -> 0": "never",
    "s->ok && n < 9 -> 1": "always",
    "s->ok -> 1": "part",
    "n < 9 -> 1": "part",
    "< -> <=": "edge",
}


def shown(m: Mutant, text: str) -> str:
    return f"{text[m.begin : m.end]} -> {m.becomes}"


def test_each_kind_is_found_and_nothing_else() -> None:
    assert {shown(m, SOURCE): m.kind for m in mutants("judge.c", SOURCE)} == FOUND
    assert all(m.id.startswith("judge.c judge ") for m in mutants("judge.c", SOURCE))


SMALL = """#include <stdio.h>
static inline __attribute__((__always_inline__)) int judge(int n, const int limit[1])
{
    if (n > limit[0])
        return -1;
    return n;
}
int main(void)
{
    static const int limit[1] = {3};
    printf("%d %d", judge(3, limit), judge(4, limit));
    return 0;
}
"""


def test_all_changes_are_in_one_program(tmp_path: Path) -> None:
    """Each alone, as its number is asked for, and none of them else; what does not compile is left out."""
    source = tmp_path / "small.c"
    source.write_text(SMALL)
    known = mutants(source.name, SMALL)
    broken = dataclasses.replace(known[0], id="broken", becomes="no C")
    made = schemata(source, [*known, broken], tmp_path / "all", ["gcc"])
    assert made.number.keys() == {m.id for m in known}
    program = tmp_path / "small"
    subprocess.run(["gcc", "-w", "-o", program, made.file, made.switch], check=True)

    def said(number: int) -> str:
        return subprocess.run(
            [program], env={CHOICE: str(number)}, check=True, capture_output=True, text=True
        ).stdout

    assert said(0) == "3 -1"
    assert {m.kind: said(made.number[m.id]) for m in known} == {"never": "3 4", "edge": "-1 -1", "call": ""}


def test_barriers_in_assembler_are_found() -> None:
    text = "func enter\n\tdsb\tsy\n\tb.eq\tusual\n\tmsr\tdaifclr, #4\n\tisb\n\tmov\tx0, x1\n"
    found = {text[m.begin : m.end]: m.kind for m in mutants("enter.S", text)}
    assert found == {
        "dsb\tsy": "barrier", "b.eq\tusual": "never", "msr\tdaifclr, #4": "barrier", "isb": "barrier",
    }  # fmt: skip


def test_every_file_with_a_check_is_searched() -> None:
    known = verdicts.find(AREAS)
    assert len({m.id for _, m in known}) == len(known), "two changes with one name"
    files = {m.file for _, m in known}
    for area in AREAS.values():
        for path in (p for pattern in area for p in ROOT.glob(pattern)):
            if path.suffix != ".h" and "if (" in path.read_text():
                assert str(path.relative_to(ROOT)) in files
    kinds = {m.kind for _, m in known}
    assert kinds == {*FOUND.values(), "barrier", "unlimited"}


def test_what_is_explained_is_in_the_sources() -> None:
    assert verdicts.stale(verdicts.explained(), (m for _, m in verdicts.find(AREAS))) == []


def test_a_sample_is_noticed(seed: int, tmp_path: Path) -> None:
    """Each by the first program that tries it; the tree is as it was then."""
    known = {m.id: m for _, m in verdicts.find(["core"])}
    workshop = Workshop(tmp_path)
    for ident in (
        "limit.h ist_limit_step never: ahead > l->tolerance",
        "guard.c ready unlimited: ist_limit_take(&rx->budget, now, rx->budget.interval)",
    ):
        assert workshop.judge(known[ident], "core", stage=0).startswith("unit_"), ident


def test_only_what_compiles_to_the_same_needs_no_test(tmp_path: Path) -> None:
    known = {m.id: m for _, m in verdicts.find(["core"])}
    text = (ROOT / "core" / "session.c").read_text()
    assert same_code("core/session.c", text.replace("return", "return  "), tmp_path)
    order = next(m for m in known.values() if m.file == "core/session.c" and m.kind == "order")
    assert not same_code("core/session.c", order.apply(text), tmp_path), "x86-64 has one load for both"
    assert not same_code("core/session.c", "what does not compile", tmp_path)


def test_what_the_suite_says_is_heard(tmp_path: Path) -> None:
    workshop = Workshop(tmp_path)
    assert workshop.suite("pytest tests/test_smc.py") == ""
    source = workshop.copy / "core" / "smc.h"
    source.write_text(source.read_text().replace("#define IST_SMC_COUNT ", "#define IST_SMC_COUNT 1 + "))
    assert workshop.suite("pytest tests/test_smc.py").startswith("tests/test_smc.py::test_")


@pytest.fixture
def made_up(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Nothing is judged and nothing is noticed; the file of explanations."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.setattr(Workshop, "__init__", lambda *_: None)
    monkeypatch.setattr(Workshop, "judge", lambda *_: "")
    file = tmp_path / "mutants.toml"
    file.write_text("")
    monkeypatch.setattr(verdicts.explained, "__defaults__", (file,))
    return file


def test_a_survivor_needs_a_reason(made_up: Path, capsys: pytest.CaptureFixture[str]) -> None:
    argv = ["core", "--only", "limit.h*", "--seed", "1"]
    assert mutation.main(argv) == 1
    said = capsys.readouterr().out
    assert "0 noticed, 0 without effect on the machine code, 0 explained, 4 unexplained, 0 not yet" in said
    ids = [line.removeprefix("noticed by nothing: ") for line in said.splitlines() if "by nothing: " in line]
    made_up.write_text(f'[[survivors]]\nreason = "because it is so"\nmutants = {ids}\n')
    assert mutation.main(argv) == 0
    assert "0 to judge" in capsys.readouterr().out, "it goes on where it was"


def test_an_explanation_of_nothing_is_refused(made_up: Path, capsys: pytest.CaptureFixture[str]) -> None:
    made_up.write_text('[[survivors]]\nreason = "because it was so"\nmutants = ["limit.c f never: gone"]\n')
    assert mutation.main(["core", "--only", "limit.h*", "--seconds", "0"]) == 1
    assert "explained, but the source does not say it: limit.c f never: gone" in capsys.readouterr().out
    made_up.write_text('[[survivors]]\nmutants = ["limit.c f never: gone"]\n')
    with pytest.raises(ValueError, match="no reason"):
        verdicts.explained()


def test_bad_usage_is_one_line(capsys: pytest.CaptureFixture[str]) -> None:
    assert mutation.main(["--only", "nothing is called so"]) == 2
    assert len(capsys.readouterr().err.splitlines()) == 1
