# SPDX-License-Identifier: MIT
"""What the peers of the kernel's network are given: network_ends.py makes it in a process of its own."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
from pathlib import Path

from isthmus.bench.rounds import Missing

__all__ = ["Ends", "ends"]

SETUP = Path(__file__).with_name("network_ends.py")
SETUP_SECONDS = 20.0
FRAME_MOST = 1 << 16

Ends = tuple[int, int]


def ends(kind: str) -> Ends:
    """Two descriptors that frames pass between, in namespaces of their own; the caller closes them. `kind`:
    udp, packet or tap. Raises Missing where these cannot be made.
    """
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    with ours, theirs:
        command = [sys.executable, "-P", str(SETUP), str(theirs.fileno()), kind]
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
    a, b = fds
    return a, b


def drain(both: Ends) -> None:
    """Throws away what a broken run left on the way."""
    for fd in both:
        blocks = os.get_blocking(fd)
        os.set_blocking(fd, False)
        try:
            while os.read(fd, FRAME_MOST):
                pass
        except BlockingIOError:
            os.set_blocking(fd, blocks)
