# SPDX-License-Identifier: MIT
"""All changes of a file in one program, whose environment says which of them it has (mutant schemata).

A function becomes one for each of its changes, and one that chooses: a program is compiled once for a file,
not once for each change.
"""

from __future__ import annotations

import os
import re
import subprocess
from collections import defaultdict
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import NamedTuple

from mutation.find import Mutant, blank, closing, split

__all__ = ["CHOICE", "Schemata", "schemata"]

CHOICE = "ISTHMUS_MUTANT"  # of the environment; none or 0: the file as it was
SWITCH = f"""#include <stdlib.h>
int isthmus_mutant;
__attribute__((__constructor__)) static void choose(void)
{{
    const char *choice = getenv("{CHOICE}");
    isthmus_mutant = choice ? atoi(choice) : 0;
}}
"""
#: Or each choice would stand in each caller of each choice. Behind the system's headers, which need it.
_APART = "#undef __always_inline__\n#define __always_inline__ __unused__\n"
_DEFINITION = re.compile(r"^[A-Za-z_][^;{}=#]*?\b(?P<name>[a-zA-Z]\w*)\((?!\()", re.MULTILINE)
_PARAMETER = re.compile(r"(\w+)\s*(?:\[\w*\])?\s*$")
_FAILED = re.compile(r"In function .\w+?__(\d+)\W")


class _Function(NamedTuple):
    begin: int
    name: int  # where its name begins
    parameters: int  # where its bracket opens
    body: int
    end: int


class Schemata(NamedTuple):
    file: Path  # in place of the original
    switch: Path  # to be linked with it
    number: dict[str, int]  # by id; what does not compile has none


def schemata(original: Path, mutants: Sequence[Mutant], place: Path, compiler: Sequence[str]) -> Schemata:
    """Writes to `place`. `compiler`: command and options that compile the file."""
    place.mkdir(parents=True, exist_ok=True)
    file, switch = place / original.name, place / "switch.c"
    switch.write_text(SWITCH, encoding="utf-8")
    text = original.read_text(encoding="utf-8")
    chosen = dict(enumerate(mutants, 1))
    environment = {**os.environ, "LC_ALL": "C"}
    while True:
        file.write_text(_all(text, chosen), encoding="utf-8")
        done = subprocess.run(
            [*compiler, "-w", "-fsyntax-only", "-x", "c", str(file)],
            capture_output=True, text=True, check=False, env=environment,
        )  # fmt: skip
        failed = {int(n) for n in _FAILED.findall(done.stderr)} & chosen.keys()
        if not failed:
            break
        for number in failed:
            del chosen[number]
    if done.returncode:
        chosen = {}
    inside = _functions(text)
    return Schemata(file, switch, {m.id: n for n, m in chosen.items() if _of(m, inside)})


def _of(mutant: Mutant, functions: Iterable[_Function]) -> _Function | None:
    return next((f for f in functions if f.body <= mutant.begin and mutant.end <= f.end), None)


def _functions(text: str) -> list[_Function]:
    code = blank(text)
    found, at = [], 0
    while match := _DEFINITION.search(code, at):
        at = match.end()
        behind = closing(code, match.end() - 1) + 1
        body = re.compile(r"\s*\{").match(code, behind)
        if body:
            at = closing(code, body.end() - 1) + 1
            found.append(_Function(match.start(), match.start("name"), match.end() - 1, body.end() - 1, at))
    return found


def _all(text: str, chosen: dict[int, Mutant]) -> str:
    functions = _functions(text)
    changes: defaultdict[_Function, dict[int, Mutant]] = defaultdict(dict)
    for number, mutant in chosen.items():
        if function := _of(mutant, functions):
            changes[function][number] = mutant
    pieces, at = ["extern int isthmus_mutant;\n"], 0
    for function in functions:
        if function in changes:
            pieces += [text[at : function.begin], _APART, _choice(text, function, changes[function])]
            at = function.end
    return "".join([*pieces, text[at:], "#undef __always_inline__\n"])


def _choice(text: str, f: _Function, changes: dict[int, Mutant]) -> str:
    code = blank(text)
    name = text[f.name : f.parameters]
    inner = code[f.parameters + 1 : closing(code, f.parameters)]
    names = [_PARAMETER.search(inner[b:e]) for b, e in split(inner, 0, len(inner), ",")]
    arguments = ", ".join(n[1] for n in names if n and n[1] != "void")

    def variant(number: int, body: str) -> str:
        return f"{text[f.begin : f.name]}{name}__{number}{text[f.parameters : f.body]}{body}\n"

    variants = [variant(0, text[f.body : f.end])]
    for number, m in changes.items():
        variants.append(variant(number, text[f.body : m.begin] + m.becomes + text[m.end : f.end]))
    cases = "".join(f"    case {n}: return {name}__{n}({arguments});\n" for n in changes)
    return (
        "".join(variants)
        + f"{text[f.begin : f.body]}{{\n    switch (isthmus_mutant) {{\n{cases}"
        + f"    default: return {name}__0({arguments});\n    }}\n}}"
    )
