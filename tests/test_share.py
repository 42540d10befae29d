# SPDX-License-Identifier: MIT
"""Linux's share of a shared core (worlds/secure/runtime/share.h), with both schedulers' rules around it:

    network: step, step, step, ...   until its cost in this period is spent, or Linux is owed its share
    Linux:   what is left, up to the next period

The network always has work. Times in microseconds; no clock is read.
"""

from __future__ import annotations

import ctypes
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

RUNTIME = Path(__file__).parent.parent / "worlds" / "secure" / "runtime"
PERIOD, COST = 1000, 700
REST = PERIOD - COST
CONTROL = 190  # the task above, at each release: neither the network's time nor Linux's
END = 500_000
SOURCE = """
#include "share.h"
int owed(struct share *s, uint64_t now, uint64_t busy, uint64_t network)
{
    return share_owed(s, now, busy, network);
}
"""

Owed = Callable[[int, int, int], bool]


class Share(ctypes.Structure):
    _fields_ = [(name, ctypes.c_uint64) for name in ("cost", "rest", "at", "busy", "network")]


@pytest.fixture(scope="module")
def library(tmp_path_factory: pytest.TempPathFactory) -> ctypes.CDLL:
    folder = tmp_path_factory.mktemp("share")
    (folder / "share.c").write_text(SOURCE)
    subprocess.run(
        [
            "gcc",
            "-std=c11",
            "-Wall",
            "-Werror",
            "-shared",
            "-fPIC",
            f"-I{RUNTIME}",
            "share.c",
            "-o",
            "share.so",
        ],
        cwd=folder,
        check=True,
    )
    found = ctypes.CDLL(str(folder / "share.so"))
    found.owed.argtypes = [ctypes.POINTER(Share), *[ctypes.c_uint64] * 3]
    return found


def played(step: int, owed: Owed, idle: int = 0) -> tuple[int, int, int]:
    """What Linux and the network had in END, and the longest time between two turns of Linux's. Until `idle`
    there is nothing for the network to do."""
    now = busy = network = linux = used = longest = last = 0
    tick = PERIOD

    def pass_time(until: int, mine: bool) -> None:
        """The network's time, or Linux's, with the releases that fall into it."""
        nonlocal now, busy, network, linux, used, tick, last, longest
        while now < until:
            if not mine:
                longest = max(longest, now - last)
            piece = min(until, tick) - now
            now += piece
            busy += piece * mine
            network += piece * mine
            used += piece * mine
            linux += piece * (not mine)
            if not mine:
                last = now
            if now == tick:
                tick += PERIOD
                used = 0
                now += CONTROL
                busy += CONTROL
                until += CONTROL * mine

    pass_time(idle, False)
    while now < END:
        while now < END and used < COST and not owed(now, busy, network):
            pass_time(now + step, True)
        pass_time(tick, False)
    return linux, network, longest


@pytest.mark.parametrize("step", [1, 50, 333, 420, 800, 811, 900, 1500, 2430, 5000])
def test_linux_has_the_rest_of_a_period_for_each_cost(library: ctypes.CDLL, step: int) -> None:
    share = Share(cost=COST, rest=REST)
    linux, network, longest = played(
        step, lambda now, busy, used: bool(library.owed(ctypes.byref(share), now, busy, used))
    )
    most = COST + step  # between two shares: the last step begins before the cost is used
    assert linux >= network / most * REST * 0.99
    assert longest <= most + (most // PERIOD + 2) * CONTROL + REST


@pytest.mark.parametrize("step", [1, 50, 333])
@pytest.mark.parametrize("idle", [10_000, 10_300, 10_310, 10_800])
def test_what_the_network_left_unused_is_not_used_twice_in_a_row(
    library: ctypes.CDLL, step: int, idle: int
) -> None:
    """A burst after a long silence, at any time of a period: the next period's cost is there at once."""
    share = Share(cost=COST, rest=REST)
    longest = played(
        step, lambda now, busy, used: bool(library.owed(ctypes.byref(share), now, busy, used)), idle
    )[2]
    most = COST + step
    assert longest <= most + (most // PERIOD + 2) * CONTROL


def test_without_the_rule_linux_starves() -> None:
    """Steps as long as what a period leaves: each ends where another period begins."""
    linux, network, _ = played(PERIOD - CONTROL, lambda *_: False)
    assert network > 0
    assert linux <= PERIOD  # but for what is left where it ends
