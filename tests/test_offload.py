# SPDX-License-Identifier: MIT
"""Checksums are left out while a tag covers the frame, and only then: the frame pump alone, the Secure world
alone, and both beneath an unsuspecting Linux."""

from __future__ import annotations

import random
import socket
import struct
import threading
from collections.abc import Iterator
from contextlib import ExitStack, suppress
from typing import Literal

import msgspec
import pytest

from isthmus.attack import frames
from isthmus.attack.lane import with_lane
from isthmus.attack.rig import LANE, LANE_RULES
from isthmus.board import Board, Channel, load
from isthmus.build import secure_world
from isthmus.host import HostMachine
from isthmus.host.pump import frame_pump
from isthmus.host.supervisor import words
from offload_peer import OFFLOAD, PARTIAL, Meta, Peer
from test_host_pump import GSO_TCP4, GSO_TCP6, NEEDS_CSUM, VNET, internet_sum, vnet
from test_host_secure import GOOD

TAGS = ["crc32c", "siphash"]
TCP, UDP = 6, 17
WHERE = {TCP: Meta(PARTIAL, 0, 34, 16), UDP: Meta(PARTIAL, 0, 34, 6)}
NONE, VOUCHED = Meta(), Meta(flags=2)  # IST_FLAG_CSUM_VALID


def board(tag: str) -> Board:
    """This end looks when the test does: on a busy computer it would be taken for silent."""
    return Board(channel=msgspec.structs.replace(Channel(), tag=tag, silence_ms=0))


def pseudo(frame: bytes) -> int:
    """The sum of the pseudo header of a frame of IPv4 without options."""
    length = int.from_bytes(frame[16:18], "big") - 20
    return internet_sum(frame[26:34] + struct.pack("!HH", frame[23], length))


def with_sum(frame: bytes, value: int | None = None) -> bytes:
    """The frame with this transport checksum; without one, with the right one."""
    at = 34 + WHERE[frame[23]].offset
    end = 14 + int.from_bytes(frame[16:18], "big")
    if value is None:
        blank = frame[:at] + b"\0\0" + frame[at + 2 :]
        value = 0xFFFF - internet_sum(struct.pack("!H", pseudo(frame)) + blank[34:end])
    return frame[:at] + struct.pack("!H", value) + frame[at + 2 :]


def sum_of(frame: bytes) -> int:
    at = 34 + WHERE[frame[23]].offset
    return int.from_bytes(frame[at : at + 2], "big")


def datagram(text: bytes, port: int = 7) -> bytes:
    return frames.ipv4(UDP, frames.udp(port, text))


def segment(size: int, **fields: object) -> bytes:
    body = frames.tcp(7) + bytes(n & 0xFF for n in range(size))
    return frames.ipv4(TCP, body, **fields)  # type: ignore[arg-type]


# ---- the frame pump ----------------------------------------------------------------------------------------


class Pump(Peer):
    def __init__(self, tag: str, offers: int = OFFLOAD) -> None:
        self.kernel, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_DGRAM)
        theirs.setblocking(False)
        self.kernel.settimeout(10)
        with theirs:
            environment = {"ISTHMUS_PACKET": str(theirs.fileno())}
            super().__init__(board(tag), frame_pump(), "normal", environment, offers)

    def close(self) -> None:
        super().close()
        self.kernel.close()

    def pass_in(self, header: bytes, frame: bytes) -> tuple[bytes, Meta]:
        """What comes out of the channel for what the kernel hands over."""
        self.kernel.send(header + frame)
        return self.wait()


@pytest.fixture(params=TAGS)
def pump(request: pytest.FixtureRequest) -> Iterator[Pump]:
    found = Pump(request.param)
    yield found
    found.close()


@pytest.fixture(params=["without a tag", "not offered"])
def whole_pump(request: pytest.FixtureRequest) -> Iterator[Pump]:
    found = Pump("none") if request.param == "without a tag" else Pump("crc32c", 0)
    yield found
    found.close()


def test_the_pump_leaves_out_what_the_kernel_did(pump: Pump) -> None:
    assert pump.agreed & OFFLOAD
    for frame in (datagram(b"x" * 100), segment(1000)):
        where = WHERE[frame[23]]
        header = vnet(NEEDS_CSUM, start=where.start, offset=where.offset)
        assert pump.pass_in(header, frame) == (frame, where)
        assert pump.pass_in(VNET, frame) == (frame, NONE)
    long = segment(30_000)
    assert pump.pass_in(vnet(NEEDS_CSUM, GSO_TCP4, 54, 1460, 34, 16), long) == (long, WHERE[TCP])


