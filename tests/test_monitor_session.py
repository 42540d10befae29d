# SPDX-License-Identifier: MIT
"""Who may use the channel (worlds/monitor/tfa/session.c), compiled for this computer: every claim but the
board's is refused and changes nothing; every state answers every call as SPEC says."""

from __future__ import annotations

import ctypes
import itertools
import subprocess
from collections.abc import Iterator

import pytest

from core_programs import CORE, ROOT
from smc_numbers import values

MONITOR = ROOT / "worlds" / "monitor" / "tfa"
CLAIM = {"NORMAL_BUFFER_BASE": 0x5F800000, "NORMAL_BUFFER_SIZE": 0x110000,
         "SECURE_BUFFER_BASE": 0x5FA00000, "SECURE_BUFFER_SIZE": 0x120000}  # fmt: skip
ENTROPY = """
#include "entropy.h"
uint64_t drawn[3];
int left;
bool entropy_draw(uint64_t *words, unsigned int n)
{
    for (unsigned int i = 0; i < n && i < 3 && left; i++)
        words[i] = drawn[i];
    return left != 0;
}
"""
NUMBERS = values()
NONE, SEALED, ENDING = (NUMBERS[f"IST_SESSION_{s}"] for s in ("NONE", "SEALED", "ENDING"))
EPOCH, KEY = 0x1122334455667788, (3, 4)


class Session(ctypes.Structure):
    _fields_ = (("state", ctypes.c_uint32), ("epoch", ctypes.c_uint64), ("key", ctypes.c_uint64 * 2))

    def values(self) -> tuple[int, int, int, int]:
        return self.state, self.epoch, self.key[0], self.key[1]


class Monitor:
    def __init__(self, library: ctypes.CDLL) -> None:
        self.library = library
        self.entropy(EPOCH)
        self.session = Session()

    def entropy(self, first: int, there: bool = True) -> None:
        (ctypes.c_uint64 * 3).in_dll(self.library, "drawn")[:] = [first, *KEY]
        ctypes.c_int.in_dll(self.library, "left").value = there

    def register(self, *claim: int) -> str:
        numbers = (ctypes.c_uint64 * 5)(*(claim or (0, *CLAIM.values())))
        return name(self.library.session_register(ctypes.byref(self.session), ctypes.byref(numbers)))

    def call(self, function: str, channel: int, epoch: int) -> str:
        argv = (ctypes.byref(self.session), ctypes.c_uint64(channel), ctypes.c_uint64(epoch))
        return name(getattr(self.library, f"session_{function}")(*argv))

    def end(self) -> None:
        self.library.session_end(ctypes.byref(self.session))


def name(result: int) -> str:
    known = {n: k.removeprefix("IST_SMC_") for k, n in NUMBERS.items() if k.startswith("IST_SMC_") and n < 0}
    return "OK" if result == 0 else known[result]


@pytest.fixture(scope="module")
def library(tmp_path_factory: pytest.TempPathFactory) -> ctypes.CDLL:
    folder = tmp_path_factory.mktemp("monitor")
    (folder / "board.h").write_text("".join(f"#define BOARD_{k} {v:#x}ul\n" for k, v in CLAIM.items()))
    (folder / "entropy.c").write_text(ENTROPY)
    made, sources = folder / "session.so", [MONITOR / "session.c", folder / "entropy.c"]
    flags = ["-std=c11", "-O1", "-shared", "-fPIC", f"-I{folder}", f"-I{MONITOR}", f"-I{CORE}"]
    subprocess.run(["gcc", *flags, *map(str, sources), "-o", str(made)], check=True)
    return ctypes.CDLL(str(made))


@pytest.fixture
def monitor(library: ctypes.CDLL) -> Monitor:
    return Monitor(library)


def near(number: int) -> Iterator[int]:
    yield from (number ^ 1 << bit for bit in range(64))
    yield from ((number + by) % (1 << 64) for by in (-4096, -1, 1, 4096, 1 << 63))
    yield from (0, (1 << 64) - 1)


def test_every_claim_but_the_boards_is_refused(monitor: Monitor) -> None:
    right = (0, *CLAIM.values())
    for at, wanted in enumerate(right):
        for other in near(wanted):
            if other != wanted:
                claim = (*right[:at], other, *right[at + 1 :])
                assert monitor.register(*claim) == "INVALID", claim
    swapped = (0, *list(CLAIM.values())[2:], *list(CLAIM.values())[:2])
    assert monitor.register(*swapped) == "INVALID"
    assert monitor.session.values() == (NONE, 0, 0, 0)
    assert monitor.register() == "OK"
    assert monitor.session.values() == (SEALED, EPOCH, *KEY)


def test_without_entropy_there_is_no_session(monitor: Monitor) -> None:
    for first, there in ((EPOCH, False), (0, True)):
        monitor.entropy(first, there)
        assert monitor.register() == "NO_ENTROPY"
        assert monitor.session.values() == (NONE, 0, 0, 0)


def test_every_state_answers_every_call(monitor: Monitor) -> None:
    right = {(SEALED, "detach"): ENDING, (ENDING, "quiesced"): NONE}
    states, calls = (NONE, SEALED, ENDING), ("detach", "quiesced")
    for state, call, channel, epoch in itertools.product(states, calls, (0, 1), (EPOCH, EPOCH + 1, 0)):
        before = (state, 0, 0, 0) if state == NONE else (state, EPOCH, *KEY)
        monitor.session = Session(before[0], before[1], (ctypes.c_uint64 * 2)(*before[2:]))
        result, after = monitor.call(call, channel, epoch), monitor.session.values()
        if channel:
            assert (result, after) == ("INVALID", before)
        elif (state, call) in right and epoch == EPOCH:
            assert (result, after[0]) == ("OK", right[state, call])
            assert after[1] == (0 if call == "quiesced" else EPOCH)
            assert call != "detach" or after[2:] == (0, 0), "the key is gone at once"
        else:
            assert (result, after) == ("DENIED", before)


def test_one_registration_wins_and_none_while_the_last_ends(monitor: Monitor) -> None:
    assert monitor.register() == "OK"
    monitor.entropy(EPOCH + 1)
    assert monitor.register() == "ALREADY"
    assert monitor.session.values() == (SEALED, EPOCH, *KEY)
    monitor.end()
    ended = (ENDING, EPOCH, 0, 0)
    assert monitor.session.values() == ended
    assert monitor.register() == "BUSY"
    monitor.end()
    assert monitor.session.values() == ended
    assert monitor.call("quiesced", 0, EPOCH) == "OK"
    monitor.end()
    assert monitor.session.values()[:2] == (NONE, 0), "there is none to end"
    assert monitor.register() == "OK"
    assert monitor.session.epoch == EPOCH + 1
