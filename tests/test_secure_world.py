# SPDX-License-Identifier: MIT
"""The Secure world: lwIP and its applications behind the channel, and the same program on a plain interface.

this process -- socket in the Normal world -- Linux stack -- ist0 -- [pump -- channel] -- isthmus-secure
"""

from __future__ import annotations

import json
import os
import random
import socket
import struct
import subprocess
import threading
import time
import zlib
from collections.abc import Callable, Iterator
from contextlib import ExitStack, suppress
from pathlib import Path
from typing import Any

import pytest

from isthmus import board
from isthmus.build import secure_world
from isthmus.host import HostMachine

IP = "10.77.0.2"
MACS = bytes.fromhex("024953000002 024953000001")  # to the Secure world, from ist0

pytestmark = pytest.mark.host


@pytest.fixture(scope="module", params=["channel", "plain"])
def machine(request: pytest.FixtureRequest) -> Iterator[HostMachine]:
    with HostMachine(plain=request.param == "plain") as machine:
        yield machine


@pytest.fixture(scope="module")
def channel() -> Iterator[HostMachine]:
    with HostMachine() as machine:
        yield machine


def tcp(machine: HostMachine, port: int) -> socket.socket:
    s = machine.socket(socket.AF_INET, socket.SOCK_STREAM)
    s.settimeout(20)
    s.connect((IP, port))
    return s


def read_all(s: socket.socket) -> bytes:
    parts = []
    while part := s.recv(1 << 16):
        parts.append(part)
    return b"".join(parts)


def http(machine: HostMachine, request: bytes) -> tuple[bytes, bytes]:
    """Status line and body."""
    with tcp(machine, 80) as s:
        s.sendall(request)
        head, _, body = read_all(s).partition(b"\r\n\r\n")
    return head.split(b"\r\n")[0], body


def status(machine: HostMachine) -> dict[str, Any]:
    line, body = http(machine, b"GET /status.json HTTP/1.0\r\n\r\n")
    assert line == b"HTTP/1.0 200 OK"
    report: dict[str, Any] = json.loads(body)
    return report


def eventually(what: Callable[[], bool]) -> None:
    end = time.monotonic() + 20
    while not what():
        assert time.monotonic() < end, "did not happen within 20 s"
        time.sleep(0.01)


def virtual_size(machine: HostMachine) -> str:
    lines = Path(f"/proc/{machine.pid('secure')}/status").read_text().splitlines()
    return next(line for line in lines if line.startswith("VmSize:"))


# ---- echo ----------------------------------------------------------------------------------------


def test_ping(machine: HostMachine) -> None:
    with machine.popen(["ping", "-q", "-c100", "-i0.01", IP], stdout=subprocess.PIPE, text=True) as ping:
        said, _ = ping.communicate(timeout=60)
    assert " 0% packet loss" in said


def test_udp_echo_returns_every_size(machine: HostMachine, seed: int) -> None:
    rng = random.Random(seed)
    with machine.socket(socket.AF_INET, socket.SOCK_DGRAM) as s:
        s.settimeout(20)
        s.connect((IP, 7))
        for size in (0, 1, 17, 18, 19, 1471, 1472, *(rng.randrange(1473) for _ in range(200))):
            sent = rng.randbytes(size)
            s.send(sent)
            assert s.recv(2000) == sent


def test_tcp_echo_is_exact(machine: HostMachine, seed: int) -> None:
    """4 MiB in pieces of any size, both directions at once, then a half-close that everything outlives."""
    rng = random.Random(seed)
    sent = rng.randbytes(4 << 20)
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


