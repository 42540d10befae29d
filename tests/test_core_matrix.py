# SPDX-License-Identifier: MIT
"""The core as object files, by every compiler: freestanding, without globals, without the test hook."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import pytest

import isthmus._native
from core_programs import CORE, HOOKED, WARNINGS, compiler

TARGETS = {
    "gcc-x86-64": ("gcc",),
    "clang-x86-64": ("clang", "--target=x86_64-linux-gnu"),
    "gcc-aarch64": ("aarch64-linux-gnu-gcc",),
    "clang-aarch64": ("clang", "--target=aarch64-linux-gnu"),
}
FREESTANDING = ("-ffreestanding", "-nostdinc")
BUILDS = {
    "O0": ("-O0",),
    "O2": ("-O2",),
    "O3": ("-O3",),
    "Os": ("-Os",),
    "kernel": ("-O2", "-mgeneral-regs-only"),  # where vector registers belong to somebody else
    "shared": ("-O2", "-fPIC"),
}
HOOKS = {"ist_test_load", "ist_test_copy"}


class Symbol(NamedTuple):
    name: str
    defined: bool


class Section(NamedTuple):
    name: str
    size: int
    flags: str


def objects(folder: Path, target: str, *flags: str, core: Path = CORE) -> list[Path]:
    """Every file of `core`, compiled into `folder` under the warnings that the project holds itself to."""
    sources = sorted(core.glob("*.c"))
    assert sources
    compiler(*TARGETS[target], *WARNINGS, *flags, f"-I{core}", "-c", *map(str, sources), folder=folder)
    return [folder / f"{source.stem}.o" for source in sources]


def symbols(file: Path) -> Iterator[Symbol]:
    """Global and weak symbols."""
    for line in compiler("readelf", "-sW", str(file)).splitlines():
        match = re.match(r"\s*\d+: \w+\s+\d+ \w+\s+(?:GLOBAL|WEAK)\s+\w+\s+(\w+) ([\w.@]+)", line)
        if match:
            yield Symbol(match[2], match[1] != "UND")


def sections(file: Path) -> Iterator[Section]:
    for line in compiler("readelf", "-SW", str(file)).splitlines():
        match = re.match(
            r"\s*\[\s*\d+\] (\S+)\s+\S+\s+[0-9a-f]{16} [0-9a-f]+ ([0-9a-f]+) [0-9a-f]+ +([A-Za-z]*) +\d+",
            line,
        )
        if match:
            yield Section(match[1], int(match[2], 16), match[3])


def undefined(files: list[Path]) -> set[str]:
    found = [symbol for file in files for symbol in symbols(file)]
    return {s.name for s in found if not s.defined} - {s.name for s in found if s.defined}


def writable(files: list[Path]) -> list[str]:
    """Sections that a running program could write to; what the loader alone relocates is not among them."""
    return [
        f"{file.name}: {section.name}, {section.size} bytes"
        for file in files
        for section in sections(file)
        if "W" in section.flags and section.size and not section.name.startswith(".data.rel.ro")
    ]


@pytest.mark.parametrize("build", BUILDS)
@pytest.mark.parametrize("target", TARGETS)
def test_object(target: str, build: str, tmp_path: Path) -> None:
    """Compiles without a warning and without any header, needs nobody, keeps nothing, has no hook."""
    built = objects(tmp_path, target, *FREESTANDING, *BUILDS[build])
    assert undefined(built) == set()
    assert writable(built) == []
    assert not HOOKS & {symbol.name for file in built for symbol in symbols(file)}


@pytest.mark.parametrize("target", TARGETS)
def test_hook_is_there_when_it_is_asked_for(target: str, tmp_path: Path) -> None:
    """So that the test above looks for the right names; nothing else differs."""
    (tmp_path / "without").mkdir()
    (tmp_path / "with").mkdir()
    without = objects(tmp_path / "without", target, *FREESTANDING, "-O2")
    hooked = objects(tmp_path / "with", target, *FREESTANDING, "-O2", HOOKED)
    assert undefined(hooked) == HOOKS
    names = [{s.name for file in files for s in symbols(file)} for files in (without, hooked)]
    assert names[1] - names[0] == HOOKS
    assert names[0] - names[1] == set()


@pytest.mark.parametrize("level", ["-O2", "-Os"])
@pytest.mark.parametrize("target", ["gcc-x86-64", "clang-aarch64", "gcc-aarch64"])
def test_product_does_not_know_the_hook(target: str, level: str, tmp_path: Path) -> None:
    """With the hook's text cut out of the header the objects are the same, byte for byte."""
    trees: list[list[bytes]] = []
    for cut in (False, True):
        tree = tmp_path / str(cut) / "core"
        tree.mkdir(parents=True)
        for source in CORE.glob("*.[ch]"):
            text = source.read_text()
            if cut and source.name == "shared.h":
                text, cuts = re.subn(
                    r"#ifdef IST_TEST_HOOKS\n.*?#else\n(.*?)#endif\n", r"\1", text, flags=re.DOTALL
                )
                assert cuts == 1
                assert "IST_TEST" not in text.upper().replace("WITH IST_TEST_HOOKS", "")
            (tree / source.name).write_text(text)
        built = objects(tree, target, *FREESTANDING, level, core=tree)
        trees.append([file.read_bytes() for file in built])
    assert trees[0] == trees[1]