OTHERS = {
    "VLAN": (segment(100, tag=b"\x81\x00\x00\x05"), 38, 16),
    "IP options": (segment(100, options=bytes(4)), 38, 16),
    "IPv6": (segment(100).replace(b"\x08\x00", b"\x86\xdd", 1), 34, 16),
    "another field of TCP": (segment(100), 34, 18),
    "UDP's field in TCP": (segment(100), 34, 6),
    "another protocol": (frames.ipv4(132, bytes(100)), 34, 8),
}


@pytest.mark.parametrize("name", OTHERS)
def test_no_other_sum_is_left_out(pump: Pump, name: str) -> None:
    """The critical side's filter would refuse it."""
    frame, start, offset = OTHERS[name]
    at = start + offset
    right = 0xFFFF - internet_sum(frame[start:])
    for gso in (0, GSO_TCP6):
        header = vnet(NEEDS_CSUM, gso, 74 if gso else 0, 1400 if gso else 0, start, offset)
        expected = frame[:at] + struct.pack("!H", right) + frame[at + 2 :]
        assert pump.pass_in(header, frame) == (expected, NONE)


def test_where_it_may_not_be_left_out_the_pump_fills_it_in(whole_pump: Pump) -> None:
    assert not whole_pump.agreed & OFFLOAD
    for frame in (datagram(b"x" * 100), segment(1000), segment(30_000)):
        where = WHERE[frame[23]]
        header = vnet(NEEDS_CSUM, start=where.start, offset=where.offset)
        left = with_sum(frame, pseudo(frame))
        assert whole_pump.pass_in(header, left) == (with_sum(frame), NONE)
        whole_pump.send(frame)
        assert whole_pump.kernel.recv(1 << 17)[0] == 0


def test_the_kernel_is_told_what_the_peer_left_out(pump: Pump) -> None:
    for frame in (datagram(b"x" * 100), segment(1000)):
        where = WHERE[frame[23]]
        assert pump.send(frame, where) == "OK"
        assert pump.kernel.recv(4096) == vnet(NEEDS_CSUM, start=34, offset=where.offset) + frame
        assert pump.send(frame) == "OK"
        assert pump.kernel.recv(4096) == VNET + frame
    long = segment(30_000)
    assert pump.send(long, WHERE[TCP]) == "OK"
    assert pump.kernel.recv(1 << 17) == vnet(NEEDS_CSUM, GSO_TCP4, 54, 1460, 34, 16) + long


# ---- the Secure world --------------------------------------------------------------------------------------


class Secure(Peer):
    def __init__(self, tag: str, offers: int = OFFLOAD) -> None:
        b = board(tag)
        environment = {**GOOD, "ISTHMUS_FILTER": words(b.filter_table("in")), "ISTHMUS_FILTER_OUT": ""}
        super().__init__(b, secure_world(), "secure", environment, offers)
        assert self.send(frames.arp()) == "OK"  # whose sender it keeps in mind
        while self.wait()[0][12:22] != b"\x08\x06\0\1\x08\0\6\4\0\2":
            pass  # its announcement comes before its answer

    def answers(self, frame: bytes, meta: Meta | None = None) -> tuple[bytes, Meta] | None:
        """What it sends before it answers a ping that comes behind the frame: frames are taken in order."""
        assert self.send(frame, meta) == "OK"
        assert self.send(frames.ping(b"are you there?")) == "OK"
        first = self.wait()
        if first[0][23] == 1:
            return None
        assert self.wait()[0][23] == 1
        return first


@pytest.fixture(params=TAGS)
def secure(request: pytest.FixtureRequest) -> Iterator[Secure]:
    found = Secure(request.param)
    yield found
    found.close()


@pytest.fixture(params=["without a tag", "not offered"])
def whole_secure(request: pytest.FixtureRequest) -> Iterator[Secure]:
    found = Secure("none") if request.param == "without a tag" else Secure("crc32c", 0)
    yield found
    found.close()


def syn(port: int, source: int = 4000) -> bytes:
    return frames.ipv4(TCP, frames.tcp(port, 2, source=source))


def test_lwip_believes_the_tag_where_a_checksum_was_left_out(secure: Secure) -> None:
    for frame in (datagram(b"text"), syn(7, 5000)):
        assert secure.answers(with_sum(frame, pseudo(frame)), WHERE[frame[23]]) is not None
    for frame in (datagram(b"text"), syn(7, 5001)):
        assert secure.answers(with_sum(frame)) is not None


def test_lwip_verifies_every_checksum_that_is_there(secure: Secure) -> None:
    """Agreed or not, before and after frames without one."""
    for n in range(3):
        for frame in (datagram(b"text"), syn(7, 6000 + n)):
            wrong = with_sum(frame, pseudo(frame) ^ 0x5555)
            assert secure.answers(wrong) is None
            assert secure.answers(wrong, VOUCHED) is None
            assert secure.answers(with_sum(frame, 7), WHERE[frame[23]]) is not None


