# SPDX-License-Identifier: MIT
"""How long a process of the host looks for work before it sleeps: host/busypoll.h, by its comment."""

from __future__ import annotations

import ctypes
import subprocess
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from isthmus.resources import tree

SHIM = """
#include "busypoll.h"
static struct busypoll b;
uint64_t longest(void) { return BUSYPOLL_MAX_NS; }
void begin(uint64_t max, uint64_t now) { b = (struct busypoll){.max = max, .worked = now}; }
void look(uint64_t now, int found) { busypoll_looked(&b, now, found); }
uint64_t until(void) { return busypoll_until(&b); }
"""
START = 1 << 40
STEPS = 4  # from nothing to the limit, and back


class Policy:
    def __init__(self, library: ctypes.CDLL, most: int | None = None) -> None:
        for f in (library.longest, library.until):
            f.restype = ctypes.c_uint64
        library.begin.argtypes = [ctypes.c_uint64, ctypes.c_uint64]
        library.look.argtypes = [ctypes.c_uint64, ctypes.c_int]
        self.library, self.now = library, START
        self.most = library.longest() if most is None else most
        library.begin(self.most, self.now)

    def look(self, found: bool) -> int:
        """For how long to look on, from now."""
        self.library.look(self.now, found)
        return int(self.library.until()) - self.now

    def work(self, gap: int, lasts: int = 0) -> int:
        """Work came `gap` ns after the end of the last; for how long to look for more once it is done."""
        self.now += gap
        self.look(True)
        self.now += lasts
        return self.look(False)


@pytest.fixture(scope="module")
def library(tmp_path_factory: pytest.TempPathFactory) -> ctypes.CDLL:
    made: Path = tmp_path_factory.mktemp("busypoll") / "busypoll.so"
    source = made.with_suffix(".c")
    source.write_text(SHIM)
    flags = ["-std=c11", "-O2", "-Wall", "-Wextra", "-Werror", "-shared", "-fPIC", f"-I{tree() / 'host'}"]
    subprocess.run(["cc", *flags, source, "-o", made], check=True)
    return ctypes.CDLL(str(made))


def test_looking_pays_off_where_everybody_had_to_be_woken(library: ctypes.CDLL) -> None:
    """Four wake-ups of 46 us, and as much as one again for who asks: found out, though nobody looks yet."""
    policy = Policy(library)
    looks = [policy.work(5 * 46_000) for _ in range(STEPS)]
    assert looks == sorted(looks)
    assert looks[-1] == policy.most


def test_work_that_is_far_apart_is_not_waited_for(library: ctypes.CDLL) -> None:
    policy = Policy(library)
    for _ in range(STEPS):
        policy.work(1000)
    looks = [policy.work(1_000_000) for _ in range(STEPS)]
    assert looks == sorted(looks, reverse=True)
    assert looks[-1] == 0


def test_a_single_gap_does_not_end_a_train(library: ctypes.CDLL) -> None:
    policy = Policy(library)
    for _ in range(STEPS):
        policy.work(10_000)
    assert policy.work(10 * policy.most) > 10_000


def test_work_that_takes_long_is_no_gap(library: ctypes.CDLL) -> None:
    policy = Policy(library)
    looks = [policy.work(1000, lasts=10 * policy.most) for _ in range(STEPS)]
    assert looks[-1] == policy.most


def test_one_piece_of_work_behind_the_other_is_no_gap(library: ctypes.CDLL) -> None:
    policy = Policy(library)
    for _ in range(STEPS):
        policy.look(True)
        policy.now += 10 * policy.most
    assert policy.look(False) == policy.most


@given(gaps=st.lists(st.integers(0, 2_000_000), max_size=50), most=st.integers(0, 1_000_000))
def test_it_never_looks_for_longer_than_the_limit(library: ctypes.CDLL, gaps: list[int], most: int) -> None:
    policy = Policy(library, most)
    for gap in gaps:
        assert 0 <= policy.work(gap) <= most
