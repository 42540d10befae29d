# SPDX-License-Identifier: MIT
"""The control task's record (worlds/secure/apps/record.h): what was written comes back whole, in order, or is
seen to be gone."""

from __future__ import annotations

import ctypes
import subprocess
from collections.abc import Iterator
from typing import Any

import msgspec
import pytest

from isthmus.resources import tree

APPS = tree() / "worlds" / "secure" / "apps"
PERIODS, EVENTS, MOST = 16384, 64, 256
LINE_MAX = MOST * 36 + EVENTS * (32 + 28) + 256


class Reader(ctypes.Structure):
    _fields_ = (("periods", ctypes.c_uint64), ("events", ctypes.c_uint64), ("ends", ctypes.c_uint64 * 2))


class Text(ctypes.Structure):
    _fields_ = (("at", ctypes.c_void_p), ("end", ctypes.c_void_p), ("cut", ctypes.c_int))


class Record:
    def __init__(self, library: ctypes.CDLL) -> None:
        self.library = library
        self.memory = ctypes.create_string_buffer(1 << 20)
        self.reader = Reader()
        self.names: list[bytes] = []

    def period(self, late: int, done: int, came: int, went: int) -> None:
        self.library.record_period(self.memory, late, done, ctypes.c_uint64(came), ctypes.c_uint64(went))

    def event(self, at: int, what: bytes) -> None:
        self.names.append(what)  # the record keeps the pointer
        self.library.record_event(self.memory, ctypes.c_uint64(at), what)

    def line(self) -> dict[str, Any]:
        room = ctypes.create_string_buffer(LINE_MAX)
        start = ctypes.addressof(room)
        text = Text(start, start + len(room), 0)
        self.library.record_write(
            self.memory, ctypes.byref(self.reader), ctypes.c_uint64(7), MOST, ctypes.byref(text)
        )
        assert not text.cut
        written = room.raw[: text.at - start]
        assert written.endswith(b"}\n")
        return msgspec.json.decode(written, type=dict[str, Any])

    def end(self, which: int, at: int, response: int) -> None:
        self.library.record_end(self.memory, which, ctypes.c_uint64(at), ctypes.c_uint64(response))

    def ends(self, most: int) -> dict[str, Any]:
        room = ctypes.create_string_buffer(2 * most * 32 + 128)
        start = ctypes.addressof(room)
        text = Text(start, start + len(room), 0)
        self.library.record_write_ends(self.memory, ctypes.byref(self.reader), most, ctypes.byref(text))
        assert not text.cut
        return msgspec.json.decode(room.raw[: text.at - start], type=dict[str, Any])

    def lines(self) -> Iterator[dict[str, Any]]:
        while True:
            yield (line := self.line())
            if line["first"] + len(line["periods"]) // 4 >= line["written"]:
                return


@pytest.fixture(scope="module")
def library(tmp_path_factory: pytest.TempPathFactory) -> ctypes.CDLL:
    made = tmp_path_factory.mktemp("record") / "record.so"
    sources = [APPS / "record.c", APPS / "text.c"]
    subprocess.run(["cc", "-std=c11", "-O1", "-shared", "-fPIC", *sources, "-o", made], check=True)
    return ctypes.CDLL(str(made))


def test_every_period_comes_back_in_order(library: ctypes.CDLL) -> None:
    record = Record(library)
    for n in range(1000):
        record.period(n, n + 50, 3 * n, n // 2)
    lines = list(record.lines())
    assert [line["first"] for line in lines] == [0, 256, 512, 768]
    numbers = [n for line in lines for n in line["periods"]]
    assert numbers[0::4] == list(range(1000))
    assert numbers[1::4] == [n + 50 for n in range(1000)]
    assert numbers[2::4] == [0] + [3] * 999
    assert sum(numbers[3::4]) == 499
    assert record.line()["periods"] == []


def test_a_count_that_began_anew_counts_from_there(library: ctypes.CDLL) -> None:
    record = Record(library)
    for count in (100, 120, 5, 6, 1_000_000):
        record.period(0, 0, count, 0)
    assert record.line()["periods"][2::4] == [100, 20, 5, 1, 65535]


def test_the_longest_numbers_fit_a_line(library: ctypes.CDLL) -> None:
    record = Record(library)
    for n in range(MOST):
        record.period(2**32 - 1, 2**32 - 1, (n + 1) << 20, (n + 1) << 20)
    for _ in range(EVENTS):
        record.event(2**64 - 1, b"n" * 32)
    assert len(record.line()["periods"]) == 4 * MOST


def test_what_was_overwritten_is_gone_and_seen_to_be(library: ctypes.CDLL) -> None:
    record = Record(library)
    for n in range(PERIODS + 1000):
        record.period(n, 0, 0, 0)
    lines = list(record.lines())
    first = lines[0]["first"]
    assert first >= 1000
    assert [n for line in lines for n in line["periods"][0::4]] == list(range(first, PERIODS + 1000))


def test_events_come_once_and_the_oldest_go(library: ctypes.CDLL) -> None:
    record = Record(library)
    record.event(5, b"link up")
    record.event(9, b"link down")
    assert record.line()["events"] == [[5, "link up"], [9, "link down"]]
    assert record.line()["events"] == []
    for n in range(EVENTS + 10):
        record.event(n, b"x")
    assert [at for at, _ in record.line()["events"]] == list(range(10, EVENTS + 10))


def test_the_ends_of_the_other_tasks_come_once_each_in_order(library: ctypes.CDLL) -> None:
    record = Record(library)
    for n in range(200):
        record.end(0, 10 * n, n)
    record.end(1, 2**64 - 1, 2**40)
    first, second = record.ends(128), record.ends(128)
    assert first["inside"][0::2] + second["inside"][0::2] == [10 * n for n in range(200)]
    assert first["inside"][1::2] + second["inside"][1::2] == list(range(200))
    assert (first["below"], second["below"]) == ([2**64 - 1, 2**32 - 1], [])
    assert (first["left"], second["left"]) == (72, 0)
    for n in range(5000):
        record.end(1, n, 0)
    assert record.ends(128)["below"][0] == 5000 - 4096 + 128


def test_the_longest_ends_fit_a_line(library: ctypes.CDLL) -> None:
    record = Record(library)
    for n in range(256):
        record.end(n % 2, 2**64 - 1, 2**32 - 1)
    assert len(record.ends(128)["below"]) == 256
