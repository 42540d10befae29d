# SPDX-License-Identifier: MIT
"""The memory model that our code is judged by (litmus.py) says what is published about the architecture.

Names and verdicts are those of the usual catalogue of AArch64 litmus tests: shape + what orders each thread
(po nothing, popl a release behind, poap an acquire before, pola a release before an acquire).
"""

from __future__ import annotations

import pytest

from litmus import allowed, parse

ALLOWED, FORBIDDEN = True, False

# name: threads, what the loads read in order, what locations end with, verdict
TESTS: dict[str, tuple[str, tuple[int, ...], dict[str, int], bool]] = {
    # coherence: one location
    "CoRR": ("Wx | Rx Rx", (1, 0), {}, FORBIDDEN),
    "CoWR": ("Wx Rx", (0,), {}, FORBIDDEN),
    "CoWW": ("Wx Wx", (), {"x": 1}, FORBIDDEN),
    "CoRW1": ("Rx Wx", (1,), {}, FORBIDDEN),
    "CoRW2": ("Wx | Rx Wx", (1,), {"x": 1}, FORBIDDEN),
    # message passing
    "MP": ("Wx Wy | Ry Rx", (1, 0), {}, ALLOWED),
    "MP (in order)": ("Wx Wy | Ry Rx", (1, 1), {}, ALLOWED),
    "MP+dmbs": ("Wx dmb Wy | Ry dmb Rx", (1, 0), {}, FORBIDDEN),
    "MP+dmb+po": ("Wx dmb Wy | Ry Rx", (1, 0), {}, ALLOWED),
    "MP+po+dmb": ("Wx Wy | Ry dmb Rx", (1, 0), {}, ALLOWED),
    "MP+dmb.st+dmb.ld": ("Wx dmb.st Wy | Ry dmb.ld Rx", (1, 0), {}, FORBIDDEN),
    "MP+dmb.ld+dmb": ("Wx dmb.ld Wy | Ry dmb Rx", (1, 0), {}, ALLOWED),
    "MP+dmb+dmb.st": ("Wx dmb Wy | Ry dmb.st Rx", (1, 0), {}, ALLOWED),
    "MP+popl+poap": ("Wx WyL | RyA Rx", (1, 0), {}, FORBIDDEN),
    "MP+popl+poqp": ("Wx WyL | RyQ Rx", (1, 0), {}, FORBIDDEN),
    "MP+popl+po": ("Wx WyL | Ry Rx", (1, 0), {}, ALLOWED),
    "MP+po+poap": ("Wx Wy | RyA Rx", (1, 0), {}, ALLOWED),
    "MP+polp+poap": ("WxL Wy | RyA Rx", (1, 0), {}, ALLOWED),
    "MP+popl+popa": ("Wx WyL | Ry RxA", (1, 0), {}, ALLOWED),
    "MP+dmb+addr": ("Wx dmb Wy | Ry Rx@addr", (1, 0), {}, FORBIDDEN),
    "MP+dmb+ctrl": ("Wx dmb Wy | Ry Rx@ctrl", (1, 0), {}, ALLOWED),
    "MP+dmb+ctrlisb": ("Wx dmb Wy | Ry Rx@ctrlisb", (1, 0), {}, FORBIDDEN),
    "MP+dmb+isb": ("Wx dmb Wy | Ry isb Rx", (1, 0), {}, ALLOWED),
    "PPOCA": ("Wx dmb Wy | Ry Wz@ctrl Rz Rx@addr", (1, 1, 0), {}, ALLOWED),
    "PPOAA": ("Wx dmb Wy | Ry Wz@addr Rz Rx@addr", (1, 1, 0), {}, FORBIDDEN),
    # store buffering
    "SB": ("Wx Ry | Wy Rx", (0, 0), {}, ALLOWED),
    "SB+dmbs": ("Wx dmb Ry | Wy dmb Rx", (0, 0), {}, FORBIDDEN),
    "SB+dmb+po": ("Wx dmb Ry | Wy Rx", (0, 0), {}, ALLOWED),
    "SB+dmb.sts": ("Wx dmb.st Ry | Wy dmb.st Rx", (0, 0), {}, ALLOWED),
    "SB+dmb.lds": ("Wx dmb.ld Ry | Wy dmb.ld Rx", (0, 0), {}, ALLOWED),
    "SB+polas": ("WxL RyA | WyL RxA", (0, 0), {}, FORBIDDEN),
    "SB+polqs": ("WxL RyQ | WyL RxQ", (0, 0), {}, ALLOWED),
    "SB+polps": ("WxL Ry | WyL Rx", (0, 0), {}, ALLOWED),
    # load buffering
    "LB": ("Rx Wy | Ry Wx", (1, 1), {}, ALLOWED),
    "LB+dmbs": ("Rx dmb Wy | Ry dmb Wx", (1, 1), {}, FORBIDDEN),
    "LB+dmb.lds": ("Rx dmb.ld Wy | Ry dmb.ld Wx", (1, 1), {}, FORBIDDEN),
    "LB+dmb.sts": ("Rx dmb.st Wy | Ry dmb.st Wx", (1, 1), {}, ALLOWED),
    "LB+data+po": ("Rx Wy@data | Ry Wx", (1, 1), {}, ALLOWED),
    "LB+datas": ("Rx Wy@data | Ry Wx@data", (1, 1), {}, FORBIDDEN),
    "LB+ctrls": ("Rx Wy@ctrl | Ry Wx@ctrl", (1, 1), {}, FORBIDDEN),
    "LB+addrs": ("Rx Wy@addr | Ry Wx@addr", (1, 1), {}, FORBIDDEN),
    "LB+popls": ("Rx WyL | Ry WxL", (1, 1), {}, FORBIDDEN),
    "LB+poaps": ("RxA Wy | RyA Wx", (1, 1), {}, FORBIDDEN),
    "LB+popl+poap": ("Rx WyL | RyA Wx", (1, 1), {}, FORBIDDEN),
    "LB+popl+po": ("Rx WyL | Ry Wx", (1, 1), {}, ALLOWED),
    # the others of two threads
    "S": ("Wx Wy | Ry Wx", (1,), {"x": 1}, ALLOWED),
    "S+dmb+data": ("Wx dmb Wy | Ry Wx@data", (1,), {"x": 1}, FORBIDDEN),
    "S+dmb+ctrl": ("Wx dmb Wy | Ry Wx@ctrl", (1,), {"x": 1}, FORBIDDEN),
    "S+popl+poap": ("Wx WyL | RyA Wx", (1,), {"x": 1}, FORBIDDEN),
    "R": ("Wx Wy | Wy Rx", (0,), {"y": 2}, ALLOWED),
    "R+dmbs": ("Wx dmb Wy | Wy dmb Rx", (0,), {"y": 2}, FORBIDDEN),
    "R+dmb+po": ("Wx dmb Wy | Wy Rx", (0,), {"y": 2}, ALLOWED),
    "R+popl+pola": ("Wx WyL | WyL RxA", (0,), {"y": 2}, FORBIDDEN),
    "2+2W": ("Wx Wy | Wy Wx", (), {"x": 1, "y": 2}, ALLOWED),
    "2+2W+dmbs": ("Wx dmb Wy | Wy dmb Wx", (), {"x": 1, "y": 2}, FORBIDDEN),
    "2+2W+dmb.sts": ("Wx dmb.st Wy | Wy dmb.st Wx", (), {"x": 1, "y": 2}, FORBIDDEN),
    "2+2W+popls": ("Wx WyL | Wy WxL", (), {"x": 1, "y": 2}, FORBIDDEN),
    # more threads: a store is seen by all others at once
    "WRC": ("Wx | Rx Wy | Ry Rx", (1, 1, 0), {}, ALLOWED),
    "WRC+data+addr": ("Wx | Rx Wy@data | Ry Rx@addr", (1, 1, 0), {}, FORBIDDEN),
    "ISA2+dmb+data+addr": ("Wx dmb Wy | Ry Wz@data | Rz Rx@addr", (1, 1, 0), {}, FORBIDDEN),
    "IRIW": ("Wx | Rx Ry | Wy | Ry Rx", (1, 0, 1, 0), {}, ALLOWED),
    "IRIW+addrs": ("Wx | Rx Ry@addr | Wy | Ry Rx@addr", (1, 0, 1, 0), {}, FORBIDDEN),
    "IRIW+dmbs": ("Wx | Rx dmb Ry | Wy | Ry dmb Rx", (1, 0, 1, 0), {}, FORBIDDEN),
    "IRIW+poaps": ("Wx | RxA Ry | Wy | RyA Rx", (1, 0, 1, 0), {}, FORBIDDEN),
}


@pytest.mark.parametrize("name", TESTS)
def test_the_model_agrees_with_the_architecture(name: str) -> None:
    threads, reads, last, verdict = TESTS[name]
    assert allowed([parse(thread) for thread in threads.split("|")], reads, last) is verdict
