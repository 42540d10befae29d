# SPDX-License-Identifier: MIT
"""The rules of the tree: privilege is a folder, and what a folder may reach is checked here.

Each rule is a function from text to complaints, so that a rule can be shown to bite: see the last tests.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
C_FILES = ("*.c", "*.h", "*.S")
SOURCES = (*C_FILES, "*.py", "*.pyi", "*.sh", "*.toml")
LINES_MAX = 600

# The sans-IO part: time, randomness and the outside world are arguments.
SANS_IO = (
    *("board.py", "config.py", "errors.py", "model.py", "quarantine.py", "stats.py"),
    *("filter/rule.py", "filter/table.py", "filter/oracle.py"),
)
OUTSIDE = {"time", "socket", "threading", "asyncio", "select", "selectors", "subprocess", "os", "random"}


def files(*folders: str, patterns: tuple[str, ...] = C_FILES) -> list[Path]:
    found = {p for folder in folders for pattern in patterns for p in (ROOT / folder).rglob(pattern)}
    made = {"build", "dist", ".venv", ".hypothesis", ".git"}
    return sorted(p for p in found if not made & set(p.relative_to(ROOT).parts[:1]))


def name(path: Path) -> str:
    return str(path.relative_to(ROOT))


def code(text: str) -> str:
    """C without comments and literals; the line structure stays."""
    pattern = r"//[^\n]*|/\*.*?\*/|\"(?:\\.|[^\"\\\n])*\"|'(?:\\.|[^'\\\n])*'"

    def blank(match: re.Match[str]) -> str:
        return "\n" * match[0].count("\n") if match[0].startswith("/") else '""'

    return re.sub(pattern, blank, text, flags=re.DOTALL)


def includes(text: str) -> list[str]:
    """Every #include as it stands: <x> or "x"."""
    return re.findall(r"^\s*#\s*include\s+([<\"][^>\"]+[>\"])", text, re.MULTILINE)


# ---- the rules -----------------------------------------------------------------------------------


def core_includes(text: str) -> Iterator[str]:
    """The core is freestanding and knows nobody: it includes its own headers only."""
    own = {p.name for p in (ROOT / "core").glob("*.h")}
    for include in includes(text):
        if include[0] == "<" or include[1:-1] not in own:
            yield f"includes {include}"


def world_includes(text: str, world: Path) -> Iterator[str]:
    """A world reaches its own folder, the core, and on the host the host's link; never another world."""
    near = {p.name for p in world.rglob("*.h")}
    shared = {p.name for folder in ("core", "host") for p in (ROOT / folder).glob("*.h")}
    far = {p.name for p in (ROOT / "worlds").rglob("*.h") if world not in p.parents}
    others = {p.name for p in (ROOT / "worlds").iterdir() if p.is_dir() and p != world}
    for include in includes(text):
        target = Path(include[1:-1])
        if {"worlds", "..", *others} & set(target.parts):
            yield f"includes {include}"
        elif include[0] == '"' and target.name in far - near - shared:
            yield f"includes {include} of another world"


MEMORY_WORDS = r"\b(?:__atomic_\w+|__sync_\w+|_Atomic|volatile|__asm__|asm)\b"
# `e->rx.peer[...]`, `*e->tx.own`, `*(T *)e->rx.peer`, `*(T *)(e->rx.peer + n)`
MEMBER = r"(?:\w+(?:->|\.))+(?:own|peer)\b"
BUFFER_USE = rf"{MEMBER}\s*\[|(?<=[=(,;&|!~?:{{}}\s])\*\s*(?:\([^()]*\*\)\s*)?\(?\s*{MEMBER}"


def shared_memory(text: str) -> Iterator[str]:
    """Only shared.h touches shared memory: elsewhere in the core the buffers are values, passed on."""
    bare = code(text)
    for match in re.finditer(MEMORY_WORDS, bare):
        yield f"uses {match[0]}"
    for match in re.finditer(BUFFER_USE, bare):
        yield f"dereferences a buffer: {match[0]}"


def sans_io(text: str) -> Iterator[str]:
    for node in ast.walk(ast.parse(text)):
        names: list[str] = []
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom) and not node.level:
            names = [node.module or ""]
        for module in names:
            if module.split(".")[0] in OUTSIDE:
                yield f"imports {module}"


def unfinished(text: str) -> Iterator[str]:
    for match in re.finditer(r"\b(TO" r"DO|FIX" r"ME|X" r"XX)\b", text):
        yield f"says {match[0]}"


def licence(text: str, dual: bool) -> Iterator[str]:
    """An SPDX line among the first two; what a kernel may link offers the GPL as well."""
    head = "\n".join(text.splitlines()[:2])
    found = re.search(r"SPDX-License-Identifier: ([^*\n]+?)\s*(?:\*/|-->)?$", head, re.MULTILINE)
    if not found:
        yield "has no SPDX line"
    elif dual and found[1] != "MIT OR GPL-2.0":
        yield f"is {found[1]}, not MIT OR GPL-2.0"
    elif found[1] not in ("MIT", "MIT OR GPL-2.0"):
        yield f"is {found[1]}"


