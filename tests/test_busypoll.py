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
void work(uint64_t now) { busypoll_work(&b, now); }
uint64_t until(void) { return busypoll_until(&b); }
"""
START = 1 << 40
STEPS = 4  # from nothing to the limit, and back


class Policy:
    def __init__(self, library: ctypes.CDLL, most: int | None = None) -> None:
        for f in (library.longest, library.until):
            f.restype = ctypes.c_uint64
        for f in (library.begin, library.work):
            f.argtypes = [ctypes.c_uint64] * (2 if f is library.begin else 1)
        self.library, self.now = library, START
        self.most = library.longest() if most is None else most
        library.begin(self.most, self.now)

    def work(self, gap: int) -> int:
        """Work came `gap` ns after the last; for how long to look for more."""
        self.now += gap
        self.library.work(self.now)
        return int(self.library.until()) - self.now


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


@given(gaps=st.lists(st.integers(0, 2_000_000), max_size=50), most=st.integers(0, 1_000_000))
def test_it_never_looks_for_longer_than_the_limit(library: ctypes.CDLL, gaps: list[int], most: int) -> None:
    policy = Policy(library, most)
    for gap in gaps:
        assert 0 <= policy.work(gap) <= most
