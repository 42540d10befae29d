# SPDX-License-Identifier: MIT
"""A program of the host machine alone: the test is its supervisor and the other end of its channel, and sees
each frame's offload fields.

this test --- worlds/peer.c, by ctypes --- channel --- frame pump, or the Secure world
     '------------------ control socket ---------------'
"""

from __future__ import annotations

import ctypes
import functools
import json
import os
import socket
import struct
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from host_tools import WORLDS, eventually, hear
from isthmus import _native
from isthmus.board import Board
from isthmus.build import build_program
from isthmus.host import control
from isthmus.host.control import Message, State, Type
from isthmus.host.namespaces import World
from isthmus.resources import tree
from isthmus.stats import VERDICTS

OFFLOAD = _native.FEATURE_OFFLOAD
PARTIAL = 1  # IST_FLAG_CSUM_PARTIAL
KEY = (3, 5)
NAMES = tuple(VERDICTS)


@functools.cache
def library() -> Path:
    """worlds/peer.c with the core."""
    core, host = tree() / "core", tree() / "host"
    sources = [*sorted(core.glob("*.c")), host / "link.c", WORLDS / "peer.c"]
    return build_program("peer.so", sources, [core, host], ["-std=c11", "-O2", "-fPIC"], ["-shared"])


@dataclass(frozen=True)
class Meta:
    """struct ist_meta of core/isthmus.h."""

    flags: int = 0
    segment: int = 0
    start: int = 0
    offset: int = 0

    def packed(self) -> bytes:
        return struct.pack("=4H", self.flags, self.segment, self.start, self.offset)


class Peer:
    """The end that `program` does not have. One at a time in a process: peer.c has one endpoint."""

    def __init__(
        self, board: Board, program: Path, role: World, environment: Mapping[str, str], offers: int
    ) -> None:
        self.c = ctypes.CDLL(str(library()))
        for name in ("poll", "agreed", "send", "receive"):
            getattr(self.c, f"peer_{name}").restype = ctypes.c_uint32
        config = board.config(role)
        own = self.c.peer_open(
            1 - config["role"],
            *(config[name] for name in ("ring_normal", "ring_secure", "frame_max", "mtu", "tag")),
            offers,
        )
        assert own >= 0
        self.room = ctypes.create_string_buffer(config["frame_max"])
        self.link, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self.link.settimeout(10)
        self.bell, their_bell = _native.bell()
        env = {
            "ISTHMUS_CONTROL": str(theirs.fileno()),
            "ISTHMUS_CONFIG": " ".join(f"{k}={v}" for k, v in config.items()),
            **environment,
        }
        inherited = [theirs.fileno(), *(int(env[name]) for name in ("ISTHMUS_PACKET",) if name in env)]
        with theirs:
            self.process = subprocess.Popen([program], env=env, pass_fds=inherited)
        _, (fd,) = self.hear(Type.HELLO)
        assert self.c.peer_attach(fd, ctypes.c_uint64(9), *map(ctypes.c_uint64, KEY)) == 0
        assert control.send(self.link, Message(Type.ATTACH, epoch=9, key=KEY), (own, their_bell))
        self.hear(Type.ATTACHED)
        os.close(fd)
        os.close(their_bell)
        assert eventually(lambda: self.c.peer_poll() == State.RUN)
        while self.hear(Type.STATE)[0].value != State.RUN:
            pass

    def hear(self, kind: int) -> tuple[Message, list[int]]:
        return hear(self.link, kind)

    @property
    def agreed(self) -> int:
        return int(self.c.peer_agreed())

    def counters(self) -> dict[str, int]:
        assert control.send(self.link, Message(Type.STATUS, value=7))
        found: dict[str, Any] = json.loads(self.hear(Type.STATUS_REPLY)[0].text)
        counters: dict[str, int] = found["counters"]
        return counters

    def send(self, frame: bytes, meta: Meta | None = None, *, spoilt: bool = False) -> str:
        """The verdict of our own core; `spoilt`: the last byte changes in the ring."""
        packed = None if meta is None else meta.packed()
        verdict: int = self.c.peer_send(frame, len(frame), packed, int(spoilt))
        return NAMES[verdict]

    def receive(self) -> tuple[bytes, Meta] | None:
        """A frame, if there is one."""
        found = ctypes.create_string_buffer(12)
        while True:
            verdict = NAMES[self.c.peer_receive(self.room, found)]
            if verdict == "EMPTY":
                return None
            assert verdict == "OK", verdict
            length, *meta = struct.unpack("=I4H", found.raw)
            return self.room.raw[:length], Meta(*meta)

    def wait(self) -> tuple[bytes, Meta]:
        """The next frame."""
        found: list[tuple[bytes, Meta] | None] = []

        def look() -> bool:
            found.append(self.receive())
            return found[-1] is not None

        assert eventually(look, 10)
        assert found[-1] is not None
        return found[-1]

    def close(self) -> None:
        self.process.kill()
        self.process.wait()
        self.c.peer_close()
        self.link.close()
        os.close(self.bell)
