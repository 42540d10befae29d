# SPDX-License-Identifier: MIT
"""UDP echo: `udp.py ADDRESS PORT COUNT LENGTH_MAX SEED`: datagrams of 0..LENGTH_MAX random bytes, a few in
flight.

Answer: {"sent", "echoed", "foreign", "bytes"}; foreign: what came back and was not sent, or came twice.
"""

from __future__ import annotations

import contextlib
import json
import random
import select
import socket
import sys
from collections import Counter

IN_FLIGHT = 8
ANSWER_S = 1.0


def main(address: str, port: int, count: int, length_max: int, seed: int) -> None:
    dice = random.Random(seed)
    lengths = [0, length_max] + [dice.randint(0, length_max) for _ in range(count - 2)]
    outstanding: Counter[bytes] = Counter()
    sent = echoed = foreign = total = 0
    link = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    link.connect((address, port))
    while sent < count or outstanding:
        while sent < count and outstanding.total() < IN_FLIGHT:
            datagram = dice.randbytes(lengths[sent])
            outstanding[datagram] += 1
            sent += 1
            total += len(datagram)
            with contextlib.suppress(
                OSError
            ):  # an ICMP error that an earlier one caused, no buffer: not echoed
                link.send(datagram)
        if not select.select([link], [], [], ANSWER_S)[0]:
            if echoed == 0 or sent == count:
                break  # nobody there, or the last ones are lost
            outstanding.clear()
            continue
        try:
            datagram = link.recv(65536)
        except OSError:
            continue
        if outstanding[datagram] > 0:
            outstanding[datagram] -= 1
            outstanding += Counter()  # forgets what stands at 0
            echoed += 1
        else:
            foreign += 1
    json.dump({"sent": sent, "echoed": echoed, "foreign": foreign, "bytes": total}, sys.stdout)


if __name__ == "__main__":
    main(sys.argv[1], *map(int, sys.argv[2:6]))
