# SPDX-License-Identifier: MIT
"""The frame pump alone: the test is its supervisor, its kernel and its peer.

this test --- datagram pair ---> pump <--- channel ---> Endpoint of this test
     '------ control socket -----'
"""

from __future__ import annotations

import json
import os
import socket
import struct
import subprocess
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import msgspec
import pytest

from host_tools import WORLDS, eventually, hear
from isthmus import _native
from isthmus.board import Board
from isthmus.build import build_program
from isthmus.config import ChannelConfig, Role, Tag
from isthmus.endpoint import Endpoint
from isthmus.errors import LinkDown
from isthmus.host import control
from isthmus.host.control import Message, State, Type
from isthmus.host.pump import frame_pump
from isthmus.resources import tree

VNET = bytes(10)  # no offload: flags, GSO type and four lengths of zero
KEY = (1, 2)


class Rig:
    """A pump, and everything around it."""

    def __init__(self, board: Board) -> None:
        config = board.config("normal")
        self.config = ChannelConfig(
            ring_normal=config["ring_normal"],
            ring_secure=config["ring_secure"],
            tag=Tag(config["tag"]),
            silence=config["silence"],
        )
        self.kernel, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.link, control_end = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        theirs.setblocking(False)
        self.link.settimeout(10)
        self.kernel.settimeout(10)
        env = {
            "ISTHMUS_CONTROL": str(control_end.fileno()),
            "ISTHMUS_CONFIG": " ".join(f"{k}={v}" for k, v in config.items()),
            "ISTHMUS_PACKET": str(theirs.fileno()),
        }
        with theirs, control_end:
            fds = (theirs.fileno(), control_end.fileno())
            self.process = subprocess.Popen(
                [frame_pump()], env=env, pass_fds=fds, stderr=subprocess.PIPE, text=True
            )
        hello, (self.buffer,) = self.hear(Type.HELLO)
        size = self.config.buffer_size(Role.SECURE)
        assert hello.value == self.config.buffer_size(Role.NORMAL)
        self.own = _native.Buffer.sealed(size)
        self.peer = _native.Buffer.foreign(self.buffer, hello.value)
        bell, self.their_bell = _native.bell()
        self.endpoint = Endpoint(self.config, Role.SECURE, self.own, self.peer, bell)

    def hear(self, kind: int) -> tuple[Message, list[int]]:
        return hear(self.link, kind)

    def attach(self, epoch: int) -> None:
        message = Message(Type.ATTACH, epoch=epoch, key=KEY)
        assert control.send(self.link, message, (self.own.fileno(), self.their_bell))
        assert self.hear(Type.ATTACHED)[0].epoch == epoch
        self.endpoint.begin(epoch, struct.pack("=QQ", *KEY))
        assert eventually(lambda: self.endpoint.poll() == State.RUN)
        while self.hear(Type.STATE)[0].value != State.RUN:
            pass

    def receive_anew(self) -> bytes:
        """The first frame of a new session. That the last one ended, an endpoint says once."""
        with pytest.raises(LinkDown):
            self.endpoint.receive(10)
        return self.endpoint.receive(10)

    def status(self) -> dict[str, object]:
        assert control.send(self.link, Message(Type.STATUS, value=7))
        reply, _ = self.hear(Type.STATUS_REPLY)
        assert reply.value == 7
        found: dict[str, object] = json.loads(reply.text)
        return found

    def packets(self) -> dict[str, int]:
        found = self.status()["packet"]
        assert isinstance(found, dict)
        return found

    def close(self) -> None:
        self.process.kill()
        self.process.communicate()
        self.endpoint.close()
        self.link.close()
        self.kernel.close()
        for fd in (self.buffer, self.their_bell):
            os.close(fd)


@pytest.fixture(params=["none", "siphash"])
def rig(request: pytest.FixtureRequest) -> Iterator[Rig]:
    board = Board()
    # This end looks when the test does: on a busy computer it would be taken for silent.
    found = Rig(replace_channel(board, tag=request.param, frame_max=1536, silence_ms=0))
    found.attach(0x1234)
    yield found
    found.close()


def replace_channel(board: Board, **changes: object) -> Board:
    return msgspec.structs.replace(board, channel=msgspec.structs.replace(board.channel, **changes))


def frame(n: int, size: int = 200) -> bytes:
    return bytes((n + i) & 0xFF for i in range(size))


def test_frames_both_ways(rig: Rig) -> None:
    for n, size in enumerate((60, 61, 1000, 1514, 1536)):
        rig.kernel.send(VNET + frame(n, size))
        assert rig.endpoint.receive(10) == frame(n, size)
        rig.endpoint.send(frame(n + 7, size))
        assert rig.kernel.recv(4096) == VNET + frame(n + 7, size)
    assert rig.packets() == {"read": 5, "written": 5, "dropped": 0, "malformed": 0}


def test_a_short_frame_is_padded_with_zeros(rig: Rig) -> None:
    rig.kernel.send(VNET + frame(1, 1000))
    assert rig.endpoint.receive(10)
    rig.kernel.send(VNET + b"\xff" * 20)
    assert rig.endpoint.receive(10) == b"\xff" * 20 + bytes(40)


