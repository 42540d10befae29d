# SPDX-License-Identifier: MIT
"""The memory machine under attack: native/stage.c by ctypes; the attacker writes the Normal world's buffer.

Where a defence is missing, an attack may write anywhere in its process. So each runs in a child of its own
(runner.py), and a child that dies counts as not contained.
"""

from __future__ import annotations

import ctypes
import struct
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from isthmus import _native
from isthmus.attack import frames
from isthmus.attack.catalogue import Outcome
from isthmus.filter import DEFAULT, Ends, Rule, compile_table

__all__ = ["ENDS", "RUN", "VALID", "Settings", "Stage"]

ENDS = Ends(frames.ENDS_MAC[0], "10.77.0.2/24", frames.ENDS_MAC[1], "10.77.0.1/24")
VALID = frames.ipv4(17, frames.udp(7, b"a datagram of somebody who means well"))
NAMES: list[str] = [name for name, _ in _native.VERDICTS]
RESET, INIT, READY, RUN, DEAD = range(5)
NORMAL, SECURE = 0, 1
STATE, EPOCH, DIGEST, MTU, FEATURES, BEAT = 0x00, 0x08, 0x10, 0x18, 0x1C, 0x20
HEAD, TAIL, CONTROL = 0x80, 0x100, 0x200
OVERRUN = 0xFFFFFFFF
OFFLOAD = 2  # IST_FEATURE_OFFLOAD
DRAIN_MAX = 100_000


class _Config(ctypes.Structure):
    """struct ist_config of core/isthmus.h."""

    _fields_ = (
        *((name, ctypes.c_uint32) for name in ("ring_normal", "ring_secure", "frame_max", "tag")),
        ("first_cursor", ctypes.c_uint32),
        ("first_sequence", ctypes.c_uint64),
        *((name, ctypes.c_uint32) for name in ("mtu", "role", "features", "required")),
        *((name, ctypes.c_uint64) for name in ("silence", "budget_interval", "budget_tolerance")),
    )


@dataclass(frozen=True)
class Settings:
    """A channel and its policy. Time is in units that the attack chooses."""

    ring: int = 16384
    frame_max: int = 1536
    mtu: int = 1500
    tag: int = 0
    offload: bool = False
    silence: int = 0
    period: int = 0  # of the budget; 0: none
    frames: int = 0
    filtered: bool = True
    rules: tuple[Rule, ...] = DEFAULT
    broadcasts: tuple[int, int] = (0, 1)  # per second, burst; the filter's seconds are 1e9 units


class Overrun(Exception):
    """Bytes were written, or would have been, beyond a frame's buffer."""


