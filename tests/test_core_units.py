# SPDX-License-Identifier: MIT
"""The core's unit tests in C, each a test of its own, under the address and undefined sanitizers."""

from __future__ import annotations

from pathlib import Path

import pytest

from core_programs import HOOKED, HOST, SANITIZED, SOURCES, build, names_of, run

PROGRAMS = tuple(sorted(source.stem for source in SOURCES.glob("unit_*.c")))
CASES = [(program, name) for program in PROGRAMS for name in names_of(program)]

#: Built for size the core has other code (a smaller CRC table, bytes copied out of line): the same tests.
OTHERS = {"clang": ("clang",), "gcc-size": ("gcc", "-Os")}

PORT = (f"-I{HOST.parent}/worlds/secure/port",)
FLAGS = {"unit_wake": (HOOKED,), "unit_lane": PORT, "unit_port": PORT}


def built(factory: pytest.TempPathFactory, program: str, *flags: str, cc: str = "gcc") -> Path:
    flags = (*SANITIZED, *FLAGS.get(program, ()), *flags)
    return build(factory, program, *flags, cc=cc)


@pytest.mark.parametrize(("program", "name"), CASES, ids=[f"{p}-{n}" for p, n in CASES])
def test_unit(program: str, name: str, tmp_path_factory: pytest.TempPathFactory) -> None:
    run(built(tmp_path_factory, program), name)


@pytest.mark.parametrize("other", OTHERS)
@pytest.mark.parametrize("program", PROGRAMS)
def test_units_built_otherwise(other: str, program: str, tmp_path_factory: pytest.TempPathFactory) -> None:
    cc, *flags = OTHERS[other]
    run(built(tmp_path_factory, program, *flags, cc=cc))


def test_a_failed_check_fails(tmp_path: Path, tmp_path_factory: pytest.TempPathFactory) -> None:
    """The harness can fail, says where and what it saw, and knows no tests that do not exist."""
    source = tmp_path / "broken.c"
    source.write_text(
        '#include "harness.h"\nTEST(broken) { CHECK_EQ(1 + 1, 3); }\n'
        "int main(int argc, char **argv) { return run_tests(argc, argv); }\n"
    )
    program = build(tmp_path_factory, source, *SANITIZED)
    with pytest.raises(pytest.fail.Exception, match=r"broken\.c:2: 1 \+ 1 is 2"):
        run(program, "broken")
    with pytest.raises(pytest.fail.Exception, match="no such test"):
        run(program, "brokn")
