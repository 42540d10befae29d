# SPDX-License-Identifier: MIT
"""The Secure world: lwIP and its applications behind the channel on every machine, and on a plain interface.

this process -- socket in the Normal world -- Linux stack -- ist0 -- [pump or driver -- channel] -- lwIP
"""

from __future__ import annotations

import json
import random
import re
import socket
import struct
import threading
import time
import zlib
from collections.abc import Iterator
from contextlib import ExitStack, suppress
from pathlib import Path
from typing import Any

import pytest

from host_tools import connection_flood, eventually, raw_frame
from isthmus import VERDICTS, memory_link
from isthmus.check.program import answer
from isthmus.qemu.linked import LinkedMachine
from machines import Machine

IP = "10.77.0.2"
MACS = bytes.fromhex("024953000002 024953000001")  # to the Secure world, from ist0

plain_too = pytest.mark.also("plain")


def tcp(machine: Machine, port: int) -> socket.socket:
    s = machine.socket(socket.AF_INET, socket.SOCK_STREAM)
    s.settimeout(20)
    s.connect((IP, port))
    return s


def read_all(s: socket.socket) -> bytes:
    parts = []
    while part := s.recv(1 << 16):
        parts.append(part)
    return b"".join(parts)


def http(machine: Machine, request: bytes) -> tuple[bytes, bytes]:
    """Status line and body."""
    with tcp(machine, 80) as s:
        s.sendall(request)
        head, _, body = read_all(s).partition(b"\r\n\r\n")
    return head.split(b"\r\n")[0], body


def status(machine: Machine) -> dict[str, Any]:
    line, body = http(machine, b"GET /status.json HTTP/1.0\r\n\r\n")
    assert line == b"HTTP/1.0 200 OK"
    report: dict[str, Any] = json.loads(body)
    return report


# ---- echo ----------------------------------------------------------------------------------------


@plain_too
def test_ping(machine: Machine) -> None:
    assert " 0% packet loss" in machine.command("ping", "-q", "-c", 50, "-i", 0.01, IP).output


@plain_too
def test_udp_echo_returns_every_size(machine: Machine, seed: int) -> None:
    rng = random.Random(seed)
    with machine.socket(socket.AF_INET, socket.SOCK_DGRAM) as s:
        s.settimeout(20)
        s.connect((IP, 7))
        for size in (0, 1, 17, 18, 19, 1471, 1472, *(rng.randrange(1473) for _ in range(200))):
            sent = rng.randbytes(size)
            s.send(sent)
            assert s.recv(2000) == sent


@plain_too
def test_tcp_echo_is_exact(machine: Machine, seed: int) -> None:
    """2 MiB in pieces of any size, both directions at once, then a half-close that everything outlives."""
    rng = random.Random(seed)
    sent = rng.randbytes(2 << 20)
    with tcp(machine, 7) as s:
        received: list[bytes] = []
        reader = threading.Thread(target=lambda: received.append(read_all(s)))
        reader.start()
        at = 0
        while at < len(sent):
            size = rng.choice([1, 100, 1460, 65536])
            s.sendall(sent[at : at + size])
            at += size
        s.shutdown(socket.SHUT_WR)
        reader.join(60)
    assert received == [sent]


def test_fragments_are_dropped_and_cost_no_buffer(machine: Machine) -> None:
    """An echo of 3,000 bytes comes in three fragments: nobody joins them, nothing waits for the rest."""
    before = status(machine)["buffers"]["available"]
    said = machine.command("ping", "-q", "-c", 20, "-i", 0.01, "-W", 1, "-s", 3000, IP).output
    assert " 100% packet loss" in said
    assert machine.command("ping", "-q", "-c", 1, IP).status == 0
    assert eventually(lambda: status(machine)["buffers"]["available"] == before)