def test_fragments_are_dropped_and_cost_no_buffer(channel: HostMachine) -> None:
    """An echo of 3,000 bytes comes in three fragments: nobody joins them, nothing waits for the rest."""
    before = status(channel)["buffers"]["available"]
    fragmented = ["ping", "-q", "-c20", "-i0.01", "-W1", "-s3000", IP]
    with channel.popen(fragmented, stdout=subprocess.PIPE, text=True) as ping:
        said, _ = ping.communicate(timeout=60)
    assert " 0 received" in said, said
    assert channel.run(["ping", "-q", "-c1", IP]) == 0
    eventually(lambda: status(channel)["buffers"]["available"] == before)


def test_reader_that_stops_holds_up_nobody_but_itself(machine: HostMachine, seed: int) -> None:
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


def test_single_byte_segments_do_not_exhaust_the_buffers(machine: HostMachine) -> None:
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
        for _ in range(1000):
            time.sleep(0.0002)  # or the bytes share segments
            for s in flood:
                with suppress(BlockingIOError):  # it is held up, as it should be
                    s.send(b"x")
        with tcp(machine, 7) as s:
            s.sendall(b"still here")
            assert s.recv(100) == b"still here"
    buffers = status(machine)["buffers"]
    assert 4 * 200 < buffers["count"] - buffers["lowest"] < 4 * 300
    assert buffers["available"] > buffers["count"] - 10


def test_connection_flood_is_bounded(channel: HostMachine) -> None:
    status(channel)
    size = virtual_size(channel)
    for _ in range(3):
        with ExitStack() as stack:
            for _ in range(60):
                s = stack.enter_context(channel.socket(socket.AF_INET, socket.SOCK_STREAM))
                s.setblocking(False)
                s.connect_ex((IP, 7))
            eventually(lambda: status(channel)["apps"]["tcp_echo"]["connections"] > 0)
    assert virtual_size(channel) == size
    with tcp(channel, 7) as s:
        s.sendall(b"after the flood")
        assert s.recv(100) == b"after the flood"


# ---- status page ---------------------------------------------------------------------------------


def test_status_page_for_people(machine: HostMachine) -> None:
    line, body = http(machine, b"GET / HTTP/1.1\r\nHost: secure\r\n\r\n")
    assert line == b"HTTP/1.0 200 OK"
    assert body.startswith(b"<!doctype html>")
    assert body.rstrip().endswith(b"</html>")
    for word in (b"RUN", b"deadlines missed by us", IP.encode()):
        assert word in body


def test_status_as_data(channel: HostMachine) -> None:
    report = status(channel)
    assert report["state"] == "RUN"
    assert report["epoch"] == channel.epoch
    assert report["counters"]["OK"] > 0
    assert report["critical"]["period_us"] == 1000
    told = channel.status("secure")
    assert told["state"] == "RUN"
    assert told["epoch"] == report["epoch"]
    assert report["critical"].keys() == told["critical"].keys()
    assert report["apps"].keys() == told["apps"].keys()
    for name in ("reason", "agreed", "counters", "sent", "sent_bytes", "received_bytes", "lost"):
        assert type(report[name]) is type(told[name])
    assert told["age_us"] >= 0


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
def test_odd_requests(machine: HostMachine, request_bytes: bytes, answer: bytes) -> None:
    line, _ = http(machine, request_bytes)
    assert answer in line


def test_clients_that_never_finish_do_not_close_the_page(machine: HostMachine) -> None:
    with ExitStack() as stack:
        for _ in range(30):
            stack.enter_context(tcp(machine, 80)).send(b"GET /sta")
        assert status(machine)["apps"]["http"]["requests"] > 0


# ---- iperf ---------------------------------------------------------------------------------------


def test_iperf_in_both_directions(machine: HostMachine) -> None:
    before = status(machine)["apps"]["iperf"]
    argv = ["iperf", "-c", IP, "-t", "1", "-r", "-y", "C"]
    with machine.popen(argv, stdout=subprocess.PIPE, text=True) as iperf:
        said, _ = iperf.communicate(timeout=60)
    rates = [int(line.rsplit(",", 1)[1]) for line in said.splitlines()]
    assert len(rates) == 2
    assert min(rates) > 0
    after = status(machine)["apps"]["iperf"]
    assert after["sessions"] == before["sessions"] + 2
    assert after["aborted"] == before["aborted"]


