# SPDX-License-Identifier: MIT
"""A program without the driver's secrets: `send.py INTERFACE FILE ROUNDS PAUSE-US PORT` sends the frames of
FILE, one a line in hex, past Linux's IP stack, round after round. It holds the UDP port that answers go to.
Prints how many Linux has taken.
"""

from __future__ import annotations

import socket
import sys
import time


def main(interface: str, path: str, rounds: int, pause_s: float, port: int) -> int:
    with open(path, encoding="ascii") as lines:
        frames = [bytes.fromhex(line) for line in lines]
    answers = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    answers.bind(("", port))
    link = socket.socket(socket.AF_PACKET, socket.SOCK_RAW)
    link.bind((interface, 0))
    taken = 0
    for frame in frames * rounds:
        taken += link.send(frame) == len(frame)
        time.sleep(pause_s)
    return taken


if __name__ == "__main__":
    count, pause_us, held = (int(word) for word in sys.argv[3:6])
    sys.stdout.write(f"{main(sys.argv[1], sys.argv[2], count, pause_us / 1e6, held)}\n")
