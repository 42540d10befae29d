# SPDX-License-Identifier: MIT
"""A channel's end in plain Python: the oracle that the C core is tested against.

Written from docs/SPEC.md and core/abi.h, byte for byte, so that a model and a native endpoint can face each
other over the same two buffers. Sans IO: buffers, time and epochs are arguments; it answers with verdicts.

    >>> from isthmus.config import ChannelConfig, Role
    >>> config = ChannelConfig()
    >>> normal, secure = pair(config)
    >>> normal.send(b"a frame".ljust(60)), secure.receive()[0]
    ('OK', 'OK')
"""

from __future__ import annotations

import struct
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

from isthmus.config import ChannelConfig, Role, Tag
from isthmus.stats import VERDICTS, LinkState

if TYPE_CHECKING:
    from typing_extensions import Buffer

__all__ = ["CONDITIONS", "STEPS", "Model", "crc32c", "digest", "pair", "record_size", "siphash"]

MAGIC, VERSION, ALIGN, HEADER, TRAILER, CONTROL = 0x4953, 1, 16, 16, 16, 0x200
FRAME_MIN = 60
STATE, REFUSAL, EPOCH, DIGEST, MTU, FEATURES, BEAT = 0x00, 0x04, 0x08, 0x10, 0x18, 0x1C, 0x20
HEAD, TAIL, WAKE_RX, WAKE_TX = 0x80, 0x100, 0x180, 0x184
ARMED = 1
NUMBERS = {name: number for number, name in enumerate(VERDICTS)}
M32, M64 = (1 << 32) - 1, (1 << 64) - 1


# ---- tags --------------------------------------------------------------------------------------------------


def crc32c(data: Buffer, crc: int = 0) -> int:
    """CRC-32C, bit by bit.

    >>> hex(crc32c(b"123456789"))
    '0xe3069283'
    """
    crc ^= M32
    for byte in memoryview(data).cast("B"):
        crc ^= byte
        for _ in range(8):
            crc = crc >> 1 ^ (0x82F63B78 if crc & 1 else 0)
    return crc ^ M32


def siphash(key: bytes, data: bytes) -> bytes:
    """SipHash-2-4 with 16 bytes of output.

    >>> siphash(bytes(range(16)), b"").hex()
    'a3817f04ba25a8e66df67214c7550293'
    """
    k0, k1 = struct.unpack("<2Q", key)
    start = struct.unpack(">4Q", b"somepseudorandomlygeneratedbytes")
    v = [k ^ s for k, s in zip((k0, k1, k0, k1), start, strict=True)]
    v[1] ^= 0xEE

    def rounds(n: int) -> None:
        def turn(x: int, bits: int) -> int:
            return (x << bits | x >> 64 - bits) & M64

        a, b, c, d = v
        for _ in range(n):
            a, c = a + b & M64, c + d & M64
            b, d = turn(b, 13) ^ a, turn(d, 16) ^ c
            a = turn(a, 32)
            c, a = c + b & M64, a + d & M64
            b, d = turn(b, 17) ^ c, turn(d, 21) ^ a
            c = turn(c, 32)
        v[:] = a, b, c, d

    padded = data + bytes(7 - len(data) % 8) + bytes([len(data) & 255])
    for (word,) in struct.iter_unpack("<Q", padded):
        v[3] ^= word
        rounds(2)
        v[0] ^= word
    v[2] ^= 0xEE
    rounds(4)
    low = v[0] ^ v[1] ^ v[2] ^ v[3]
    v[1] ^= 0xDD
    rounds(4)
    return struct.pack("<2Q", low, v[0] ^ v[1] ^ v[2] ^ v[3])


def digest(config: ChannelConfig) -> int:
    """Fingerprint of the geometry, as the control block carries it."""
    c = config
    words = (VERSION, c.ring_normal, c.ring_secure, c.frame_max, c.tag, c.first_cursor, c.first_sequence)
    return int.from_bytes(siphash(bytes(16), struct.pack("<7Q", *words))[:8], "little")