class Stage:
    """Both ends; in RUN once it is made."""

    def __init__(self, library: Path, settings: Settings) -> None:
        self.settings = s = settings
        self.c = ctypes.CDLL(str(library))
        self.c.stage_buffer.restype = ctypes.c_void_p
        self.c.stage_count.restype = ctypes.c_uint64
        for name in ("receive", "peer_receive", "send", "peer_send", "open", "filter", "state", "in_flight"):
            getattr(self.c, f"stage_{name}").restype = ctypes.c_uint32
        interval = -(-s.period // s.frames) if s.period else 0
        config = _Config(
            ring_normal=s.ring, ring_secure=s.ring, frame_max=s.frame_max, tag=s.tag, mtu=s.mtu,
            features=OFFLOAD if s.offload else 0, silence=s.silence,
            budget_interval=interval, budget_tolerance=max(0, s.period - interval),
        )  # fmt: skip
        self._ok(self.c.stage_open(ctypes.byref(config)))
        if s.filtered:
            table = compile_table(s.rules, ENDS, "in", *s.broadcasts)
            self._table = (ctypes.c_uint64 * len(table))(*table)  # lives as long as the filter
            self._ok(self.c.stage_filter(self._table, len(table)))
        self.buffers = [
            (ctypes.c_ubyte * self.c.stage_buffer_size(role)).from_address(self.c.stage_buffer(role))
            for role in (NORMAL, SECURE)
        ]
        self._room = ctypes.create_string_buffer(1 << 16)
        self._length = ctypes.c_uint32()
        self.epoch = 0x1122334455667788
        self.now = 0
        self.time(1_000_000_000)
        self.attach()

    def _ok(self, verdict: int) -> None:
        if verdict != 0:
            raise RuntimeError(f"the stage cannot be set: {NAMES[verdict]}")

    # ---- session

    def time(self, now: int) -> None:
        """Sets the clock of both ends."""
        self.now = now
        self.c.stage_time(ctypes.c_uint64(now))

    def begin(self, theirs: int | None = None) -> None:
        """A new epoch for both; `theirs` gives the Normal end another one, 0 none."""
        self.epoch += 1
        other = self.epoch if theirs is None else theirs
        self.c.stage_begin(ctypes.c_uint64(self.epoch), ctypes.c_uint64(other))

    def attach(self) -> None:
        """A new epoch, and the handshake."""
        self.begin()
        for _ in range(3):
            self.poll()
            self.c.stage_peer_poll()

    def poll(self) -> int:
        """One look of the Secure end at its peer; the state."""
        self.c.stage_poll()
        return self.state

    @property
    def state(self) -> int:
        return int(self.c.stage_state())

    def counters(self) -> dict[str, int]:
        return {name: int(self.c.stage_count(i)) for i, name in enumerate(NAMES)}

    # ---- frames

    def send(self, frame: bytes = VALID, meta: tuple[int, int, int, int] = (0, 0, 0, 0)) -> str:
        """From the Normal end, by the rules of the channel."""
        fields = struct.pack("<4H", *meta)
        verdict: int = self.c.stage_peer_send(frame, len(frame), fields if any(meta) else None)
        return NAMES[verdict]

    def receive(self) -> tuple[str, bytes]:
        """One call of the Secure end. Raises Overrun."""
        verdict = self.c.stage_receive(self._room, ctypes.byref(self._length)) & 0xFFFFFFFF
        if verdict == OVERRUN:
            raise Overrun
        return NAMES[verdict], self._taken() if verdict == 0 else b""

    def drain(self) -> list[tuple[str, bytes]]:
        """Until there is nothing more, or nothing more may be taken."""
        said = []
        for _ in range(DRAIN_MAX):
            said.append(self.receive())
            if said[-1][0] in ("EMPTY", "DOWN", "BUDGET"):
                return said
        return said

    def _taken(self) -> bytes:
        return self._room.raw[: self._length.value]

    def answer(self, frame: bytes) -> str:
        """The Secure end sends."""
        verdict: int = self.c.stage_send(frame, len(frame))
        return NAMES[verdict]

    def hear(self) -> tuple[str, bytes]:
        """The Normal end receives."""
        verdict = self.c.stage_peer_receive(self._room, ctypes.byref(self._length))
        return NAMES[verdict], self._taken()

    # ---- the attacker's hands

    def poke(self, offset: int, value: int, role: int = NORMAL) -> None:
        """Writes a word into a buffer."""
        struct.pack_into("<I", self.buffers[role], offset, value & 0xFFFFFFFF)

    def word(self, offset: int, role: int = NORMAL) -> int:
        return int(struct.unpack_from("<I", self.buffers[role], offset)[0])

    def record(self, back: int = 1) -> int:
        """Offset of the record that the Normal end published last, or `back` alike before its head."""
        size = 16 + (len(VALID) + 15) // 16 * 16 + (16 if self.settings.tag else 0)
        return CONTROL + (self.word(HEAD) - back * size) % self.settings.ring

    def change(self, offset: int, value: int, *, loads: int = 0, copies: int = 0) -> None:
        """The word changes behind its `loads`-th load, or before the `copies`-th copy of payload."""
        self.c.stage_change(offset, ctypes.c_uint32(value & 0xFFFFFFFF), loads, copies)

    # ---- judging

    def expect(self, verdict: str, act: Callable[[], Any], *, state: int = RUN, once: bool = True) -> Outcome:
        """Does `act`, receives, and holds what happened to the catalogue's rules.

        Exactly one counter moves, and once where `once` says so; nothing is delivered; the state is as it
        should be; the next valid frame comes.
        """
        self.drain()
        before = self.counters()
        try:
            act()
            said = self.drain()
            if self.state == RUN:
                self.poll()
            moved = {n: c - before[n] for n, c in self.counters().items() if c != before[n] and n != "OK"}
            delivered = [frame for v, frame in said if v == "OK"]
            recovered = self.recovers()
        except Overrun:
            return Outcome(False, "bytes beyond the frame's buffer")
        wrong = []
        if list(moved) != [verdict] or (once and moved.get(verdict) != 1):
            wrong.append(f"counted {moved or 'nothing'}, not {verdict}")
        if delivered:
            wrong.append(f"{len(delivered)} delivered")
        if self._state_was != state:
            wrong.append(f"state {self._state_was}, not {state}")
        if not recovered:
            wrong.append("the next valid frame did not come")
        return Outcome(not wrong, "; ".join(wrong) or verdict, moved, recovered_s=0.0 if recovered else None)

    def recovers(self) -> bool:
        """Whether the next valid frame comes, after a new epoch where the session is over."""
        self._state_was = self.state
        self.time(self.now + 10 * max(1, self.settings.period))
        if self.state != RUN:
            self.attach()
        for _ in range(2):
            self.send()
            if any(v == "OK" and frame == VALID for v, frame in self.drain()):
                return True
        return False
