# SPDX-License-Identifier: MIT
"""Raw sequenced frames (worlds/secure/apps/raw.h): `raw.py INTERFACE OWN_MAC PEER_MAC SEED`.

Until standard input is closed it sends frames of random length through AF_PACKET and verifies what comes
back: every byte, and that sequences rise.
Answer: {"sent", "echoed", "torn", "stale", "passed": [[sent, arrived], ...]} with times of the monotonic
clock in s; stale: a sequence that was not sent by this run, or came twice, or after a later one.
"""

from __future__ import annotations

import contextlib
import errno
import json
import random
import select
import socket
import struct
import sys
import time
import zlib

ETHERTYPE = 0x88B5
HEAD = struct.Struct("!QQI")
CRC = struct.Struct("!I")
ETHERNET = 14
OVERHEAD = ETHERNET + HEAD.size + CRC.size
FRAME_MIN, FRAME_MAX = 60, 1514
EVERY_S = 0.0003
GONE = (errno.ENXIO, errno.ENODEV, errno.ENETDOWN)  # the interface, with its driver
DRAIN_S = 0.2
PATTERN = bytes(range(256)) * 8


def body(incarnation: int, sequence: int, n: int) -> bytes:
    start = (incarnation + sequence) % 256
    text = HEAD.pack(incarnation, sequence, n) + PATTERN[start : start + n]
    return text + CRC.pack(zlib.crc32(text))


class Sender:
    def __init__(self, interface: str, own: bytes, peer: bytes, seed: int) -> None:
        self.link = socket.socket(socket.AF_PACKET, socket.SOCK_RAW | socket.SOCK_NONBLOCK, 0)
        self.link.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4 << 20)
        self.address = (interface, ETHERTYPE)
        self.link.bind(self.address)
        self.out = peer + own + struct.pack("!H", ETHERTYPE)
        self.back = own + peer + struct.pack("!H", ETHERTYPE)
        self.dice = random.Random(seed)
        self.incarnation = time.time_ns()
        self.sequence = 0
        self.last = 0  # sequence that came back
        self.sent_at: dict[int, float] = {}
        self.torn = self.stale = 0
        self.passed: list[tuple[float, float]] = []

    def send(self) -> None:
        n = self.dice.randint(0, FRAME_MAX - OVERHEAD)
        frame = self.out + body(self.incarnation, self.sequence + 1, n)
        try:
            self.link.send(frame.ljust(FRAME_MIN, b"\0"))
        except OSError as problem:  # this sequence was not sent
            if problem.errno in GONE:
                with contextlib.suppress(OSError):  # until the interface is back
                    self.link.bind(self.address)
            return
        self.sequence += 1
        self.sent_at[self.sequence] = time.monotonic()

    def receive(self) -> None:
        while True:
            try:
                frame = self.link.recv(65536)
            except OSError:
                return
            if frame[:ETHERNET] == self.out:
                continue  # not an echo: another sender's frame on its way
            self.judge(frame)

    def judge(self, frame: bytes) -> None:
        if len(frame) < OVERHEAD or frame[:ETHERNET] != self.back:
            self.torn += 1
            return
        incarnation, sequence, n = HEAD.unpack_from(frame, ETHERNET)
        whole = self.back + body(incarnation, sequence, min(n, FRAME_MAX - OVERHEAD))
        if frame != whole.ljust(FRAME_MIN, b"\0"):
            self.torn += 1
        elif incarnation != self.incarnation or sequence <= self.last or sequence not in self.sent_at:
            self.stale += 1
        else:
            self.last = sequence
            self.passed.append((self.sent_at[sequence], time.monotonic()))


def octets(mac: str) -> bytes:
    return bytes.fromhex(mac.replace(":", ""))


def main(interface: str, own: str, peer: str, seed: int) -> None:
    sender = Sender(interface, octets(own), octets(peer), seed)
    due = time.monotonic()
    end = float("inf")
    while (now := time.monotonic()) < end:
        running = end == float("inf")
        if running and now >= due:
            sender.send()
            due = max(due + EVERY_S, now - 20 * EVERY_S)  # catches up after a pause, but not without bound
        watched = [sender.link, sys.stdin] if running else [sender.link]
        wait = max(0.0, (due if running else end) - time.monotonic())
        readable, _, _ = select.select(watched, [], [], wait)
        sender.receive()
        if running and sys.stdin in readable:
            end = time.monotonic() + DRAIN_S
    answer = {
        "sent": sender.sequence,
        "echoed": len(sender.passed),
        "torn": sender.torn,
        "stale": sender.stale,
        "passed": sender.passed,
    }
    json.dump(answer, sys.stdout)


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2], sys.argv[3], int(sys.argv[4]))