# ---- the tree holds them -------------------------------------------------------------------------


def check(complaints: list[str]) -> None:
    if complaints:
        pytest.fail("\n".join(complaints), pytrace=False)


def test_core_includes_nothing_but_itself() -> None:
    core = files("core")
    assert core
    check([f"{name(p)} {c}" for p in core for c in core_includes(p.read_text())])


def test_worlds_do_not_include_one_another() -> None:
    worlds = [p for p in (ROOT / "worlds").iterdir() if p.is_dir()]
    assert {"normal", "secure"} <= {p.name for p in worlds}
    complaints = []
    for world in worlds:
        complaints += [
            f"{name(p)} {c}" for p in files(name(world)) for c in world_includes(p.read_text(), world)
        ]
    check(complaints)


def test_only_one_header_touches_shared_memory() -> None:
    assert (ROOT / "core/shared.h").exists()
    others = [p for p in files("core") if p.name != "shared.h"]
    check([f"{name(p)} {c}" for p in others for c in shared_memory(p.read_text())])


@pytest.mark.parametrize("module", SANS_IO)
def test_sans_io_modules_import_no_outside(module: str) -> None:
    check([f"{module} {c}" for c in sans_io((ROOT / "src/isthmus" / module).read_text())])


def test_nothing_is_left_unfinished() -> None:
    places = files(".", patterns=(*SOURCES, "*.md"))
    check([f"{name(p)} {c}" for p in places for c in unfinished(p.read_text())])


def test_every_source_names_its_licence() -> None:
    complaints = []
    for path in files("core", "host", "worlds", "boards", "src", "tests", "tools", patterns=SOURCES):
        dual = path.is_relative_to(ROOT / "core") or path.is_relative_to(ROOT / "worlds/normal/linux")
        if path.stat().st_size:
            complaints += [f"{name(path)} {c}" for c in licence(path.read_text(), dual)]
    check(complaints)


def test_files_stay_small() -> None:
    sizes = {p: len(p.read_text().splitlines()) for p in files(".", patterns=SOURCES)}
    check([f"{name(p)} has {n} lines, at most {LINES_MAX}" for p, n in sizes.items() if n > LINES_MAX])


# ---- the rules bite ------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "text",
    ["#include <stdint.h>", '# include "world.h"', '#include "../host/link.h"', '#include "lwip/netif.h"'],
)
def test_core_rule_refuses(text: str) -> None:
    assert list(core_includes(text))


def test_core_rule_accepts_its_own() -> None:
    assert not list(core_includes('#include "abi.h"\n/* "world.h" */'))


@pytest.mark.parametrize(
    "text", ['#include "../../secure/lwip/port.h"', '#include "worlds/secure/lwip/port.h"']
)
def test_world_rule_refuses(text: str) -> None:
    assert list(world_includes(text, ROOT / "worlds/normal"))


@pytest.mark.parametrize(
    "text",
    [
        "x = __atomic_load_n(p, 2);",
        "volatile int x;",
        "return e->rx.peer[4];",
        "x = *(const ist_u32 *)e->rx.peer;",
        "x = *(const ist_u32 *)(e->rx.peer + 4);",
        "x = *e->tx.own;",
    ],
)
def test_shared_memory_rule_refuses(text: str) -> None:
    assert list(shared_memory(text))


@pytest.mark.parametrize(
    "text",
    [
        "/* volatile */",
        'p("__atomic_load_n");',
        "x = ist_load(e->rx.peer, 4);",
        "e->rx.peer = peer;",
        "n = 2 * e->rx.length;",
    ],
)
def test_shared_memory_rule_accepts(text: str) -> None:
    assert not list(shared_memory(text))


@pytest.mark.parametrize("text", ["import time", "def f():\n    from socket import socket", "import os.path"])
def test_sans_io_rule_refuses(text: str) -> None:
    assert list(sans_io(text))


def test_licence_rule_refuses() -> None:
    assert list(licence("int x;\n\n/* SPDX-License-Identifier: MIT */", dual=False))
    assert list(licence("/* SPDX-License-Identifier: MIT */", dual=True))
    assert list(licence("# SPDX-License-Identifier: BSD-3-Clause", dual=False))
    assert not list(licence("#!/bin/bash\n# SPDX-License-Identifier: MIT", dual=False))
    assert not list(licence("/* SPDX-License-Identifier: MIT OR GPL-2.0 */", dual=True))


def test_unfinished_rule_refuses() -> None:
    assert list(unfinished("/* TO" + "DO: later */"))