def test_page_takes_connections_back_from_iperf(machine: HostMachine) -> None:
    """lwiperf as it is would give such a connection back to lwIP twice."""
    before = status(machine)["apps"]["iperf"]["aborted"]
    for _ in range(10):
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


def test_iperf_survives_resets(machine: HostMachine) -> None:
    before = status(machine)["apps"]["iperf"]["aborted"]
    for _ in range(40):
        s = tcp(machine, 5001)
        s.sendall(struct.pack("!6I", 0, 1, 5001, 0, 0, 0xFFFFFF9C) + bytes(40000))
        s.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        s.close()
    eventually(lambda: status(machine)["apps"]["iperf"]["aborted"] == before + 40)
    test_iperf_in_both_directions(machine)


# ---- raw sequenced frames ------------------------------------------------------------------------


def raw_frame(incarnation: int, sequence: int, length: int) -> bytes:
    """As worlds/secure/apps/raw.h defines it, from the first byte of Ethernet."""
    start = incarnation + sequence
    head = struct.pack("!QQI", incarnation, sequence, length)
    body = head + bytes((start + i) & 0xFF for i in range(length))
    return (MACS + b"\x88\xb5" + body + struct.pack("!I", zlib.crc32(body))).ljust(60, b"\0")


@pytest.fixture
def raw(machine: HostMachine) -> Iterator[socket.socket]:
    with machine.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(0x88B5)) as s:
        s.bind(("ist0", 0x88B5))
        s.settimeout(20)
        yield s


def next_echo(s: socket.socket) -> bytes:
    while True:
        frame, (_, _, kind, _, _) = s.recvfrom(2000)
        if kind != 4:  # PACKET_OUTGOING: our own frames pass by here too
            return frame


def test_raw_frames_come_back(machine: HostMachine, raw: socket.socket) -> None:
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


def test_torn_frames_are_not_returned(machine: HostMachine, raw: socket.socket, seed: int) -> None:
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


def test_stale_frames_are_counted(machine: HostMachine, raw: socket.socket) -> None:
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


def test_critical_task_runs_every_period(machine: HostMachine) -> None:
    """Every period is in the account, run or skipped, whatever the link carries."""
    begun, before = time.monotonic(), status(machine)["critical"]
    with tcp(machine, 5001) as s:
        while time.monotonic() < begun + 1:
            s.sendall(bytes(1 << 16))
    after, ended = status(machine)["critical"], time.monotonic()
    passed = (ended - begun) * 1000
    assert after["periods"] - before["periods"] == pytest.approx(passed, abs=100)
    assert after["first_period_us"] > 0
    assert after["cost_us_max"] >= after["cost_us"] == 100


def test_stall_of_the_receive_path_is_a_missed_deadline(channel: HostMachine) -> None:
    def missed() -> int:
        return int(channel.status("secure")["critical"]["missed"])

    for _ in range(5):
        before = missed()
        channel.stall(3000)
        eventually(lambda before=before: missed() > before)  # type: ignore[misc]
    assert channel.status("secure")["critical"]["wait_us_max"] >= 2000


def test_idle_world_leaves_the_processor(channel: HostMachine) -> None:
    def used() -> float:
        fields = Path(f"/proc/{channel.pid('secure')}/stat").read_text().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    time.sleep(0.2)
    before = used()
    time.sleep(2)
    assert used() - before < 1  # the task itself takes a tenth


def test_world_is_closed_to_others(channel: HostMachine) -> None:
    process = Path(f"/proc/{channel.pid('secure')}")
    assert "NoNewPrivs:\t1\n" in (process / "status").read_text()
    (core,) = [line for line in (process / "limits").read_text().splitlines() if line.startswith("Max core")]
    assert core.split()[4:6] == ["0", "0"]