def test_lwip_leaves_out_the_same(secure: Secure) -> None:
    stray = frames.ipv4(TCP, frames.tcp(7, source=4001))
    for frame in (datagram(b"x"), datagram(b"x" * 1000), syn(7), stray):  # SYN with ACK, and RST
        found = secure.answers(with_sum(frame))
        assert found is not None
        answer, meta = found
        assert meta == WHERE[answer[23]] == WHERE[frame[23]]
        assert sum_of(answer) == pseudo(answer)


def test_a_spoilt_frame_is_the_tags(secure: Secure) -> None:
    for meta in (None, WHERE[UDP]):
        before = secure.counters()
        assert secure.send(with_sum(datagram(b"x" * 50)), meta, spoilt=True) == "OK"
        assert secure.answers(with_sum(datagram(b"y"))) is not None
        after = secure.counters()
        assert after["TAG"] == before["TAG"] + 1


def test_lwip_without_agreement(whole_secure: Secure) -> None:
    assert not whole_secure.agreed & OFFLOAD
    for frame in (datagram(b"x" * 100), syn(7)):
        found = whole_secure.answers(with_sum(frame))
        assert found is not None
        answer, meta = found
        assert meta == NONE
        assert sum_of(answer) == sum_of(with_sum(answer))
        assert whole_secure.send(frame, WHERE[frame[23]]) == "OFFLOAD"
        assert whole_secure.answers(with_sum(frame, pseudo(frame) ^ 0x5555)) is None


# ---- both, beneath Linux -----------------------------------------------------------------------------------

PACKET_AUXDATA, CSUM_NOT_READY = 8, 8  # TP_STATUS_CSUMNOTREADY: the kernel knows that the sum is not there


def left_out(tap: socket.socket) -> set[bool]:
    """Of the TCP and UDP frames that came in from the channel: was the checksum left out?"""
    found: set[bool] = set()
    tap.setblocking(False)
    while True:
        try:
            data, auxiliary, _, address = tap.recvmsg(1 << 17, 256)
        except BlockingIOError:
            return found
        if address[2] != socket.PACKET_OUTGOING and data[12:14] == b"\x08\x00" and data[23] in WHERE:
            found |= {bool(struct.unpack_from("=I", value)[0] & CSUM_NOT_READY) for *_, value in auxiliary}


@pytest.mark.host
@pytest.mark.needs("processes")
@pytest.mark.parametrize("tag", ["none", *TAGS])
def test_programs_see_nothing_of_it(tag: Literal["none", "crc32c", "siphash"], seed: int) -> None:
    sent = random.Random(seed).randbytes(1 << 20)
    with HostMachine(Board(channel=Channel(tag=tag))) as machine, ExitStack() as stack:
        tap = stack.enter_context(machine.socket(socket.AF_PACKET, socket.SOCK_RAW, 0x0300))
        tap.setsockopt(263, PACKET_AUXDATA, 1)
        udp = stack.enter_context(machine.socket(socket.AF_INET, socket.SOCK_DGRAM))
        udp.settimeout(20)
        udp.connect(("10.77.0.2", 7))
        for size in (0, 1, 17, 18, 1471, 1472):
            udp.send(sent[:size])
            assert udp.recv(2000) == sent[:size]
        with machine.socket(socket.AF_INET, socket.SOCK_STREAM) as tcp:
            tcp.settimeout(20)
            tcp.connect(("10.77.0.2", 7))
            writer = threading.Thread(target=tcp.sendall, args=(sent,))
            writer.start()
            received = b""
            while len(received) < len(sent):
                part = tcp.recv(1 << 16)
                assert part
                received += part
            writer.join()
        assert received == sent
        assert left_out(tap) == {tag != "none"}
        assert machine.status("secure")["agreed"] & OFFLOAD == (OFFLOAD if tag != "none" else 0)


@pytest.mark.host
@pytest.mark.needs("processes")
def test_every_lane_leaves_it_out() -> None:
    wanted = with_lane(load(changes=["channel.tag=crc32c"]), LANE, LANE_RULES)
    with HostMachine(wanted) as machine, ExitStack() as stack:
        tap = stack.enter_context(machine.socket(socket.AF_PACKET, socket.SOCK_RAW, 0x0300))
        tap.setsockopt(263, PACKET_AUXDATA, 1)
        udp = stack.enter_context(machine.socket(socket.AF_INET, socket.SOCK_DGRAM))
        udp.settimeout(2)
        for port in (7, 7700):  # the bulk lane; the other
            udp.connect(("10.77.0.2", port))
            for n in range(1, 11):  # the application answers one setpoint in a period
                udp.send(b"ISP1" + struct.pack("!II", n, 1 << 16))
                with suppress(TimeoutError):
                    assert udp.recv(100)
                    break
            assert left_out(tap) == {True}