def record_size(length: int, tag: Tag) -> int:
    """Bytes that a frame takes in the ring."""
    return HEADER + -(-length // ALIGN) * ALIGN + (TRAILER if tag else 0)


# ---- the session: what one look at the peer leads to -------------------------------------------------------

CONDITIONS = ("absent", "unfit", "init", "ready", "run", "dead", "garbled")

_R, _I, _Y, _U, _D = LinkState
#: (own state, what the peer shows) -> (next state, reason). A pair that is missing changes nothing.
STEPS: dict[tuple[LinkState, str], tuple[LinkState, str]] = {
    (_I, "init"): (_Y, ""),
    (_I, "ready"): (_Y, ""),
    (_I, "dead"): (_I, "PEER_DEAD"),
    (_Y, "absent"): (_R, "PEER_LEFT"),
    (_Y, "ready"): (_U, ""),
    (_Y, "run"): (_U, ""),
    (_Y, "dead"): (_R, "PEER_DEAD"),
    (_Y, "garbled"): (_D, "STATE_WORD"),
    (_U, "absent"): (_R, "PEER_LEFT"),
    (_U, "init"): (_R, "PEER_LEFT"),
    (_U, "dead"): (_R, "PEER_DEAD"),
    (_U, "garbled"): (_D, "STATE_WORD"),
}


@dataclass(slots=True)
class _Record:
    """A record that the guard let through, up to its tag."""

    at: int
    length: int
    size: int
    gap: int


class Model:
    """One end. `own` is written, `peer` only read; both are the size of the buffers."""

    def __init__(self, config: ChannelConfig, role: Role, own: Buffer, peer: Buffer) -> None:
        self.config = config
        self.role = role
        self.own = memoryview(own).cast("B")
        self.peer = memoryview(peer).cast("B").toreadonly()
        self.rings = (config.ring_normal, config.ring_secure)
        self.state = LinkState.RESET
        self.reason = ""
        self.epoch = 0
        self.key = bytes(16)
        self.counts: Counter[str] = Counter()
        self.bells = 0  # times that the peer is to be rung
        self.beat = self.peer_beat = self.quiet = self.looked = 0
        self.sent = self.sent_bytes = self.received_bytes = self.lost = 0
        self.due = 0
        self._rewind()
        self._publish_state()

    # ---- words

    def _put(self, offset: int, value: int) -> None:
        struct.pack_into("<I", self.own, offset, value & M32)

    def _get(self, offset: int) -> int:
        value: int = struct.unpack_from("<I", self.peer, offset)[0]
        return value

    def _publish_state(self) -> None:
        self._put(STATE, MAGIC << 16 | VERSION << 8 | self.role << 4 | self.state)

    def _rewind(self) -> None:
        first = self.config.first_cursor
        self.head = self.published = self.peer_tail = first
        self.tail = self.released = self.peer_head = first
        self.sequence = self.expected = self.config.first_sequence
        self.slack = self._capacity()
        self.hand: _Record | None = None

    def _capacity(self) -> int:
        """Frames that the peer's ring can hold."""
        return self.rings[self.role.peer] // record_size(FRAME_MIN, Tag.NONE)

    # ---- session

    def begin(self, epoch: int, key: bytes = bytes(16), now: int = 0) -> None:
        """Enters an epoch."""
        self.state, self.reason = LinkState.RESET, ""
        self._publish_state()
        self._rewind()
        self.epoch, self.key, self.due = epoch, key, now
        self.quiet, self.looked = 0, now
        for offset, value in ((HEAD, self.head), (TAIL, self.tail), (WAKE_RX, 0), (WAKE_TX, 0), (REFUSAL, 0)):
            self._put(offset, value)
        fingerprint = digest(self.config)
        for offset, wide in ((EPOCH, epoch), (DIGEST, fingerprint)):
            self._put(offset, wide)
            self._put(offset + 4, wide >> 32)
        self._put(MTU, self.config.mtu)
        self._put(FEATURES, self.config.features | self.config.required << 16)
        self.state = LinkState.INIT
        self._publish_state()

    def end(self, reason: str = "PEER_LEFT") -> None:
        """Leaves it."""
        if self.state not in (LinkState.RESET, LinkState.DEAD):
            self._leave(LinkState.RESET, reason)

    def _leave(self, state: LinkState, reason: str) -> None:
        self._note(reason)
        self.state = state
        self._publish_state()

    def _note(self, reason: str) -> None:
        """Why the link is not, or no longer, up: for us, for the counters, and for the peer to read."""
        self.reason = reason
        self.counts[reason] += reason != ""
        self._put(REFUSAL, NUMBERS[reason or "OK"])

    def _identity(self) -> str:
        """Why the peer that shows itself does not fit, or ''."""
        fingerprint = digest(self.config)
        if self._get(EPOCH) | self._get(EPOCH + 4) << 32 != self.epoch:
            return "PEER_EPOCH"
        if self._get(DIGEST) | self._get(DIGEST + 4) << 32 != fingerprint:
            return "PEER_GEOMETRY"
        if self._get(MTU) != self.config.mtu:
            return "PEER_MTU"
        features = self._get(FEATURES)
        if self.config.required & ~features or features >> 16 & ~self.config.features:
            return "PEER_FEATURES"
        return ""

    def look(self) -> tuple[str, str]:
        """What the peer shows, one of CONDITIONS, and the refusal that goes with it."""
        word = self._get(STATE)
        starting = self.state is LinkState.INIT
        if starting and word == 0:
            return "absent", ""
        if word >> 16 != MAGIC:
            return "garbled", "PEER_MAGIC"
        if word >> 8 & 255 != VERSION:
            return "garbled", "PEER_VERSION"
        if word >> 4 & 15 != self.role.peer:
            return "garbled", "PEER_ROLE"
        if word & 15 > LinkState.DEAD:
            return "garbled", "STATE_WORD"
        state = LinkState(word & 15)
        if starting and state is not LinkState.RESET and (refusal := self._identity()):
            return "unfit", refusal
        return ("absent", "init", "ready", "run", "dead")[state], ""

    def poll(self, now: int = 0) -> LinkState:
        """One step of handshake and heartbeat."""
        if self.state in (LinkState.RESET, LinkState.DEAD):
            return self.state
        self.beat += 1
        self._put(BEAT, self.beat)
        condition, refusal = self.look()
        following, reason = STEPS.get((self.state, condition), (self.state, ""))
        if self.state is LinkState.INIT:
            reason = reason or refusal
            if reason != self.reason:
                self._note(reason)
        elif reason:
            self._leave(following, reason)
            return self.state
        else:
            beat = self._get(BEAT)
            self.quiet += min(now - self.looked, self.config.silence // 4)
            self.looked = now
            if beat != self.peer_beat:
                self.peer_beat, self.quiet = beat, 0
            if self.quiet > self.config.silence:
                self._leave(LinkState.RESET, "PEER_SILENT")
                return self.state
        if following is not self.state:
            self.state, self.quiet, self.looked = following, 0, now
            self._publish_state()
        return self.state

    def _violation(self, why: str) -> str:
        word = self._get(STATE)
        if word >> 4 == MAGIC << 12 | VERSION << 4 | self.role.peer and word & 15 < LinkState.READY:
            self._leave(LinkState.RESET, "PEER_LEFT")
        else:
            self._leave(LinkState.DEAD, why)
        return why

    # ---- send

    def _free(self) -> int:
        return self.rings[self.role] - (self.head - self.peer_tail & M32)

    def _refresh_tail(self) -> bool:
        tail = self._get(TAIL)
        if tail % ALIGN:
            self._violation("TAIL_ALIGN")
        elif tail - self.peer_tail & M32 > self.published - self.peer_tail & M32:
            self._violation("TAIL_RANGE")
        else:
            self.peer_tail = tail
            return True
        return False

    def has_room(self, length: int) -> bool:
        """Whether a frame fits now. Looks at the peer's tail only where it seems not to."""
        size = record_size(max(length, FRAME_MIN), self.config.tag)
        return size <= self._free() or (self._refresh_tail() and size <= self._free())

    def send(self, frame: bytes, *, publish: bool = True) -> str:
        """Commits one frame, and publishes it."""
        if self.state is not LinkState.RUN:
            return "DOWN"
        if len(frame) > self.config.frame_max:
            return "TOO_LONG"
        padded = frame.ljust(FRAME_MIN, b"\0")
        size = record_size(len(padded), self.config.tag)
        if not self.has_room(len(frame)):
            return "FULL" if self.state is LinkState.RUN else "DOWN"
        at = CONTROL + self.head % self.rings[self.role]
        struct.pack_into("<4I", self.own, at, len(padded), self.sequence & M32, 0, 0)
        body = -(-len(padded) // ALIGN) * ALIGN
        self.own[at + HEADER : at + HEADER + body] = padded.ljust(body, b"\0")
        if self.config.tag:
            trailer = self._tag(self.role, self.sequence, padded)
            self.own[at + HEADER + body : at + size] = trailer
        self.head = self.head + size & M32
        self.sequence = self.sequence + 1 & M64
        self.sent += 1
        self.sent_bytes += len(padded)
        if publish:
            self.publish()
        return "OK"

    def cancel(self, length: int) -> None:
        """Gives up a reservation of `length` bytes: what was written in place is wiped."""
        at = CONTROL + self.head % self.rings[self.role] + HEADER
        self.own[at : at + max(length, FRAME_MIN)] = bytes(max(length, FRAME_MIN))

    def publish(self) -> bool:
        """Shows the peer what was committed. True: ring it."""
        before, self.published = self.published, self.head
        if before == self.head:
            return False
        self._put(HEAD, self.head)
        return self._wanted(WAKE_RX, before, self.head)

    def _wanted(self, offset: int, before: int, after: int) -> bool:
        wake = self._get(offset)
        wanted = bool(wake & ARMED) and after - (wake & ~(ALIGN - 1)) - 1 & M32 < after - before & M32
        self.bells += wanted
        return wanted

    def _tag(self, sender: Role, sequence: int, payload: bytes) -> bytes:
        seal = struct.pack("<4Q", self.epoch, sequence & M64, sender << 32 | len(payload), 0)
        if self.config.tag is Tag.CRC32C:
            return crc32c(payload + seal).to_bytes(16, "little")
        return siphash(self.key, payload + seal)

    # ---- receive

    def peek(self, now: int = 0) -> tuple[str, int]:
        """The next verdict; with OK, the length of a frame that is now in hand."""
        if self.hand:
            return "OK", self.hand.length
        if self.state is not LinkState.RUN:
            return "DOWN", 0
        if self.peer_head == self.tail:
            if verdict := self._refresh_head():
                return verdict, 0
            if self.peer_head == self.tail:
                self.release()
                return "EMPTY", 0
        if self.config.budget_interval and not self._afford(now):
            return self._count("BUDGET"), 0
        verdict, self.hand = self._judge()
        return (verdict, self.hand.length) if self.hand else (self._count(verdict), 0)

    def take(self) -> tuple[str, bytes]:
        """Copies the frame in hand, then checks the copy."""
        record, self.hand = self.hand, None
        if record is None:
            return "MISUSE", b""
        start = record.at + HEADER
        payload = bytes(self.peer[start : start + record.length])
        if self.config.tag:
            end = record.at + record.size
            expected = self._tag(self.role.peer, self.expected + record.gap, payload)
            if bytes(self.peer[end - TRAILER : end]) != expected:
                self._refuse(record.size)
                return self._count("TAG"), b""
        self.lost += record.gap
        self.expected = self.expected + record.gap + 1 & M64
        self.slack = self._capacity()
        self.received_bytes += record.length
        self._consume(record.size)
        return self._count("OK"), payload

    def receive(self, now: int = 0) -> tuple[str, bytes]:
        """Both in one: the next verdict; with OK, its frame."""
        verdict, _ = self.peek(now)
        return self.take() if verdict == "OK" else (verdict, b"")

    def drain(self, now: int = 0) -> Iterator[bytes]:
        """Every frame that is there and good."""
        while (verdict := self.receive(now))[0] not in ("EMPTY", "DOWN", "BUDGET"):
            if verdict[0] == "OK":
                yield verdict[1]

    def _refresh_head(self) -> str:
        head = self._get(HEAD)
        ring = self.rings[self.role.peer]
        if head % ALIGN:
            return self._violation("HEAD_ALIGN")
        if head - self.peer_head & M32 > ring - (self.peer_head - self.tail & M32):
            return self._violation("HEAD_RANGE")
        self.peer_head = head
        return ""

    def _judge(self) -> tuple[str, _Record | None]:
        config = self.config
        available = self.peer_head - self.tail & M32
        at = CONTROL + self.tail % self.rings[self.role.peer]
        length, low, flags, csum = struct.unpack_from("<4I", self.peer, at)
        why = ""
        if length < FRAME_MIN:
            why = "LENGTH_SHORT"
        elif length > config.frame_max:
            why = "LENGTH_LONG"
        elif record_size(length, config.tag) > available:
            why = "LENGTH_OVERRUN"
        if why:  # such a record cannot be stepped over: skip all that is published
            self.slack += available // record_size(FRAME_MIN, Tag.NONE)
            self._refuse(available)
            return why, None
        size = record_size(length, config.tag)
        gap = low - self.expected & M32
        if flags & 0xFFF0:
            why = "FLAGS"
        elif flags or csum:
            why = "OFFLOAD"  # never agreed on here
        elif gap > self.slack:
            why = "REPLAY" if gap >> 31 else "GAP"
        if why:
            self._refuse(size)
            return why, None
        return "OK", _Record(at, length, size, gap)

    def _afford(self, now: int) -> bool:
        ahead = max(0, self.due - now)
        if ahead > self.config.budget_tolerance:
            return False
        self.due = now + ahead + self.config.budget_interval
        return True

    def _count(self, verdict: str) -> str:
        self.counts[verdict] += 1
        return verdict

    def _refuse(self, size: int) -> None:
        self.slack += 1
        self._consume(size)

    def _consume(self, size: int) -> None:
        self.tail = self.tail + size & M32
        if self.tail - self.released & M32 >= self.rings[self.role.peer] // 4:
            self.release()

    def release(self) -> bool:
        """Tells the peer what was consumed. True: ring it."""
        before, self.released = self.released, self.tail
        if before == self.tail:
            return False
        self._put(TAIL, self.tail)
        return self._wanted(WAKE_TX, before, self.tail)

    def arm(self) -> bool:
        """Asks for a doorbell at the next frame. True: work is pending already."""
        self.release()
        self._put(WAKE_RX, self.tail | ARMED)
        return self.state is not LinkState.RUN or self._get(HEAD) != self.tail


def pair(config: ChannelConfig, epoch: int = 1, key: bytes = bytes(16)) -> tuple[Model, Model]:
    """Two models that face each other, in RUN: (normal, secure)."""
    buffers = [bytearray(config.buffer_size(role)) for role in Role]
    normal, secure = (Model(config, role, buffers[role], buffers[role.peer]) for role in Role)
    for model in (normal, secure):
        model.begin(epoch, key)
    for _ in range(3):
        for model in (normal, secure):
            model.poll()
    return normal, secure
