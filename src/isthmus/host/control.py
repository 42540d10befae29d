# SPDX-License-Identifier: MIT
"""The messages of host/control.h, which the supervisor exchanges with a world's process.

    >>> m = Message(Type.HELLO, value=266752)
    >>> Message.decode(m.encode()) == m
    True
"""

from __future__ import annotations

import array
import socket
import struct
from dataclasses import dataclass
from enum import IntEnum
from typing import Literal, Self

VERSION = 1
MAX = 16384
_HEAD = struct.Struct("=IIqqQQQ")
_FDS = socket.CMSG_SPACE(4 * 4)
_CREDENTIALS = struct.Struct("=iII")
SCM_CREDENTIALS = 2


Fault = Literal["overrun", "hunger"]  # of the critical tasks: what tests inject
FAULTS: dict[Fault, int] = {"overrun": 1, "hunger": 2}


class Type(IntEnum):
    """enum ist_message_type."""

    HELLO = 1
    ATTACHED = 2
    REFUSED = 3
    STATE = 4
    STATUS_REPLY = 5
    ATTACH = 16
    DETACH = 17
    STATUS = 18
    STALL = 19
    STOP = 20
    FAULT = 21


class State(IntEnum):
    """enum ist_state: link states."""

    RESET = 0
    INIT = 1
    READY = 2
    RUN = 3
    DEAD = 4


@dataclass(frozen=True, slots=True)
class Message:
    """struct ist_message, and the text behind it."""

    type: int
    value: int = 0
    extra: int = 0
    epoch: int = 0
    key: tuple[int, int] = (0, 0)
    text: bytes = b""

    def encode(self) -> bytes:
        """The packet's bytes."""
        return _HEAD.pack(self.type, VERSION, self.value, self.extra, self.epoch, *self.key) + self.text

    @classmethod
    def decode(cls, data: bytes) -> Self:
        """From a packet's bytes. ValueError if they are no message of this version."""
        if len(data) < _HEAD.size:
            raise ValueError(f"message of {len(data)} bytes")
        kind, version, value, extra, epoch, k0, k1 = _HEAD.unpack_from(data)
        if version != VERSION:
            raise ValueError(f"message of version {version}")
        return cls(kind, value, extra, epoch, (k0, k1), data[_HEAD.size :])


def send(link: socket.socket, message: Message, fds: tuple[int, ...] = ()) -> bool:
    """Sends without waiting. False: the world is gone, or does not read."""
    rights = [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", fds))] if fds else []
    try:
        link.sendmsg([message.encode()], rights, socket.MSG_NOSIGNAL)
    except OSError:
        return False
    return True


def receive(link: socket.socket) -> tuple[bytes, list[int], int]:
    """One packet, its descriptors (the caller's to close) and its sender's process id (0 unless SO_PASSCRED
    is set)."""
    room = _FDS + socket.CMSG_SPACE(_CREDENTIALS.size)
    data, ancillary, _, _ = link.recvmsg(MAX, room, socket.MSG_CMSG_CLOEXEC)
    fds = array.array("i")
    pid = 0
    for level, kind, value in ancillary:
        if level != socket.SOL_SOCKET:
            continue
        if kind == socket.SCM_RIGHTS:
            fds.frombytes(value[: len(value) - len(value) % fds.itemsize])
        elif kind == SCM_CREDENTIALS and len(value) >= _CREDENTIALS.size:
            pid = _CREDENTIALS.unpack_from(value)[0]
    return data, list(fds), pid
