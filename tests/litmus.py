# SPDX-License-Identifier: MIT
"""The memory model of Armv8 as an axiomatic one, small enough to enumerate: may these threads end like that?

A thread is a sequence of accesses, fences and branches. Every way in which its loads can get their values and
its stores can be ordered is a candidate; the model says which of them a processor may show. It is the part of
the architecture's multi-copy atomic model (Arm ARM, B2.3) that ordinary memory needs: no exclusives, no
accesses that overlap in part.

    internal   po-loc | rf | co | fr                    acyclic: each location is coherent
    external   obs | dob | bob                          acyclic: one order that all observers agree on

test_memory_model.py holds it against what is published about the architecture, then asks it about our code.
"""

from __future__ import annotations

import itertools
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

__all__ = ["Access", "Branch", "Fence", "Op", "allowed", "parse"]

Order = Literal["", "acquire", "acquire_pc", "release"]


@dataclass(frozen=True, slots=True)
class Access:
    """A load or a store of `at`. `address`, `value`: which of this thread's ops are the loads behind them."""

    store: bool
    at: str
    order: Order = ""
    address: tuple[int, ...] = ()
    value: tuple[int, ...] = ()


@dataclass(frozen=True, slots=True)
class Fence:
    """DMB or DSB of the inner shareable domain or beyond, or ISB."""

    kind: Literal["full", "load", "store", "isb"]


@dataclass(frozen=True, slots=True)
class Branch:
    """Decided by the values of these loads."""

    on: tuple[int, ...]


Op = Access | Fence | Branch
Thread = Sequence[Op]
Pairs = set[tuple[int, int]]

_WORD = re.compile(r"(?:(R|W)([a-z])([AQL]?)(?:@(addr|data|ctrl|ctrlisb))?|(dmb(?:\.ld|\.st)?|isb))$")
_FENCES: dict[str, Fence] = {
    "dmb": Fence("full"), "dmb.ld": Fence("load"), "dmb.st": Fence("store"), "isb": Fence("isb"),
}  # fmt: skip
_ORDERS: dict[str, Order] = {"": "", "A": "acquire", "Q": "acquire_pc", "L": "release"}


def parse(text: str) -> list[Op]:
    """A thread in short: `Wx dmb WyL`, `RyA Rx@addr`. L, A, Q: release, acquire, acquire RCpc (LDAPR). With
    @ it depends on the thread's last load before it."""
    ops: list[Op] = []
    for word in text.split():
        match = _WORD.match(word)
        assert match, word
        kind, at, order, depends, fence = match.groups()
        if fence:
            ops.append(_FENCES[fence])
            continue
        last = max((i for i, op in enumerate(ops) if isinstance(op, Access) and not op.store), default=-1)
        on = (last,) if depends else ()
        if depends in ("ctrl", "ctrlisb"):
            ops.append(Branch(on))
        if depends == "ctrlisb":
            ops.append(Fence("isb"))
        ops.append(
            Access(
                kind == "W",
                at,
                _ORDERS[order],
                address=on if depends == "addr" else (),
                value=on if depends == "data" else (),
            )
        )
    return ops


def allowed(threads: Sequence[Thread], reads: Sequence[int], last: Mapping[str, int] | None = None) -> bool:
    """May the loads, in the order of the threads, return `reads`, and the locations in `last` end so? The
    stores to a location write 1, 2, ... in the order of the threads; before them it holds 0."""
    program = _Program(threads)
    return any(program.consistent(rf, co) for rf, co in program.candidates(reads, last or {}))


