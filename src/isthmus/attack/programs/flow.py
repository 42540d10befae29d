# SPDX-License-Identifier: MIT
"""Somebody who means well: `flow.py ADDRESS PORT PERIOD-US FILE INTERFACE` sends a setpoint each period and
waits for the answer, for half of it, until it is ended. While FILE.hold is there, it waits with the next.
Without a link it sends none: the kernel would keep it, and what comes behind it would come too soon for who
answers at most one in its period.

One line of FILE per datagram: when it was sent, or would have been, in nanoseconds of the monotonic clock,
nanoseconds to its answer, -1 for none, and how often the interface had lost or found its link by then.
"""

from __future__ import annotations

import contextlib
import os
import select
import socket
import struct
import sys
import time

SETPOINT = 1 << 15


def answer(link: socket.socket, sequence: int, until: int) -> int:
    """When the answer came; 0: it did not."""
    while (left := until - time.monotonic_ns()) > 0:
        if not select.select([link], [], [], left / 1e9)[0]:
            break
        try:
            said = link.recv(64)
        except OSError:
            continue
        if len(said) == 16 and struct.unpack_from("!I", said, 4)[0] == sequence:
            return time.monotonic_ns()
    return 0


def main(address: str, port: int, period_ns: int, path: str, interface: str) -> None:
    os.sched_setscheduler(0, os.SCHED_FIFO, os.sched_param(50))  # an attacker's program does not delay it
    link = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    link.connect((address, port))
    sequence, due = 0, time.monotonic_ns()
    out = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    found = f"/sys/class/net/{interface}"
    changes = os.open(f"{found}/carrier_changes", os.O_RDONLY)
    carrier = os.open(f"{found}/carrier", os.O_RDONLY)
    while True:
        while os.access(f"{path}.hold", os.F_OK):
            time.sleep(0.001)
            due = time.monotonic_ns()
        due += period_ns
        time.sleep(max(0, due - time.monotonic_ns()) / 1e9)
        sequence += 1
        changed = int(os.pread(changes, 16, 0))
        sent, came = time.monotonic_ns(), 0
        with contextlib.suppress(OSError):  # also of an interface that is down: it has no carrier to ask for
            if os.pread(carrier, 16, 0) == b"1\n":
                link.send(struct.pack("!4sIi", b"ISP1", sequence, SETPOINT))
                came = answer(link, sequence, sent + period_ns // 2)
        os.write(out, b"%d %d %d\n" % (sent, came - sent if came else -1, changed))


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]), int(sys.argv[3]) * 1000, *sys.argv[4:6])