def test_installed_extension_has_no_hook() -> None:
    extension = isthmus._native.__file__
    assert extension
    said = compiler("readelf", "-sW", extension)
    assert "ist_" in said or "PyInit" in said
    assert "ist_test" not in said


#: Where a full barrier stands between telling the peer something and looking whether it sleeps, or back.
FENCED = ("ist_publish", "ist_release", "ist_arm", "ist_arm_tx")
BARRIER = {"x86-64": r"\b(mfence|lock\b.*)", "aarch64": r"\bdmb\s+ish$"}
OBJDUMP = {"x86-64": "objdump", "aarch64": "aarch64-linux-gnu-objdump"}


def unfenced(files: list[Path], machine: str) -> set[str]:
    """Those of FENCED whose machine code has no full barrier."""
    listing = "".join(compiler(OBJDUMP[machine], "-d", "--no-show-raw-insn", str(file)) for file in files)
    functions = dict(re.findall(r"^[0-9a-f]+ <(\w+)>:\n((?:.+\n)*)", listing, re.MULTILINE))
    return {name for name in FENCED if not re.search(BARRIER[machine], functions[name], re.MULTILINE)}


@pytest.mark.parametrize("level", ["-O2", "-Os"])
@pytest.mark.parametrize("target", TARGETS)
def test_sleeper_and_waker_have_their_barrier(target: str, level: str, tmp_path: Path) -> None:
    """A missing one shows once in a thousand million wake-ups; so it is looked for in the code."""
    machine = target.split("-", 1)[1]
    assert unfenced(objects(tmp_path, target, *FREESTANDING, level), machine) == set()
    cut = tmp_path / "core"
    cut.mkdir()
    for source in CORE.glob("*.[ch]"):
        (cut / source.name).write_text(source.read_text().replace("__ATOMIC_SEQ_CST", "__ATOMIC_RELAXED"))
    assert unfenced(objects(tmp_path, target, *FREESTANDING, level, core=cut), machine) == set(FENCED)


# ---- the checks bite ---------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("int counter; int f(void) { return counter++; }", ".bss"),
        ("int f(void) { static int n = 5; return n++; }", ".data"),
        ("int f(void) { static _Thread_local int n; return n++; }", ".tbss"),
    ],
)
@pytest.mark.parametrize("target", TARGETS)
def test_a_global_is_noticed(target: str, text: str, complaint: str, tmp_path: Path) -> None:
    (tmp_path / "state.c").write_text(f"int f(void);\n{text}\n")
    built = tmp_path / "state.o"
    compiler(*TARGETS[target], "-O2", "-c", str(tmp_path / "state.c"), "-o", str(built))
    assert any(complaint in line for line in writable([built]))


def test_a_call_of_libc_is_noticed(tmp_path: Path) -> None:
    """Such as a compiler makes of an assignment."""
    (tmp_path / "copy.c").write_text(
        "struct large { char bytes[5000]; };\n"
        "void f(struct large *to, const struct large *from);\n"
        "void f(struct large *to, const struct large *from) { *to = *from; }\n"
    )
    built = objects(tmp_path, "gcc-aarch64", *FREESTANDING, "-O2", core=tmp_path)
    assert undefined(built) == {"memcpy"}