# ---- larger frames -------------------------------------------------------------------------------


@pytest.mark.parametrize("mtu", [9000, 65000])
def test_jumbo_frames(mtu: int, seed: int) -> None:
    ring = 1 << 20
    text = f"[channel]\nmtu = {mtu}\nframe_max = {mtu + 18}\n[normal]\nring_bytes = {ring}\n"
    big = board.decode(f"{text}[secure]\nring_bytes = {ring}\n")
    sent = random.Random(seed).randbytes(mtu - 28)
    with HostMachine(big) as machine:
        with machine.socket(socket.AF_INET, socket.SOCK_DGRAM) as s:
            s.settimeout(20)
            s.connect((IP, 7))
            s.send(sent)
            assert s.recv(1 << 16) == sent
        test_tcp_echo_is_exact(machine, seed)
        test_iperf_in_both_directions(machine)
        assert machine.run(["ping", "-q", "-c3", "-i0.1", f"-s{mtu - 28}", "-Mdo", IP]) == 0


# ---- its environment -----------------------------------------------------------------------------

GOOD = {
    "ISTHMUS_IP": IP,
    "ISTHMUS_NETMASK": "255.255.255.0",
    "ISTHMUS_PEER_IP": "10.77.0.1",
    "ISTHMUS_MAC": "02:49:53:00:00:02",
    "ISTHMUS_TASK": "1000 100 500",
    "ISTHMUS_RX_BUDGET": "64 98304",
}


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("ISTHMUS_IP", "10.77.0"),
        ("ISTHMUS_IP", "300.1.1.1"),
        ("ISTHMUS_NETMASK", ""),
        ("ISTHMUS_PEER_IP", None),
        ("ISTHMUS_MAC", "02:49:53:00:00"),
        ("ISTHMUS_MAC", "02:49:53:00:00:02:03"),
        ("ISTHMUS_TASK", "1000 600 500"),
        ("ISTHMUS_TASK", "1000 100 2000"),
        ("ISTHMUS_TASK", "1000 100"),
        ("ISTHMUS_TASK", "1000 100 500 x"),
        ("ISTHMUS_RX_BUDGET", "0 98304"),
        ("ISTHMUS_RX_BUDGET", "64"),
        ("ISTHMUS_SPIN_US", "much"),
        ("ISTHMUS_PACKET", "99"),
        ("ISTHMUS_PACKET", "tap"),
        ("ISTHMUS_CONFIG", "mtu=70000"),
        (None, None),  # neither a channel nor a packet descriptor
    ],
)
def test_bad_environment_is_one_line(name: str | None, value: str | None) -> None:
    env = dict(GOOD)
    if name is not None:
        env["ISTHMUS_PACKET"] = "0"
        if value is None:
            del env[name]
        else:
            env[name] = value
    done = subprocess.run(
        [secure_world()],
        env=env,
        stdin=subprocess.DEVNULL,
        check=False,
        capture_output=True,
        text=True,
        timeout=20,
    )
    assert done.returncode == 2
    assert done.stdout == ""
    (line,) = done.stderr.splitlines()
    if name is not None:
        assert name in line


@pytest.mark.parametrize("end", ["control", "device"])
def test_world_ends_with_what_it_hangs_on(end: str) -> None:
    ours, theirs = socket.socketpair()
    packet, other = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    with ours, packet, other:
        env = {**GOOD, "ISTHMUS_PACKET": str(packet.fileno()), "ISTHMUS_CONTROL": str(theirs.fileno())}
        with theirs:
            world = subprocess.Popen([secure_world()], env=env, pass_fds=(packet.fileno(), theirs.fileno()))
        assert other.recv(2000)[12:14] == b"\x08\x06"  # its gratuitous ARP: it is up
        assert world.poll() is None
        (ours if end == "control" else other).close()
        assert world.wait(20) == 0