@plain_too
def test_reader_that_stops_holds_up_nobody_but_itself(machine: Machine, seed: int) -> None:
    sent = random.Random(seed).randbytes(8 << 20)
    with tcp(machine, 7) as s:
        s.setblocking(False)
        at = 0
        for _ in range(100):  # until the windows of both directions are full
            try:
                at += s.send(sent[at : at + (1 << 16)])
            except BlockingIOError:
                time.sleep(0.01)
        assert at < len(sent)
        assert status(machine)["critical"]["periods"] > 0
        s.settimeout(20)
        s.shutdown(socket.SHUT_WR)
        assert read_all(s) == sent[:at]


@plain_too
def test_single_byte_segments_do_not_exhaust_the_buffers(machine: Machine) -> None:
    """From clients that read nothing: what cannot be sent back is held, one receive buffer per byte."""
    with ExitStack() as stack:
        flood = []
        for _ in range(4):
            s = stack.enter_context(machine.socket(socket.AF_INET, socket.SOCK_STREAM))
            s.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 2048)
            s.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            s.settimeout(20)
            s.connect((IP, 7))
            s.sendall(bytes(240 << 10))  # more than the send buffer takes
            s.setblocking(False)
            flood.append(s)
        for _ in range(400):
            time.sleep(0.0002)  # or the bytes share segments
            for s in flood:
                with suppress(BlockingIOError):  # it is held up, as it should be
                    s.send(b"x")
        with tcp(machine, 7) as s:
            s.sendall(b"still here")
            assert s.recv(100) == b"still here"
    buffers = status(machine)["buffers"]
    if machine.board.channel.frame_max <= 1536:  # else short frames have buffers of their own, not told of
        assert 4 * 200 < buffers["count"] - buffers["lowest"] < 4 * 300
    assert buffers["lowest"] > 0
    assert buffers["available"] > buffers["count"] - 10


def test_connection_flood_is_bounded(machine: Machine) -> None:
    for _ in range(3):
        with connection_flood(machine):
            assert eventually(lambda: status(machine)["apps"]["tcp_echo"]["connections"] > 0)
    with tcp(machine, 7) as s:
        s.sendall(b"after the flood")
        assert s.recv(100) == b"after the flood"


# ---- status page ---------------------------------------------------------------------------------


@plain_too
def test_status_page_for_people(machine: Machine) -> None:
    line, body = http(machine, b"GET / HTTP/1.1\r\nHost: secure\r\n\r\n")
    assert line == b"HTTP/1.0 200 OK"
    assert body.startswith(b"<!doctype html>")
    assert body.rstrip().endswith(b"</html>")
    for word in (b"RUN", b"deadlines missed by us", IP.encode()):
        assert word in body


def test_status_as_data(machine: Machine) -> None:
    report = status(machine)
    assert report["state"] == "RUN"
    assert report["epoch"] == machine.epoch
    assert report["counters"]["OK"] > 0
    assert report["critical"]["period_us"] == 1000
    told = machine.status("secure")
    assert told["state"] == "RUN"
    assert told["epoch"] == report["epoch"]
    assert report["critical"].keys() == told["critical"].keys()
    assert report["apps"].keys() == told["apps"].keys()
    for name in ("reason", "agreed", "counters", "sent", "sent_bytes", "received_bytes", "lost"):
        assert type(report[name]) is type(told[name])
    assert told["age_us"] >= 0


def test_every_refusal_has_one_name_and_one_counter_wherever_it_is_read(machine: Machine) -> None:
    """The list in core/abi.h is what Python, the driver (by ethtool), the status page and the Secure world's
    console say, in its order; SPEC is held to the same list by test_docs.py. Then one of them moves."""
    header = (Path(__file__).parent.parent / "core" / "abi.h").read_text(encoding="utf-8")
    names = re.findall(r"^ +X\((\w+), ", header, re.MULTILINE)
    assert len(names) > 40
    normal, secure = memory_link()
    with normal, secure:
        assert list(normal.statistics.verdicts) == names == list(VERDICTS)
    before = status(machine)["counters"]
    for shown in (before, machine.status("secure")["counters"], machine.status("normal")["counters"]):
        assert list(shown) == names
    with machine.socket(socket.AF_INET, socket.SOCK_DGRAM) as s:
        s.sendto(b"to a port that no rule names", (IP, 9))

    def counted() -> bool:
        page, console = status(machine)["counters"], machine.status("secure")["counters"]
        return bool(page["FILTER"] == console["FILTER"] == before["FILTER"] + 1)

    assert eventually(counted, 10 * machine.slower)


