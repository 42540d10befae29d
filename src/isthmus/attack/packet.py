# SPDX-License-Identifier: MIT
"""Packet corruption and forgery: what the tag, the sequence and the filter hold."""

from __future__ import annotations

import random

from isthmus.attack import frames
from isthmus.attack.catalogue import ANYWHERE, Outcome, attack
from isthmus.attack.stage import CONTROL, HEAD, NORMAL, SECURE, VALID, Stage
from isthmus.model import crc32c

CRC, SIPHASH = 1, 2


@attack("pkt-43", "one to three flipped bits", "F", off={"tag": 0, "filtered": False}, tag=CRC)
def flipped_bits(s: Stage, dice: random.Random) -> Outcome:
    """In the payload of 100 frames."""

    def act() -> None:
        for _ in range(100):
            s.send()
            for bit in dice.sample(range(len(VALID) * 8), dice.randint(1, 3)):
                s.buffers[NORMAL][s.record() + 16 + bit // 8] ^= 1 << bit % 8

    return s.expect("TAG", act, once=False)


@attack("pkt-44", "truncated frame", machines=ANYWHERE, off="filter")
def truncated(s: Stage, dice: random.Random) -> Outcome:
    whole = frames.ipv4(17, frames.udp(7, bytes(400)))
    return s.expect("HEADER", lambda: s.send(whole[: dice.randrange(60, len(whole))]))


@attack("pkt-44a", "bytes behind the packet", machines=ANYWHERE, off="filter")
def padded(s: Stage, dice: random.Random) -> Outcome:
    return s.expect("HEADER", lambda: s.send(VALID + dice.randbytes(dice.randrange(1, 400))))


def forge(s: Stage, tag: bytes) -> None:
    """Changes the frame sent last, and its trailer."""
    at = s.record() + 16
    s.buffers[NORMAL][at + 50] ^= 0xFF
    trailer = at + (len(VALID) + 15) // 16 * 16
    s.buffers[NORMAL][trailer : trailer + 16] = list(tag)


def with_crc(s: Stage) -> bytes:
    """The trailer of CRC-32C over the frame sent last, changed as forge() does: no secret goes into it."""
    at = s.record() + 16
    body = bytearray(bytes(s.buffers[NORMAL])[at : at + len(VALID)])
    body[50] ^= 0xFF
    sequence = s.word(s.record() + 4)
    seal = b"".join(v.to_bytes(8, "little") for v in (s.epoch, sequence, len(VALID), 0))
    return crc32c(bytes(body) + seal).to_bytes(16, "little")


@attack("pkt-45", "forged frame, its CRC recomputed", "U", off={"tag": CRC}, tag=SIPHASH)
def forged(s: Stage, dice: random.Random) -> Outcome:
    """A keyed tag stands; a CRC, which is the control's policy, does not."""

    def act() -> None:
        s.send()
        forge(s, with_crc(s))

    return s.expect("TAG", act)


@attack("pkt-46", "replay", off="sequence")
def replay(s: Stage, dice: random.Random) -> Outcome:
    """The bytes of an earlier record at a later place."""

    def act() -> None:
        s.send()
        old = bytes(s.buffers[NORMAL])[s.record() : s.record() + 96]
        s.drain()
        s.send()
        at = s.record()
        s.buffers[NORMAL][at : at + 96] = list(old)

    return s.expect("REPLAY", act)


@attack("pkt-47", "reordering", off="sequence")
def reordered(s: Stage, dice: random.Random) -> Outcome:
    """Two records change places: the later one is taken, the earlier one is then a replay."""
    s.send()
    s.send()
    first, second = s.record(2), s.record(1)
    image = bytes(s.buffers[NORMAL])
    a, b = image[first : first + 96], image[second : second + 96]
    s.buffers[NORMAL][first : first + 96], s.buffers[NORMAL][second : second + 96] = list(b), list(a)
    before = s.counters()
    said = [v for v, _ in s.drain()]
    moved = {n: c - before[n] for n, c in s.counters().items() if c != before[n]}
    good = said == ["OK", "REPLAY", "EMPTY"] and s.recovers()
    return Outcome(good, ", ".join(said), moved)


@attack("pkt-49", "another's source MAC", machines=ANYWHERE, off="filter")
def spoofed_mac(s: Stage, dice: random.Random) -> Outcome:
    other = b"\x02" + dice.randbytes(5)
    return s.expect("SOURCE", lambda: s.send(frames.ipv4(17, frames.udp(7), sender=other)))


@attack("pkt-49a", "our own source MAC", machines=ANYWHERE, off="filter")
def our_mac(s: Stage, dice: random.Random) -> Outcome:
    return s.expect("SOURCE", lambda: s.send(frames.ipv4(17, frames.udp(7), sender=frames.OWN)))


@attack("pkt-49b", "ARP that claims another's address", machines=ANYWHERE, off="filter")
def spoofed_arp(s: Stage, dice: random.Random) -> Outcome:
    return s.expect("SOURCE", lambda: s.send(frames.arp(dice.choice(["10.77.0.2", "10.77.0.9"]))))


@attack("pkt-50", "another's IPv4 source", machines=ANYWHERE, off="filter")
def spoofed_ip(s: Stage, dice: random.Random) -> Outcome:
    source = f"{dice.choice(['10.77.0', '192.168.1', '127.0.0', '224.0.0'])}.{dice.randrange(3, 255)}"
    return s.expect("SOURCE", lambda: s.send(frames.ipv4(17, frames.udp(7), source)))


@attack("pkt-50a", "LAND: from our own address to ourselves", machines=ANYWHERE, off="filter")
def land(s: Stage, dice: random.Random) -> Outcome:
    return s.expect("SOURCE", lambda: s.send(frames.ipv4(6, frames.tcp(7, 2, source=7), "10.77.0.2")))


@attack("pkt-51", "ping of death", machines=ANYWHERE, off="filter")
def ping_of_death(s: Stage, dice: random.Random) -> Outcome:
    last = frames.ipv4(1, bytes(600), fragment=0x1FFF)
    return s.expect("FRAGMENT", lambda: s.send(last))


@attack("pkt-51a", "teardrop: fragments that overlap", machines=ANYWHERE, off="filter")
def teardrop(s: Stage, dice: random.Random) -> Outcome:
    def act() -> None:
        s.send(frames.ipv4(17, frames.udp(7, bytes(28)), fragment=0x2000))
        s.send(frames.ipv4(17, bytes(4), fragment=dice.randrange(1, 4)))

    return s.expect("FRAGMENT", act, once=False)


@attack("pkt-52", "Christmas tree and other illegal TCP flags", machines=ANYWHERE, off="filter")
def illegal_flags(s: Stage, dice: random.Random) -> Outcome:
    def act() -> None:
        for flags in (0x29, 0x3F, 0x00, 0x03, 0x06, 0x05, 0x01):
            s.send(frames.ipv4(6, frames.tcp(7, flags)))

    return s.expect("HEADER", act, once=False)


@attack("pkt-52a", "TCP options of length zero, or that run on", machines=ANYWHERE, off="filter")
def bad_options(s: Stage, dice: random.Random) -> Outcome:
    def act() -> None:
        for options in (b"\x02\0\0\0", b"\x02\x01\0\0", b"\x02\x05\0\0", b"\x01\x01\x01\x02"):
            s.send(frames.ipv4(6, frames.tcp(7, options=options)))

    return s.expect("HEADER", act, once=False)


@attack("pkt-53", "source routing", machines=ANYWHERE, off="filter")
def source_routing(s: Stage, dice: random.Random) -> Outcome:
    options = dice.choice([b"\x83", b"\x89"]) + b"\x07\x04\x0a\x4d\x00\x03\x00"
    return s.expect("IP_OPTIONS", lambda: s.send(frames.ipv4(17, frames.udp(7), options=options)))


@attack("pkt-53a", "VLAN hopping: unlisted and nested tags", machines=ANYWHERE, off="filter")
def vlan_hopping(s: Stage, dice: random.Random) -> Outcome:
    def act() -> None:
        for tag in (b"\x81\0\0\x05", b"\x88\xa8\0\x05", b"\x81\0\0\x01\x81\0\0\x05"):
            s.send(frames.ipv4(17, frames.udp(7), tag=tag))

    return s.expect("VLAN", act, once=False)


@attack("pkt-53b", "a service, protocol or EtherType that no rule names", machines=ANYWHERE, off="filter")
def unlisted(s: Stage, dice: random.Random) -> Outcome:
    def act() -> None:
        port = dice.randrange(100, 5000)
        for frame in (
            frames.ipv4(17, frames.udp(port)),
            frames.ipv4(6, frames.tcp(port, 2)),
            frames.ipv4(47, bytes(20)),
            frames.raw(b"\x60", 0x86DD),
            frames.ipv4(17, frames.udp(7), mac=b"\x02" + dice.randbytes(5)),
        ):
            s.send(frame)

    return s.expect("FILTER", act, once=False)


@attack("pkt-54", "lengths that underflow in IPv4, UDP, TCP and ICMP", machines=ANYWHERE, off="filter")
def underflow(s: Stage, dice: random.Random) -> Outcome:
    def act() -> None:
        for frame in (
            frames.ipv4(17, frames.udp(7), total=dice.randrange(20)),
            frames.ipv4(17, frames.udp(7), total=dice.randrange(200, 65536)),
            frames.ipv4(17, frames.udp(7, length=dice.randrange(8))),
            frames.ipv4(6, frames.tcp(7, offset=dice.randrange(5))),
            frames.ipv4(6, frames.tcp(7, offset=15)),
            frames.ipv4(1, b"\x08\0"),
        ):
            s.send(frame)

    return s.expect("HEADER", act, once=False)


@attack(
    "pkt-78",
    "checksum left out where no tag covers the frame",
    off="checksum only under a tag",
    offload=True,
)
def checksum_absent(s: Stage, dice: random.Random) -> Outcome:
    def act() -> None:
        s.send()
        s.poke(s.record() + 8, 1)
        s.poke(s.record() + 12, 6 << 16 | 34)

    return s.expect("OFFLOAD", act)


@attack(
    "pkt-79",
    "reflection of the Secure end's own frames",
    off={"tag": 0, "filtered": False},
    tag=SIPHASH,
)
def reflection(s: Stage, dice: random.Random) -> Outcome:
    def act() -> None:
        s.send()
        s.answer(VALID.replace(b"somebody", b"the last"))
        size = 112 if s.settings.tag else 96
        at = CONTROL + (s.word(HEAD, SECURE) - size) % s.settings.ring
        mine = bytes(s.buffers[SECURE])[at : at + size]
        to = s.record()
        sequence = s.word(to + 4)
        s.buffers[NORMAL][to : to + size] = list(mine)
        s.poke(to + 4, sequence)

    return s.expect("TAG", act)


@attack("pkt-80a", "segment not below the frame", off="segment size", offload=True, filtered=False)
def segment_too_large(s: Stage, dice: random.Random) -> Outcome:
    def act() -> None:
        s.send()
        s.poke(s.record() + 8, 4 | dice.randrange(len(VALID), 65536) << 16)

    return s.expect("OFFLOAD", act)


@attack("pkt-80", "segment size and header lengths that contradict the frame", off="filter", offload=True)
def bad_segments(s: Stage, dice: random.Random) -> Outcome:
    def act() -> None:
        segment = frames.ipv4(6, frames.tcp(7) + bytes(200))
        s.send(segment, (4, dice.randrange(200, 250), 0, 0))  # not below the payload
        s.send(VALID, (4, 20, 0, 0))  # no TCP
        s.send(segment, (8, 100, 0, 0))  # no IPv6

    return s.expect("OFFLOAD", act, once=False)