class _Program:
    def __init__(self, threads: Sequence[Thread]) -> None:
        self.ops = [op for thread in threads for op in thread]
        self.thread = [t for t, thread in enumerate(threads) for _ in thread]
        starts = list(itertools.accumulate((len(thread) for thread in threads), initial=0))
        self.start = [starts[t] for t in self.thread]  # of the thread of each
        self.loads = [i for i, op in enumerate(self.ops) if isinstance(op, Access) and not op.store]
        self.stores: dict[str, list[int]] = {}
        for i, op in enumerate(self.ops):
            if isinstance(op, Access) and op.store:
                self.stores.setdefault(op.at, []).append(i)
        self.po = {
            (i, j)
            for i, j in itertools.combinations(range(len(self.ops)), 2)
            if self.thread[i] == self.thread[j]
        }
        self.ordered = self._bob() | self._dob()

    def at(self, i: int) -> str:
        op = self.ops[i]
        return op.at if isinstance(op, Access) else ""

    def candidates(
        self, reads: Sequence[int], last: Mapping[str, int]
    ) -> Iterator[tuple[dict[int, int | None], list[tuple[int, ...]]]]:
        """Each load's store (None: what was there before), and the order of each location's stores."""
        assert len(reads) == len(self.loads)
        rf: dict[int, int | None] = {}
        for load, value in zip(self.loads, reads, strict=True):
            rf[load] = self.stores[self.at(load)][value - 1] if value else None
        ends = {at: self.stores[at][value - 1] for at, value in last.items()}
        for co in itertools.product(*(itertools.permutations(s) for s in self.stores.values())):
            if all(ends.get(self.at(order[-1]), order[-1]) == order[-1] for order in co):
                yield rf, list(co)

    def consistent(self, rf: Mapping[int, int | None], orders: Iterable[tuple[int, ...]]) -> bool:
        co = {pair for order in orders for pair in itertools.combinations(order, 2)}
        from_store = {(w, r) for r, w in rf.items() if w is not None}
        fr = {
            (r, w)
            for r, source in rf.items()
            for w in self.stores.get(self.at(r), ())
            if source is None or (source, w) in co
        }
        seen = co | from_store | fr
        same = {(i, j) for i, j in self.po if self.at(i) and self.at(i) == self.at(j)}
        if not _acyclic(same | seen):
            return False
        inner = {(i, j) for i, j in from_store if self.thread[i] == self.thread[j]}
        forwarded = {(i, k) for i, j in self._address() | self._value() for j2, k in inner if j == j2}
        outer = {(i, j) for i, j in seen if self.thread[i] != self.thread[j]}
        return _acyclic(self.ordered | forwarded | outer)

    # ---- what keeps a thread's accesses in order ------------------------------------------------------

    def _is(self, i: int, store: bool, *orders: Order) -> bool:
        op = self.ops[i]
        return isinstance(op, Access) and op.store == store and (not orders or op.order in orders)

    def _bob(self) -> Pairs:
        """Barriers."""
        found: Pairs = set()
        for i, j in self.po:
            if self._is(i, False, "acquire", "acquire_pc") or self._is(j, True, "release"):
                found.add((i, j))
            if self._is(i, True, "release") and self._is(j, False, "acquire"):
                found.add((i, j))
            for f in range(i + 1, j):
                match self.ops[f]:
                    case Fence("full"):
                        found.add((i, j))
                    case Fence("load") if self._is(i, False):
                        found.add((i, j))
                    case Fence("store") if self._is(i, True) and self._is(j, True):
                        found.add((i, j))
        return found

    def _address(self) -> Pairs:
        return {
            (self.start[j] + i, j)
            for j, op in enumerate(self.ops)
            if isinstance(op, Access)
            for i in op.address
        }

    def _value(self) -> Pairs:
        return {
            (self.start[j] + i, j)
            for j, op in enumerate(self.ops)
            if isinstance(op, Access)
            for i in op.value
        }

    def _control(self) -> Pairs:
        return {
            (self.start[b] + i, j)
            for b, j in self.po
            if isinstance(branch := self.ops[b], Branch)
            for i in branch.on
        }

    def _dob(self) -> Pairs:
        """Dependencies."""
        address, control = self._address(), self._control()
        behind = {(i, k) for i, j in address for j2, k in self.po if j == j2}
        found = address | self._value()
        found |= {(i, j) for i, j in control | behind if self._is(j, True)}
        found |= {
            (i, k)
            for i, j in control | behind
            if self.ops[j] == Fence("isb")
            for j2, k in self.po
            if j == j2 and self._is(k, False)
        }
        return found


def _acyclic(pairs: Pairs) -> bool:
    after: dict[int, list[int]] = {}
    for i, j in pairs:
        after.setdefault(i, []).append(j)
    done: set[int] = set()
    open_: set[int] = set()

    def visit(i: int) -> bool:
        if i in open_:
            return False
        if i in done:
            return True
        open_.add(i)
        fine = all(visit(j) for j in after.get(i, ()))
        open_.discard(i)
        done.add(i)
        return fine

    return all(visit(i) for i in list(after))
