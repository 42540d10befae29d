# SPDX-License-Identifier: MIT
"""TCP echo: `tcp_echo.py ADDRESS PORT BYTES SEED LIMIT_S HALF`: random bytes there and back, then an orderly
close. HALF 1: what is sent is finished while the rest of it is on its way back; 0: once all has come back,
for a peer that knows no connection with one end closed.

Answer: {"received", "exact", "closed", "seconds", "error"}; exact: bytes up to the first that differs from
what was sent; closed: both sides finished in order.
"""

from __future__ import annotations

import contextlib
import json
import random
import socket
import sys
import threading
from time import monotonic


def same(a: bytes, b: bytes) -> int:
    """Length of the common beginning."""
    n = min(len(a), len(b))
    if a[:n] == b[:n]:
        return n
    return next(i for i in range(n) if a[i] != b[i])


def main(address: str, port: int, count: int, seed: int, limit: int, half: int) -> None:
    data = random.Random(seed).randbytes(count)
    got = bytearray(count)
    received, closed, error = 0, False, ""
    began = monotonic()
    try:
        with socket.create_connection((address, port), timeout=limit) as link:

            def send() -> None:
                with contextlib.suppress(OSError):  # the receiving half says what happened
                    link.sendall(data)
                    if half:
                        link.shutdown(socket.SHUT_WR)

            sender = threading.Thread(target=send, daemon=True)
            sender.start()
            while monotonic() - began < limit:
                n = link.recv_into(memoryview(got)[received:] if received < count else bytearray(1))
                if n == 0:
                    closed = received == count
                    break
                received += n
                if received == count and not half:
                    link.shutdown(socket.SHUT_WR)
        sender.join(limit)  # a thread must not end while the interpreter does
    except OSError as problem:
        error = problem.strerror or str(problem)
    answer = {
        "received": received,
        "exact": same(data, bytes(got[:received])),
        "closed": closed,
        "seconds": monotonic() - began,
        "error": error,
    }
    json.dump(answer, sys.stdout)


if __name__ == "__main__":
    main(sys.argv[1], *map(int, sys.argv[2:7]))