NEEDS_CSUM, DATA_VALID, GSO_TCP4, GSO_UDP, GSO_TCP6, GSO_UDP_L4, ECN = 1, 2, 1, 3, 4, 5, 0x80


def vnet(flags: int, gso: int = 0, headers: int = 0, size: int = 0, start: int = 0, offset: int = 0) -> bytes:
    return struct.pack("<BBHHHH", flags, gso, headers, size, start, offset)


MALFORMED = {
    "no header": b"",
    "half a header": bytes(9),
    "a header and no frame": VNET,
    "a checksum in the Ethernet header": vnet(NEEDS_CSUM, start=13, offset=16) + frame(1),
    "a checksum behind the frame": vnet(NEEDS_CSUM, start=34, offset=165) + frame(1),
    "a checksum half behind the frame": vnet(NEEDS_CSUM, start=199, offset=0) + frame(1),
    "a sum that begins far behind the frame": vnet(NEEDS_CSUM, start=65535, offset=65535) + frame(1),
    "segments with a checksum each": vnet(0, GSO_TCP4, 54, 1000) + frame(1),
    "datagrams to be cut": vnet(NEEDS_CSUM, GSO_UDP, 42, 1000, 34, 6) + frame(1),
    "datagrams to be told apart": vnet(NEEDS_CSUM, GSO_UDP_L4, 42, 1000, 34, 6) + frame(1),
    "an unknown flag": vnet(0x80) + frame(1),
    "one byte beyond the frame limit": VNET + frame(1, 1537),
    "far beyond the frame limit": VNET + frame(1, 5000),
}


@pytest.mark.parametrize("name", MALFORMED)
def test_what_the_kernel_may_not_offer_is_counted_and_dropped(rig: Rig, name: str) -> None:
    rig.kernel.send(MALFORMED[name])
    rig.kernel.send(VNET + frame(9))
    assert rig.endpoint.receive(10) == frame(9)
    assert rig.packets() == {"read": 2, "written": 0, "dropped": 0, "malformed": 1}


def internet_sum(data: bytes) -> int:
    """RFC 1071, two bytes at a time."""
    total: int = sum(struct.unpack(f">{len(data) // 2}H", data[: len(data) & ~1])) + (data[-1] << 8) * (
        len(data) & 1
    )
    while total >> 16:
        total = (total & 0xFFFF) + (total >> 16)
    return total


@pytest.mark.parametrize("gso", [0, GSO_TCP4, GSO_TCP4 | ECN, GSO_TCP6])
@pytest.mark.parametrize("size", [60, 61, 67, 200, 1514, 1535])
def test_a_checksum_left_to_the_pump_is_filled_in(rig: Rig, size: int, gso: int) -> None:
    for start, offset in ((34, 16), (14, 2), (33, 6)):
        sent = frame(size, size)
        rig.kernel.send(vnet(NEEDS_CSUM, gso, 54, 1000, start, offset) + sent)
        got = rig.endpoint.receive(10)
        at = start + offset
        assert got[:at] + got[at + 2 :] == sent[:at] + sent[at + 2 :]
        wanted = 0xFFFF - internet_sum(
            sent[start:]
        )  # what the kernel put there counts: the pseudo-header's sum
        assert int.from_bytes(got[at : at + 2], "big") == (wanted or 0xFFFF)


def test_a_checksum_of_zero_is_written_as_all_ones(rig: Rig) -> None:
    """UDP takes zero for none."""
    sent = bytes(34) + b"\xff\xff" + bytes(64)
    rig.kernel.send(vnet(NEEDS_CSUM, start=34, offset=6) + sent)
    assert rig.endpoint.receive(10)[40:42] == b"\xff\xff"


def tcp(length: int, options: int = 0, ip_options: int = 0) -> bytearray:
    """An Ethernet frame of TCP over IPv4, `length` bytes in all."""
    ip = bytearray([0x45 + ip_options, 0, *(length - 14).to_bytes(2, "big"), 0, 0, 0x40, 0, 64, 6]) + bytes(
        10
    )
    head = bytes(12) + b"\x08\x00" + ip + bytes(4 * ip_options)
    head += bytes(12) + bytes([(5 + options) << 4]) + bytes(7 + 4 * options)
    return bytearray(head + bytes(n & 0xFF for n in range(length - len(head))))


def changed(at: int, value: int) -> bytearray:
    found = tcp(1536)
    found[at] = value
    return found


def test_tcp_beyond_the_mtu_is_described_as_segments(rig: Rig) -> None:
    for options, ip_options in ((0, 0), (3, 0), (10, 10)):
        sent = tcp(1536, options, ip_options)
        headers = 14 + 20 + 4 * ip_options + 20 + 4 * options
        rig.endpoint.send(sent)
        assert rig.kernel.recv(4096) == vnet(0, GSO_TCP4, headers, 1514 - headers) + sent


