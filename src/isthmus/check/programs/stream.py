# SPDX-License-Identifier: MIT
"""TCP throughput against an iperf 2 server: `stream.py to|from ADDRESS PORT MILLISECONDS`.

to     we send, it discards; the time runs from our first byte until it has closed behind our last
from   it connects back and sends, as the header asks for; the time runs from its first byte to its close
flood  sends, connecting anew whenever the connection breaks, until standard input is closed

Answer: {"bytes", "seconds", "connections"}.
"""

from __future__ import annotations

import json
import select
import socket
import struct
import sys
from time import monotonic

ANSWER_TEST, ANSWER_NOW = 0x80000000, 0x00000001
CHUNK = 1 << 20
LIMIT_S = 10.0
RETRY_S = 0.1


def header(port: int = 0, milliseconds: int = 0) -> bytes:
    """iperf 2: flags, threads, port, buffer length, window, amount (negative: hundredths of a second)."""
    flags = ANSWER_TEST | ANSWER_NOW if port else 0
    return struct.pack("!IIIIIi", flags, 1, port, 0, 0, -(milliseconds // 10) if milliseconds else 0)


def send(address: str, port: int, milliseconds: int) -> tuple[int, float]:
    data = memoryview(bytes(CHUNK))
    count = 0
    with socket.create_connection((address, port), timeout=LIMIT_S) as link:
        began = monotonic()
        link.sendall(header())
        while monotonic() - began < milliseconds / 1000:
            count += link.send(data)
        link.shutdown(socket.SHUT_WR)
        while link.recv(4096):
            pass
    return count, monotonic() - began


def receive(address: str, port: int, milliseconds: int) -> tuple[int, float]:
    room = bytearray(CHUNK)
    with socket.create_server(("0.0.0.0", 0), backlog=1) as server:
        server.settimeout(LIMIT_S)
        with socket.create_connection((address, port), timeout=LIMIT_S) as asking:
            asking.sendall(header(server.getsockname()[1], milliseconds))
            link, _ = server.accept()
            with link:
                link.settimeout(LIMIT_S)
                count = link.recv_into(room)
                began = monotonic()
                while n := link.recv_into(room):
                    count += n
    return count, monotonic() - began


def flood(address: str, port: int) -> tuple[int, float, int]:
    data = memoryview(bytes(CHUNK))
    count = connections = 0
    began = monotonic()
    while True:
        try:
            with socket.create_connection((address, port), timeout=RETRY_S) as link:
                connections += 1
                link.sendall(header())
                link.setblocking(False)
                while True:
                    readable, writable, _ = select.select([link, sys.stdin], [link], [])
                    if sys.stdin in readable:
                        return count, monotonic() - began, connections
                    if link in readable and not link.recv(4096):
                        break
                    if writable:
                        count += link.send(data)
        except OSError:
            if select.select([sys.stdin], [], [], RETRY_S)[0]:
                return count, monotonic() - began, connections


def main(mode: str, address: str, port: int, milliseconds: int) -> None:
    connections = 1
    if mode == "flood":
        count, seconds, connections = flood(address, port)
    else:
        count, seconds = (send if mode == "to" else receive)(address, port, milliseconds)
    json.dump({"bytes": count, "seconds": seconds, "connections": connections}, sys.stdout)


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2], int(sys.argv[3]), int(sys.argv[4]))
