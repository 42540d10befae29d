# SPDX-License-Identifier: MIT
"""A driver's counters: `ethtool.py INTERFACE`. Answer: {name: value}."""

from __future__ import annotations

import array
import fcntl
import json
import socket
import struct
import sys

SIOCETHTOOL = 0x8946
GET_STRINGS, GET_STATS, GET_SET_INFO = 0x1B, 0x1D, 0x37
SET_STATS = 1
NAME_BYTES = 32


def ask(link: socket.socket, interface: str, request: bytes, room: int) -> bytes:
    """`request` with `room` more bytes behind it, as the kernel leaves them."""
    buffer = array.array("B", request + bytes(room))
    address, _ = buffer.buffer_info()
    fcntl.ioctl(link, SIOCETHTOOL, struct.pack("16sP16x", interface.encode(), address))
    return buffer.tobytes()[len(request) :]


def main(interface: str) -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as link:
        info = ask(link, interface, struct.pack("=IIQ", GET_SET_INFO, 0, 1 << SET_STATS), 4)
        (n,) = struct.unpack("=I", info)
        names = ask(link, interface, struct.pack("=III", GET_STRINGS, SET_STATS, n), n * NAME_BYTES)
        values = ask(link, interface, struct.pack("=II", GET_STATS, n), n * 8)
    texts = (names[i * NAME_BYTES :][:NAME_BYTES].partition(b"\0")[0].decode() for i in range(n))
    json.dump(dict(zip(texts, struct.unpack(f"={n}Q", values), strict=True)), sys.stdout)


if __name__ == "__main__":
    main(sys.argv[1])