@pytest.mark.parametrize(
    "sent",
    [
        tcp(1514),
        changed(12, 0x86),
        changed(14, 0x65),
        changed(14, 0x44),
        changed(23, 17),
        changed(46, 0x40),
    ],
    ids=[
        "no longer than the MTU",
        "another EtherType",
        "IPv6",
        "a short IP header",
        "UDP",
        "a short TCP header",
    ],
)
def test_what_is_no_long_segment_is_handed_over_as_it_is(rig: Rig, sent: bytearray) -> None:
    rig.endpoint.send(sent)
    assert rig.kernel.recv(4096) == VNET + sent


def test_a_verified_checksum_is_no_offload(rig: Rig) -> None:
    rig.kernel.send(struct.pack("<BBHHHH", DATA_VALID, 0, 0, 0, 0, 0) + frame(3))
    assert rig.endpoint.receive(10) == frame(3)


def test_what_the_kernel_does_not_take_is_dropped_not_waited_for(rig: Rig) -> None:
    sent = 0
    while rig.packets()["dropped"] == 0:
        rig.endpoint.send(frame(sent), 10)
        sent += 1
        assert sent < 20000
    assert eventually(lambda: sum(rig.packets()[k] for k in ("written", "dropped")) == sent)
    rig.kernel.setblocking(False)
    got = 0
    with suppress(BlockingIOError):
        while rig.kernel.recv(4096):
            got += 1
    assert got == rig.packets()["written"]
    rig.kernel.setblocking(True)
    rig.kernel.settimeout(10)
    rig.endpoint.send(frame(77))
    assert rig.kernel.recv(4096) == VNET + frame(77)


def test_a_full_ring_stops_the_reading(rig: Rig) -> None:
    """Nobody takes frames at the other end: what does not fit the ring stays in the kernel."""
    rig.kernel.setblocking(False)
    sent = rounds = 0
    while rounds < 20:  # of the pump's, an answer each, in which it reads nothing though the kernel is full
        before = rig.packets()["read"]
        with suppress(BlockingIOError):
            while True:
                rig.kernel.send(VNET + frame(sent, 1500))
                sent += 1
        rounds = rounds + 1 if rig.packets()["read"] == before else 0
    assert rig.packets()["read"] < sent < 20000
    for n in range(sent):
        assert rig.endpoint.receive(10) == frame(n, 1500)
    counters = rig.status()["counters"]
    assert isinstance(counters, dict)
    assert counters["FULL"] == 0


def test_a_new_epoch_after_a_detach(rig: Rig) -> None:
    for epoch in (5, 6, 7):
        assert control.send(rig.link, Message(Type.DETACH))
        while rig.hear(Type.STATE)[0].value != State.RESET:
            pass
        rig.kernel.send(VNET + frame(epoch))  # while there is no link it waits in the kernel
        rig.attach(epoch)
        assert rig.receive_anew() == frame(epoch)
        assert rig.status()["epoch"] == epoch


def test_it_leaves_on_stop(rig: Rig) -> None:
    assert control.send(rig.link, Message(Type.STOP))
    assert rig.process.wait(10) == 0


def test_it_leaves_when_its_supervisor_is_gone(rig: Rig) -> None:
    rig.link.shutdown(socket.SHUT_RDWR)
    assert rig.process.wait(10) == 0


def test_a_foreign_buffer_is_refused(rig: Rig) -> None:
    """Not sealed, though of the right size: it could shrink under the pump, or be written by others."""
    fd = os.memfd_create("open", os.MFD_CLOEXEC)
    try:
        os.ftruncate(fd, rig.own.size)
        assert control.send(rig.link, Message(Type.ATTACH, epoch=9), (fd, rig.their_bell))
        assert rig.hear(Type.REFUSED)[0].epoch == 9
    finally:
        os.close(fd)
    rig.attach(10)
    rig.kernel.send(VNET + frame(1))
    assert rig.receive_anew() == frame(1)


@pytest.mark.parametrize(
    ("env", "said"),
    [
        ({}, "isthmus: this program is started by `isthmus run`"),
        (
            {"ISTHMUS_CONTROL": "77", "ISTHMUS_CONFIG": "mtu=1"},
            "isthmus: ISTHMUS_CONTROL names no open descriptor",
        ),
    ],
)
def test_started_by_hand_it_says_so(env: dict[str, str], said: str) -> None:
    done = subprocess.run([frame_pump()], env=env, capture_output=True, text=True, timeout=10, check=False)
    assert done.returncode == 2
    assert done.stderr.startswith(said)
    assert done.stderr.count("\n") == 1


def test_the_sandbox_refuses_what_an_attacker_wants(tmp_path: Path) -> None:
    own = tree() / "worlds" / "normal" / "host"
    probe = build_program(
        "sandbox-probe", [WORLDS / "sandbox_probe.c", own / "sandbox.c"], [own], ["-std=c11", "-O2"]
    )
    with (tmp_path / "file").open("w") as file:
        done = subprocess.run(
            [probe, str(file.fileno())], pass_fds=[file.fileno()], capture_output=True, text=True, check=False
        )
    assert (done.returncode, done.stdout) == (0, "")
