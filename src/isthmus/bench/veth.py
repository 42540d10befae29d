# SPDX-License-Identifier: MIT
"""What the peer `udp-veth` is given: see udp_sockets.py, which makes it in a process of its own."""

from __future__ import annotations

import socket
import subprocess
import sys
from pathlib import Path

from isthmus.bench.rounds import Missing

__all__ = ["udp_pair"]

SETUP = Path(__file__).with_name("udp_sockets.py")
SETUP_SECONDS = 20.0


def udp_pair() -> tuple[socket.socket, socket.socket]:
    """Two connected UDP sockets in two network namespaces. Raises Missing where these cannot be made."""
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    with ours, theirs:
        command = [sys.executable, "-P", str(SETUP), str(theirs.fileno())]
        try:
            done = subprocess.run(
                command,
                pass_fds=[theirs.fileno()],
                stdin=subprocess.DEVNULL,
                capture_output=True,
                timeout=SETUP_SECONDS,
                text=True,
                check=False,
                process_group=0,
            )
        except subprocess.TimeoutExpired:
            raise Missing("network namespaces took too long to make") from None
        if done.returncode != 0:
            complaint = done.stderr.strip().splitlines()
            raise Missing(complaint[-1] if complaint else "no network namespaces")
        _, fds, _, _ = socket.recv_fds(ours, 1, 2)
    a, b = (socket.socket(fileno=fd) for fd in fds)
    return a, b
