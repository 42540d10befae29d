# SPDX-License-Identifier: MIT
"""One TCP echo connection, held: `hold.py ADDRESS PORT` sends numbered blocks until standard input is closed.

Answer: {"pid", "blocks", "echoed", "exact", "pause_s", "error"}; exact: every byte came back, in order;
pause_s: the longest time without one.
"""

from __future__ import annotations

import json
import os
import select
import socket
import sys
from time import monotonic

BLOCK = 512
EVERY_S = 0.005
IN_FLIGHT = 64 * BLOCK
DRAIN_S = 5.0


def block(number: int) -> bytes:
    return number.to_bytes(8, "big") * (BLOCK // 8)


def expected(position: int, n: int) -> bytes:
    first = position // BLOCK
    text = b"".join(block(number) for number in range(first, (position + n - 1) // BLOCK + 1))
    return text[position - first * BLOCK :][:n]


def main(address: str, port: int) -> None:
    sent = echoed = 0
    exact, pause, error = True, 0.0, ""
    ending = 0.0  # when to give up waiting for the last bytes
    heard = due = monotonic()
    try:
        with socket.create_connection((address, port), timeout=DRAIN_S) as link:
            while not ending or (echoed < sent and monotonic() < ending):
                now = monotonic()
                if not ending and now >= due:
                    due = now + EVERY_S
                    if sent - echoed < IN_FLIGHT:
                        link.sendall(block(sent // BLOCK))
                        sent += BLOCK
                watched = [link] if ending else [link, sys.stdin]
                wait = 0.1 if ending else max(0.0, due - monotonic())
                readable, _, _ = select.select(watched, [], [], wait)
                if link in readable:
                    data = link.recv(65536)
                    if not data:
                        error = "closed by the other side"
                        break
                    exact = exact and data == expected(echoed, len(data))
                    echoed += len(data)
                    pause = max(pause, monotonic() - heard)
                    heard = monotonic()
                if sys.stdin in readable:
                    ending = monotonic() + DRAIN_S
    except OSError as problem:
        error = problem.strerror or str(problem)
    answer = {
        "pid": os.getpid(),
        "blocks": sent // BLOCK,
        "echoed": echoed // BLOCK,
        "exact": exact and echoed == sent > 0 and not error,
        "pause_s": pause,
        "error": error,
    }
    json.dump(answer, sys.stdout)


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]))