@plain_too
@pytest.mark.parametrize(
    ("request_bytes", "answer"),
    [
        (b"GET /nowhere HTTP/1.0\r\n\r\n", b"404"),
        (b"GET /status.json?x=1 HTTP/1.0\r\n\r\n", b"200"),
        (b"BREW / HTTP/1.0\r\n\r\n", b"501"),
        (b"GET /" + b"a" * 900 + b" HTTP/1.0\r\n\r\n", b"404"),
        (b"\x00\xff" * 600, b"400"),
    ],
)
def test_odd_requests(machine: Machine, request_bytes: bytes, answer: bytes) -> None:
    line, _ = http(machine, request_bytes)
    assert answer in line


@plain_too
def test_clients_that_never_finish_do_not_close_the_page(machine: Machine) -> None:
    with ExitStack() as stack:
        for _ in range(30):
            stack.enter_context(tcp(machine, 80)).send(b"GET /sta")
        assert status(machine)["apps"]["http"]["requests"] > 0


# ---- iperf ---------------------------------------------------------------------------------------


@plain_too
def test_iperf_in_both_directions(machine: Machine) -> None:
    before = status(machine)["apps"]["iperf"]
    for direction in ("to", "from"):
        got = answer(machine.real, "stream", direction, IP, 5001, 200, limit=15)
        assert got["bytes"] > 0
    # The one that asks to be sent to is one too. The last one's end may still be on its way.
    assert eventually(lambda: status(machine)["apps"]["iperf"]["sessions"] == before["sessions"] + 3)
    assert status(machine)["apps"]["iperf"]["aborted"] == before["aborted"]


@plain_too
def test_page_takes_connections_back_from_iperf(machine: Machine) -> None:
    """lwiperf as it is would give such a connection back to lwIP twice."""
    before = status(machine)["apps"]["iperf"]["aborted"]
    for _ in range(5):
        with ExitStack() as stack:
            for _ in range(20):
                s = stack.enter_context(machine.socket(socket.AF_INET, socket.SOCK_STREAM))
                s.setblocking(False)
                s.connect_ex((IP, 5001))
                time.sleep(0.002)
                with suppress(OSError):
                    s.send(struct.pack("!6I", 0, 1, 5001, 0, 0, 0xFFFFFF9C) + bytes(1000))
            pages = [stack.enter_context(tcp(machine, 80)) for _ in range(3)]
            for page in pages:
                page.sendall(b"GET / HTTP/1.0\r\n\r\n")
                assert read_all(page).endswith(b"</html>\n")
    assert status(machine)["apps"]["iperf"]["aborted"] > before
    test_iperf_in_both_directions(machine)


@plain_too
def test_iperf_survives_resets(machine: Machine) -> None:
    before = status(machine)["apps"]["iperf"]["aborted"]
    for _ in range(40):
        s = tcp(machine, 5001)
        s.sendall(struct.pack("!6I", 0, 1, 5001, 0, 0, 0xFFFFFF9C) + bytes(40000))
        s.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        s.close()

    def all_told() -> bool:
        with suppress(TimeoutError):  # in the machine's time, which passes while nobody computes
            return bool(status(machine)["apps"]["iperf"]["aborted"] == before + 40)
        return False

    assert eventually(all_told)
    test_iperf_in_both_directions(machine)


# ---- raw sequenced frames ------------------------------------------------------------------------


