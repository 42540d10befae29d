#!/usr/bin/env -S python3 -I -S
# SPDX-License-Identifier: MIT
"""A world that misbehaves towards its supervisor, in the way that its own file's name says (a link to this
file)."""

from __future__ import annotations

import array
import os
import re
import socket
import struct
import sys
import time

HELLO, ATTACHED, REFUSED, STATE, ATTACH = 1, 2, 3, 4, 16
SEALS = 0x0001 | 0x0002 | 0x0004 | 0x0010
F_ADD_SEALS = 1033

link = socket.socket(fileno=int(os.environ["ISTHMUS_CONTROL"]))
config = dict(pair.split("=") for pair in os.environ["ISTHMUS_CONFIG"].split())
own = int(config["ring_normal" if config["role"] == "0" else "ring_secure"])
page = os.sysconf("SC_PAGESIZE")
SIZE = (512 + own + int(config["frame_max"]) + 16 + page - 1) & -page


def say(
    kind: int, value: int = 0, extra: int = 0, epoch: int = 0, version: int = 1, fds: tuple[int, ...] = ()
) -> None:
    rights = [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", fds))] if fds else []
    link.sendmsg([struct.pack("=IIqqQQQ", kind, version, value, extra, epoch, 0, 0)], rights)


def buffer(size: int = SIZE, seals: int = SEALS) -> int:
    import fcntl

    fd = os.memfd_create("bad", os.MFD_CLOEXEC | os.MFD_ALLOW_SEALING)
    os.truncate(fd, size)
    fcntl.fcntl(fd, F_ADD_SEALS, seals)
    return fd


def hello() -> None:
    say(HELLO, value=SIZE, fds=(buffer(),))


def hear() -> tuple[int, int]:
    """Type and epoch of the next message; ends with the supervisor."""
    data, fds, _, _ = socket.recv_fds(link, 16384, 4)
    for fd in fds:
        os.close(fd)
    if not data:
        sys.exit(0)
    kind, _, _, _, epoch = struct.unpack_from("=IIqqQ", data)
    return kind, epoch


def exits() -> None:
    sys.exit("I will not")


def silent() -> None:
    time.sleep(1000)


def garbage() -> None:
    link.send(b"x" * 100)
    silent()


def short() -> None:
    link.send(b"x")
    silent()


def version() -> None:
    say(HELLO, version=77)
    silent()


def unknown() -> None:
    say(999)
    silent()


def unsealed() -> None:
    say(HELLO, value=SIZE, fds=(buffer(seals=0),))
    silent()


def wrong_size() -> None:
    say(HELLO, value=SIZE + page, fds=(buffer(SIZE + page),))
    silent()


def no_buffer() -> None:
    say(HELLO, value=SIZE)
    silent()


def no_memfd() -> None:
    say(HELLO, value=SIZE, fds=(0,))
    silent()


def twice() -> None:
    hello()
    hello()
    silent()


def hangs_up() -> None:
    hello()
    link.close()
    silent()


def refuses() -> None:
    hello()
    while True:
        kind, epoch = hear()
        if kind == ATTACH:
            say(REFUSED, value=-22, epoch=epoch)


def dies_attached() -> None:
    """Confirms, claims RUN, then declares the channel dead, each time anew."""
    hello()
    while True:
        kind, epoch = hear()
        if kind == ATTACH:
            say(ATTACHED, epoch=epoch)
            say(STATE, value=3, epoch=epoch)
            time.sleep(0.02)
            say(STATE, value=4, extra=15, epoch=epoch)


def strange_state() -> None:
    hello()
    _, epoch = hear()
    say(ATTACHED, epoch=epoch)
    say(STATE, value=12345, epoch=epoch)
    silent()


def strange_refusal() -> None:
    hello()
    _, epoch = hear()
    say(REFUSED, value=-(2**63), epoch=epoch)
    silent()


def refuses_another() -> None:
    """An epoch that nobody asked it for."""
    hello()
    while True:
        _, epoch = hear()
        say(REFUSED, value=-22, epoch=epoch + 1)


def ignores() -> None:
    """Offers its buffer and never answers again."""
    hello()
    silent()


globals()[re.sub(r"\W", "_", os.path.basename(sys.argv[0]))]()
