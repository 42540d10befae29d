# SPDX-License-Identifier: MIT
"""Where C and assembler text checks, bounds, charges, clears or orders something, and what it is without.

    never, always   an `if` or the condition of ?: that is false, or true, whatever is asked
    part            one operand of && or || that is not asked
    unbounded       a loop without its condition
    unlimited       a GCRA limiter that lets everything pass
    unmasked        an `& mask` that is left out
    edge            a comparison that is off by one
    call            a call for its effect that is not made: fences, locks, zeroing, publishing
    count           a counter, cursor or sum that does not move
    clear           a word that is not set to its constant
    order           an acquire, release or sequentially consistent access that is relaxed
    barrier         a barrier in assembler that is left out

Compile-time assertions are no part of it: without one the program is the same.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

__all__ = ["Mutant", "blank", "closing", "mutants", "split"]


@dataclass(frozen=True, slots=True)
class Mutant:
    """One change of one file: text[begin:end] becomes `becomes`. `id` names it as long as its function, which
    is text[function[0]:function[1]], says the same."""

    id: str
    file: str
    line: int
    kind: str
    begin: int
    end: int
    becomes: str
    function: tuple[int, int]

    def apply(self, text: str) -> str:
        return text[: self.begin] + self.becomes + text[self.end :]

    def changed_function(self, text: str) -> str:
        first, last = self.function
        return text[first : self.begin] + self.becomes + text[self.end : last]


@dataclass(frozen=True, slots=True, order=True)
class _Change:
    begin: int
    end: int
    becomes: str
    kind: str


def mutants(file: str, text: str) -> list[Mutant]:
    """Every change of `text`, in its order; `file` is what its ids begin with."""
    changes = _assembler(text) if file.endswith(".S") else _c(text)
    seen: Counter[str] = Counter()
    found = []
    names = sorted([(m.start(), m[1]) for m in _HEAD.finditer(blank(text))] or _labels(text))
    for c in sorted(set(changes)):
        was = " ".join(text[c.begin : c.end].split())
        ident = f"{Path(file).name} {_function(names, c.begin)} {c.kind}: {was}"
        seen[ident] += 1
        ident += f" #{seen[ident]}" if seen[ident] > 1 else ""
        line = text.count("\n", 0, c.begin) + 1
        bounds = [0, *(at for at, _ in names), len(text)]
        function = next((first, last) for first, last in pairwise(bounds) if first <= c.begin < last)
        found.append(Mutant(ident, file, line, c.kind, c.begin, c.end, c.becomes, function))
    return found


# ---- text -------------------------------------------------------------------------------------------------

_COMMENT = re.compile(r"//[^\n]*|/\*.*?\*/|\"(?:\\.|[^\"\\\n])*\"|'(?:\\.|[^'\\\n])*'", re.DOTALL)
_DIRECTIVE = re.compile(r"^[ \t]*#(?:[^\n]*\\\n)*[^\n]*|^_Static_assert\([^;]*;", re.MULTILINE)
_HEAD = re.compile(r"^(?!static const|typedef)[A-Za-z_][^;{}=\n]*?\b([a-zA-Z]\w*)\((?!\()", re.MULTILINE)
_LABEL = re.compile(r"^(?:func\s+)?(\w+):?\s*$", re.MULTILINE)


def blank(text: str) -> str:
    """The same length without comments, literals, directives and compile-time assertions."""

    def spaces(match: re.Match[str]) -> str:
        return re.sub(r"[^\n]", " ", match[0])

    return _DIRECTIVE.sub(spaces, _COMMENT.sub(spaces, text))


def _labels(text: str) -> list[tuple[int, str]]:
    return [(m.start(), m[1]) for m in _LABEL.finditer(text)]


def _function(names: list[tuple[int, str]], at: int) -> str:
    return next((name for begin, name in reversed(names) if begin <= at), "-")


def closing(code: str, at: int) -> int:
    """Index of the bracket that closes the one at `at`."""
    depth = 0
    for i in range(at, len(code)):
        depth += (code[i] in "([{") - (code[i] in ")]}")
        if depth == 0:
            return i
    raise ValueError(f"unbalanced at {at}")


def split(code: str, begin: int, end: int, separator: str) -> list[tuple[int, int]]:
    """Pieces of code[begin:end] between separators that stand in no bracket."""
    pieces, depth, start, i = [], 0, begin, begin
    while i < end:
        depth += (code[i] in "([{") - (code[i] in ")]}")
        if depth == 0 and code.startswith(separator, i):
            pieces.append((start, i))
            i += len(separator)
            start = i
        else:
            i += 1
    return [*pieces, (start, end)]


def _trim(code: str, begin: int, end: int) -> tuple[int, int]:
    piece = code[begin:end]
    return begin + len(piece) - len(piece.lstrip()), end - len(piece) + len(piece.rstrip())


# ---- C -----------------------------------------------------------------------------------------------------

_ADMITS = r"IST_V_OK|IST_SMC_OK|PSCI_E_SUCCESS|1\b"
_REFUSES = re.compile(rf"\s*\{{?\s*(?:return (?!{_ADMITS})|SMC_RET1\(|continue|break)")
_STATEMENT = r"(?<=[;{}:\n)])\s+"
_BEFORE = re.compile(r"(?:[;{})]|\belse|\b(?:case [^:?]+|default|^\w+):)\s*\Z", re.MULTILINE)
_CALL = re.compile(_STATEMENT + r"(?P<what>(?:\(void\)\s*)?(?P<name>[a-z_]\w*|IST_\w+)\s*\()")
_KEYWORDS = {"if", "for", "while", "switch", "return", "sizeof", "defined", "panic", "__asm__", "asm"}
_COUNT = re.compile(_STATEMENT + r"(?P<what>(?:\+\+)?[a-z_][\w>.\-]*(?:\[[^;=]*?\])?(?:\+\+| [+|]= [^;]*));")
_CONSTANT = r"(?:0|\(void \*\)0|[A-Z][A-Z_0-9]+)"
_CLEAR = re.compile(
    _STATEMENT + rf"(?P<what>[a-z_]\w*(?:->|\.|\[)[^;=(]*(?: = [a-z_][^;=(]*)* = {_CONSTANT});"
)
_MASK = re.compile(r"(?<=[\w)\]]) & ~?(?=[\w(])")
_OPERAND = re.compile(r"\w+(?:(?:->|\.)\w+)*")
_EDGE = re.compile(r" (<=|>=|<|>) ")
_LIMIT = re.compile(r"\bist_limit_(?:take|step)\(")
_RELAXED = {"ist_store_release(": "ist_store(", "ist_load_acquire(": "ist_load("}
_ORDER = re.compile(r"\b(?:ist_store_release\(|ist_load_acquire\(|__ATOMIC_(?:ACQUIRE|RELEASE|SEQ_CST)\b)")


def _c(text: str) -> Iterator[_Change]:
    code = blank(text)
    for match in re.finditer(r"\b(if|while|return)\b|\bfor \(|(?<=[^=!<>]) = ", code):
        yield from _conditions(code, match)
    for match in _CALL.finditer(code):
        before = code[max(0, match.start() - 80) : match.start("what")]
        if match["name"] not in _KEYWORDS and _BEFORE.search(before):
            end = closing(code, match.end() - 1) + 1
            if code[end : end + 1] == ";":
                yield _Change(match.start("what"), end, "(void)0", "call")
    for pattern, kind in ((_COUNT, "count"), (_CLEAR, "clear")):
        for match in pattern.finditer(code):
            if match["what"].count("(") == match["what"].count(")"):  # not of a `for`
                yield _Change(match.start("what"), match.end("what"), "(void)0", kind)
    for match in _MASK.finditer(code):
        end = _operand(code, match.end())
        yield _Change(match.start(), end, "", "unmasked")
    for match in _EDGE.finditer(code):
        other = {"<": "<=", "<=": "<", ">": ">=", ">=": ">"}[match[1]]
        yield _Change(match.start(1), match.end(1), other, "edge")
    for match in _LIMIT.finditer(code):
        if not re.match(r"(?:int|static)", code[code.rfind("\n", 0, match.start()) + 1 :]):
            yield _Change(match.start(), closing(code, match.end() - 1) + 1, "1", "unlimited")
    for match in _ORDER.finditer(code):
        if not code[code.rfind("\n", 0, match.start()) + 1 :].startswith("static"):
            yield _Change(match.start(), match.end(), _RELAXED.get(match[0], "__ATOMIC_RELAXED"), "order")


def _operand(code: str, at: int) -> int:
    if code[at] == "(":
        end = closing(code, at) + 1
        rest = _OPERAND.match(code, end)  # behind a cast
        return rest.end() if rest else end
    match = _OPERAND.match(code, at)
    assert match
    return closing(code, match.end()) + 1 if code[match.end()] in "([" else match.end()


def _conditions(code: str, match: re.Match[str]) -> Iterator[_Change]:
    if match[1] in ("if", "while"):
        begin = code.index("(", match.end()) + 1
        end = closing(code, begin - 1)
        if match[1] == "if":
            yield _Change(begin, end, "0", "never")
            if not _REFUSES.match(code, end + 1):
                yield _Change(begin, end, "1", "always")
        yield from _parts(code, begin, end)
    elif match[0].startswith("for"):
        _, (begin, end), _ = split(code, match.end(), closing(code, match.end() - 1), ";")
        if code[begin:end].strip():
            yield _Change(*_trim(code, begin, end), "1", "unbounded")
            yield from _parts(code, begin, end)
    else:
        ends = [i for i in (code.find(";", match.end()), code.find("{", match.end())) if i >= 0]
        if ends and code[min(ends)] == ";":
            yield from _parts(code, match.end(), min(ends))


def _parts(code: str, begin: int, end: int) -> Iterator[_Change]:
    """Of an expression: operands that are not asked, choices that are made already."""
    begin, end = _trim(code, begin, end)
    question = split(code, begin, end, "?")
    if len(question) > 1:
        first = _trim(code, *question[0])
        yield _Change(*first, "0", "never")
        yield _Change(*first, "1", "always")
        yield from _parts(code, *first)
        for choice in split(code, question[0][1] + 1, end, ":"):
            yield from _parts(code, *choice)
        return
    for separator, neutral in (("||", "0"), ("&&", "1")):
        operands = split(code, begin, end, separator)
        if len(operands) > 1:
            for operand in operands:
                yield _Change(*_trim(code, *operand), neutral, "part")
                yield from _parts(code, *operand)
            return
    at = begin
    while (at := code.find("(", at, end)) >= 0:
        close = closing(code, at)
        for piece in split(code, at + 1, close, ","):
            yield from _parts(code, *piece)
        at = close


# ---- assembler --------------------------------------------------------------------------------------------

_BARRIER = re.compile(r"^\t((?:dsb|dmb|isb)\b[^\n]*|msr\s+daif[^\n]*)$", re.MULTILINE)
_BRANCH = re.compile(r"^\t((?:b\.\w+|tbn?z|cbn?z)\b[^\n]*)$", re.MULTILINE)


def _assembler(text: str) -> Iterator[_Change]:
    code = blank(text)
    for pattern, kind in ((_BARRIER, "barrier"), (_BRANCH, "never")):
        for match in pattern.finditer(code):
            yield _Change(match.start(1), match.end(1), "", kind)