@pytest.fixture
def raw(machine: Machine) -> Iterator[socket.socket]:
    with machine.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(0x88B5)) as s:
        s.bind((machine.board.normal.interface, 0x88B5))
        s.settimeout(20)
        yield s


def next_echo(s: socket.socket) -> bytes:
    while True:
        frame, (_, _, kind, _, _) = s.recvfrom(2000)
        if kind != 4:  # PACKET_OUTGOING: our own frames pass by here too
            return frame


@plain_too
def test_raw_frames_come_back(machine: Machine, raw: socket.socket) -> None:
    incarnation = time.time_ns()
    before = status(machine)["apps"]["raw"]
    for sequence, length in enumerate((0, 1, 22, 23, 255, 256, 257, 1475, 1476)):
        frame = raw_frame(incarnation, sequence, length)
        raw.send(frame)
        assert next_echo(raw) == MACS[6:] + MACS[:6] + frame[12:]
    after = status(machine)["apps"]["raw"]
    assert after["ok"] == before["ok"] + 9
    assert after["torn"] == before["torn"]
    assert after["stale"] == before["stale"]


@plain_too
def test_torn_frames_are_not_returned(machine: Machine, raw: socket.socket, seed: int) -> None:
    rng = random.Random(seed)
    incarnation = time.time_ns()
    whole, other = raw_frame(incarnation, 1, 500), raw_frame(incarnation, 2, 500)
    before = status(machine)["apps"]["raw"]
    torn = [whole[:cut] + other[cut:] for cut in (30, 34, 35, 300, 534, 537)]
    torn += [whole[:400], whole[:30] + b"\xff\xff\xff\xff" + whole[34:]]
    other = whole[:34] + other[34:534]
    torn.append(other + struct.pack("!I", zlib.crc32(other[14:])))  # a good checksum over a wrong pattern
    for _ in range(50):
        bit = rng.randrange(14 * 8, len(whole) * 8)
        flipped = bytearray(whole)
        flipped[bit // 8] ^= 1 << bit % 8
        torn.append(bytes(flipped))
    for frame in torn:
        raw.send(frame)
    last = raw_frame(incarnation, 3, 100)
    raw.send(last)
    assert next_echo(raw)[12:] == last[12:]  # and nothing of the others came before it
    after = status(machine)["apps"]["raw"]
    assert after["torn"] == before["torn"] + len(torn)
    assert after["ok"] == before["ok"] + 1


@plain_too
def test_stale_frames_are_counted(machine: Machine, raw: socket.socket) -> None:
    incarnation = time.time_ns()
    before = status(machine)["apps"]["raw"]
    sent = [raw_frame(incarnation, n, 10) for n in (7, 8, 8, 7, 9)] + [raw_frame(incarnation - 1, 50, 10)]
    for frame in sent:
        raw.send(frame)
        next_echo(raw)
    after = status(machine)["apps"]["raw"]
    assert after["ok"] == before["ok"] + 3
    assert after["stale"] == before["stale"] + 3


# ---- the critical task ---------------------------------------------------------------------------


@plain_too
def test_critical_task_runs_every_period(machine: Machine) -> None:
    """Every period is in the account, run or skipped, whatever the link carries."""
    clock = machine.real.uptime if isinstance(machine.real, LinkedMachine) else time.monotonic
    begun, before, looked = clock(), status(machine)["critical"], clock()
    with tcp(machine, 5001) as s:
        until = time.monotonic() + 1
        while time.monotonic() < until:
            s.sendall(bytes(1 << 16))
    sent, after, ended = clock(), status(machine)["critical"], clock()
    least, most = (sent - looked) * 1000, (ended - begun) * 1000  # asked for, and answered
    assert least * 0.9 - 100 <= after["periods"] - before["periods"] <= most * 1.1 + 100
    assert after["first_period_us"] > 0
    cost = machine.board.secure.task[0].cost_us
    assert after["cost_us_max"] >= cost * 15 // 16
    assert after["cost_us"] == cost
