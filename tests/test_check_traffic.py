# SPDX-License-Identifier: MIT
"""The rows of ordinary traffic hold on every machine, and each can fail: nobody is there, or a server of our
own in the Normal world does wrong. What only a fault in the link can bring about is in test_check_faults.py.
"""

from __future__ import annotations

import random
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import suppress

import pytest

from isthmus.check import traffic
from isthmus.check.rows import Row
from machines import Machine

SECURE, NORMAL, NOBODY = "10.77.0.2", "10.77.0.1", "10.77.0.77"


@pytest.fixture(autouse=True)
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    """A fault shows in a little traffic as in much; `isthmus check` itself sends the full amount."""
    for name, count in (("PINGS", 50), ("ECHOES", 100), ("DATAGRAMS", 60), ("TCP_BYTES", 1 << 18)):
        monkeypatch.setattr(traffic, name, count)


def by_id(rows: Iterator[Row]) -> dict[str, Row]:
    return {row.id: row for row in rows}


def served(
    machine: Machine, kind: int, serve: Callable[[socket.socket], None]
) -> tuple[int, threading.Thread]:
    """A server of our own in the Normal world, which does what a test needs. Its port, and its thread."""
    server = machine.socket(socket.AF_INET, kind)
    server.bind((NORMAL, 0))
    if kind == socket.SOCK_STREAM:
        server.listen()
    server.settimeout(10)
    port = int(server.getsockname()[1])

    def run() -> None:
        with server:
            serve(server)

    thread = threading.Thread(target=run)
    thread.start()
    return port, thread


def test_without_a_fault_the_rows_hold(machine: Machine, monkeypatch: pytest.MonkeyPatch) -> None:
    """How long a round trip takes is this computer's affair; test_check_run.py holds the limits."""
    monkeypatch.setattr(traffic, "RTT_P50_PERIODS", 10_000)
    monkeypatch.setattr(traffic, "RTT_P99_MAX_US", 1e9)
    real = machine.real
    rows = [traffic.link(real, 0.1), *traffic.ping(real, SECURE, []), traffic.udp(real, SECURE, 1)]
    rows += [traffic.tcp(real, SECURE, 1), traffic.http(real, SECURE)]
    assert [row for row in rows if not row.ok] == []


def test_ping_fails_when_nobody_is_there(machine: Machine) -> None:
    rows = by_id(traffic.ping(machine.real, NOBODY, []))
    assert rows["ping.loss"].value == traffic.PINGS
    assert not any(row.ok for row in rows.values())


def test_udp_fails_when_datagrams_come_twice(machine: Machine, seed: int) -> None:
    def twice(server: socket.socket) -> None:
        for number in range(traffic.DATAGRAMS):
            data, peer = server.recvfrom(65536)
            server.sendto(data, peer)
            if number == 30:
                server.sendto(data, peer)

    port, thread = served(machine, socket.SOCK_DGRAM, twice)
    row = traffic.udp(machine.real, NORMAL, seed, port)
    thread.join()
    assert not row.ok
    assert row.value == traffic.DATAGRAMS
    assert "1 came back that were not sent" in row.detail


def test_udp_fails_when_nobody_is_there(machine: Machine, seed: int) -> None:
    row = traffic.udp(machine.real, SECURE, seed, port=9)
    assert (row.ok, row.value) == (False, 0)


def test_tcp_fails_at_the_first_byte_that_differs(machine: Machine, seed: int) -> None:
    spoilt = random.Random(seed).randrange(traffic.TCP_BYTES)

    def echo(server: socket.socket) -> None:
        link, _ = server.accept()
        at = 0
        with link:
            while data := bytearray(link.recv(1 << 16)):
                if at <= spoilt < at + len(data):
                    data[spoilt - at] ^= 1
                link.sendall(data)
                at += len(data)

    port, thread = served(machine, socket.SOCK_STREAM, echo)
    row = traffic.tcp(machine.real, NORMAL, seed, port)
    thread.join()
    assert (row.ok, row.value) == (False, spoilt)


def test_tcp_fails_when_the_connection_breaks(machine: Machine, seed: int) -> None:
    def cut(server: socket.socket) -> None:
        link, _ = server.accept()
        with link:
            link.sendall(link.recv(1 << 16))

    port, thread = served(machine, socket.SOCK_STREAM, cut)
    row = traffic.tcp(machine.real, NORMAL, seed, port)
    thread.join()
    assert not row.ok
    assert row.value is not None
    assert row.value < traffic.TCP_BYTES


def test_tcp_waits_for_the_echo_of_a_peer_without_half_closed_connections(
    machine: Machine, seed: int
) -> None:
    """Such a peer drops what it has not answered when the connection's other end is closed."""

    def drop(server: socket.socket) -> None:
        link, _ = server.accept()
        with link:
            left = traffic.TCP_BYTES
            while left > 0:
                data = link.recv(1 << 16)
                left -= len(data)
                if left > 0:
                    link.sendall(data)
            link.settimeout(0.3)
            with suppress(TimeoutError):
                link.recv(1)
                return
            link.sendall(data)

    port, thread = served(machine, socket.SOCK_STREAM, drop)
    row = traffic.tcp(machine.real, NORMAL, seed, port, half_closes=False)
    thread.join()
    assert (row.ok, row.value) == (True, traffic.TCP_BYTES)


def test_tcp_fails_when_nobody_is_there(machine: Machine, seed: int) -> None:
    row = traffic.tcp(machine.real, NORMAL, seed, port=9)
    assert (row.ok, row.value) == (False, 0)
    assert "refused" in row.detail


@pytest.mark.parametrize(
    ("status", "body"),
    [("500 Broken", b"<html></html>"), ("200 OK", b"no page"), ("200 OK", b"<html></html>")],
    ids=["status", "page", "data"],
)
def test_http_fails_when_a_page_is_wrong(machine: Machine, status: str, body: bytes) -> None:
    def pages(server: socket.socket) -> None:
        for _ in range(3):
            link, _ = server.accept()
            with link:
                link.recv(4096)
                link.sendall(f"HTTP/1.0 {status}\r\n\r\n".encode() + body)

    port, thread = served(machine, socket.SOCK_STREAM, pages)
    row = traffic.http(machine.real, NORMAL, port)
    thread.join()
    assert not row.ok


def test_http_fails_when_nobody_is_there(machine: Machine) -> None:
    row = traffic.http(machine.real, SECURE, port=81)
    assert (row.ok, row.value) == (False, None)
