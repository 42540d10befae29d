# SPDX-License-Identifier: MIT
"""ICMP echo: `ping.py ADDRESS COUNT INTERVAL_US`.

INTERVAL_US above 0: sends at that pace whatever comes back. 0: back to back, the next one when the last was
answered.
Answer: {"sent", "received", "corrupt", "rtt_ns": [...]} in the order of arrival.
"""

from __future__ import annotations

import contextlib
import json
import os
import select
import socket
import struct
import sys
from time import perf_counter_ns

ECHO_REQUEST, ECHO_REPLY = 8, 0
SOL_RAW, ICMP_FILTER = 255, 1  # linux/icmp.h; the socket module lacks both
HEADER = struct.Struct("!BBHHH")
PAYLOAD = bytes(range(56))
STRAGGLERS_S = 1.0
ANSWER_S = 1.0  # a busy computer may take a process off its processors for most of that
LOST_IN_A_ROW_MAX = 4


def checksum(data: bytes) -> int:
    total: int = sum(struct.unpack(f"!{len(data) // 2}H", data))
    total = (total & 0xFFFF) + (total >> 16)
    return ~(total + (total >> 16)) & 0xFFFF


class Pinger:
    def __init__(self, address: str) -> None:
        self.socket = socket.socket(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_ICMP)
        self.socket.setsockopt(SOL_RAW, ICMP_FILTER, struct.pack("I", ~(1 << ECHO_REPLY) & 0xFFFFFFFF))
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1 << 20)
        self.socket.connect((address, 0))
        self.ident = os.getpid() & 0xFFFF
        self.sent_at: dict[int, int] = {}
        self.rtt: list[int] = []
        self.corrupt = 0

    def send(self, sequence: int) -> None:
        bare = HEADER.pack(ECHO_REQUEST, 0, 0, self.ident, sequence) + PAYLOAD
        packet = HEADER.pack(ECHO_REQUEST, 0, checksum(bare), self.ident, sequence) + PAYLOAD
        self.sent_at[sequence] = perf_counter_ns()
        with contextlib.suppress(OSError):  # no route, no buffer, no neighbour: a ping that is not answered
            self.socket.send(packet)

    def receive(self, timeout: float) -> bool:
        """Takes one packet, if one comes in time. True: an answer of ours."""
        if not select.select([self.socket], [], [], max(0.0, timeout))[0]:
            return False
        now = perf_counter_ns()
        try:
            packet = self.socket.recv(65536)
        except OSError:
            return False
        message = packet[(packet[0] & 15) * 4 :]
        _, _, _, ident, sequence = HEADER.unpack_from(message)
        if ident != self.ident or sequence not in self.sent_at:
            return False
        began = self.sent_at.pop(sequence)
        if message[HEADER.size :] != PAYLOAD:
            self.corrupt += 1
            return False
        self.rtt.append(now - began)
        return True

    def paced(self, count: int, interval_ns: int) -> int:
        due = perf_counter_ns()
        for sequence in range(count):
            while (left := due - perf_counter_ns()) > 0:
                self.receive(left / 1e9)
            self.send(sequence)
            due += interval_ns
        end = perf_counter_ns() + int(STRAGGLERS_S * 1e9)
        while self.sent_at and (left := end - perf_counter_ns()) > 0:
            self.receive(left / 1e9)
        return count

    def back_to_back(self, count: int) -> int:
        lost = 0
        for sequence in range(count):
            self.send(sequence)
            end = perf_counter_ns() + int(ANSWER_S * 1e9)
            while sequence in self.sent_at and (left := end - perf_counter_ns()) > 0:
                self.receive(left / 1e9)
            lost = lost + 1 if sequence in self.sent_at else 0
            if lost == LOST_IN_A_ROW_MAX:
                return sequence + 1
        return count


def main(address: str, count: int, interval_us: int) -> None:
    pinger = Pinger(address)
    sent = pinger.paced(count, interval_us * 1000) if interval_us else pinger.back_to_back(count)
    answer = {"sent": sent, "received": len(pinger.rtt), "corrupt": pinger.corrupt, "rtt_ns": pinger.rtt}
    json.dump(answer, sys.stdout)


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]), int(sys.argv[3]))
