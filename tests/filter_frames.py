# SPDX-License-Identifier: MIT
"""Frames with what the filter is to say to each, and the program that asks core/filter.c."""

from __future__ import annotations

import struct
import subprocess
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from isthmus.attack.frames import OWN, PEER, arp, ipv4, ipv6, neighbour, tcp, udp
from isthmus.filter import Ends, Rule
from isthmus.filter.oracle import Meta

ENDS = Ends(
    "02:49:53:00:00:02", "10.77.0.2/24", "02:49:53:00:00:01", "10.77.0.1/24", "fd77::2/64", "fd77::1/64"
)
Case = tuple[bytes, Meta, int]


def verdicts(program: Path, table: Sequence[int], cases: Sequence[Case]) -> list[str]:
    """What the compiled filter says: to the table first, then to each case."""
    text = [struct.pack(f"<I{len(table)}Q", len(table), *table)]
    for frame, m, now in cases:
        head = struct.pack("<I4HxxxxQ", len(frame), m.flags, m.segment, m.start, m.offset, now)
        text += [head, frame]
    try:
        done = subprocess.run([program], input=b"".join(text), capture_output=True, check=False, timeout=120)
    except subprocess.TimeoutExpired:
        pytest.fail(f"{program}: still running after 120 s", pytrace=False)
    assert done.returncode == 0, done.stderr.decode()
    return done.stdout.decode().split()


# ---- ARP, IPv4 and the rest: to the default policy ---------------------------------------------------------

SAMPLES = {
    "a datagram to a service": (ipv4(17, udp(7, b"hello")), "OK"),
    "a datagram to a port that nobody listens on": (ipv4(17, udp(9)), "FILTER"),
    "a segment": (ipv4(6, tcp(80, options=bytes.fromhex("0101080a0000000100000002"))), "OK"),
    "an echo request": (ipv4(1, b"\x08\0\0\0\0\x01\0\x01"), "OK"),
    "an echo reply": (ipv4(1, b"\0\0\0\0\0\x01\0\x01"), "FILTER"),
    "an ARP request": (arp(), "OK"),
    "an ARP reply": (arp(operation=2), "OK"),
    "a gratuitous ARP for our address": (arp("10.77.0.2"), "SOURCE"),
    "an ARP whose sender is not the frame's": (arp(claim=OWN), "SOURCE"),
    "an ARP that asks backwards": (arp(operation=3), "HEADER"),
    "a raw frame": ((OWN + PEER + b"\x88\xb5").ljust(60, b"\0"), "OK"),
    "IPv6": (ipv6(17, udp(7, b"hello")), "FILTER"),
    "from another's MAC": (ipv4(17, udp(7), sender=b"\x02abcde"), "SOURCE"),
    "from our own MAC": (ipv4(17, udp(7), sender=OWN), "SOURCE"),
    "to another's MAC": (ipv4(17, udp(7), mac=b"\x02abcde"), "FILTER"),
    "LAND": (ipv4(6, tcp(7, 2), source="10.77.0.2"), "SOURCE"),
    "from another's address": (ipv4(17, udp(7), source="10.77.0.3"), "SOURCE"),
    "from loopback": (ipv4(17, udp(7), source="127.0.0.1"), "SOURCE"),
    "from a group": (ipv4(17, udp(7), source="224.0.0.1"), "SOURCE"),
    "to another's address": (ipv4(17, udp(7), target="10.77.0.3"), "FILTER"),
    "a first fragment": (ipv4(17, udp(7), fragment=0x2000), "FRAGMENT"),
    "a last fragment: ping of death": (ipv4(1, bytes(80), fragment=0x1FFF), "FRAGMENT"),
    "teardrop": (ipv4(17, udp(7, bytes(20)), fragment=0x0003), "FRAGMENT"),
    "the reserved bit": (ipv4(17, udp(7), fragment=0x8000), "HEADER"),
    "do not fragment": (ipv4(17, udp(7), fragment=0x4000), "OK"),
    "loose source routing": (ipv4(17, udp(7), options=b"\x83\x07\x04\x0a\x4d\x00\x03\x00"), "IP_OPTIONS"),
    "record route": (ipv4(17, udp(7), options=b"\x07\x03\x04\x00"), "IP_OPTIONS"),
    "version 6 in an IPv4 frame": (ipv4(17, udp(7), version=6), "HEADER"),
    "total length beyond the frame": (ipv4(17, udp(7), total=1500), "HEADER"),
    "total length below the header": (ipv4(17, udp(7), total=19), "HEADER"),
    "a header length below the smallest": (
        (lambda f: f[:14] + b"\x44" + f[15:])(ipv4(17, udp(7))), "HEADER",
    ),
    "a header and nothing behind it": (ipv4(99, b"")[:34], "FILTER"),
    "bytes behind the packet": (ipv4(17, udp(7, bytes(50))) + bytes(8), "HEADER"),
    "UDP length underflow": (ipv4(17, udp(7, b"hello", length=4)), "HEADER"),
    "UDP length beyond the packet": (ipv4(17, udp(7, b"hello", length=400)), "HEADER"),
    "ICMP cut short": (ipv4(1, b"\x08\0\0"), "HEADER"),
    "TCP cut short": (ipv4(6, tcp(7)[:12]), "HEADER"),
    "TCP cut short, and the frame with it": (ipv4(6, tcp(7)[:12])[:46], "HEADER"),
    "UDP cut short, and the frame with it": (ipv4(17, udp(7)[:4])[:38], "HEADER"),
    "ICMP cut short, and the frame with it": (ipv4(1, b"\x08")[:35], "HEADER"),
    "TCP header beyond the packet": (ipv4(6, tcp(7, offset=15)), "HEADER"),
    "TCP header too short": (ipv4(6, tcp(7, offset=4)), "HEADER"),
    "Christmas tree": (ipv4(6, tcp(7, 0x29)), "HEADER"),
    "all flags": (ipv4(6, tcp(7, 0x3F)), "HEADER"),
    "no flags": (ipv4(6, tcp(7, 0)), "HEADER"),
    "SYN and FIN": (ipv4(6, tcp(7, 3)), "HEADER"),
    "SYN and RST": (ipv4(6, tcp(7, 6)), "HEADER"),
    "a SYN": (ipv4(6, tcp(7, 2, bytes.fromhex("020405b4"))), "OK"),
    "a reset": (ipv4(6, tcp(7, 4)), "OK"),
    "a zero-length option": (ipv4(6, tcp(7, options=b"\x02\0\0\0")), "HEADER"),
    "an option of length one": (ipv4(6, tcp(7, options=b"\x02\x01\x01\0")), "HEADER"),
    "an option of two bytes": (ipv4(6, tcp(7, options=b"\x04\x02\x01\x01")), "OK"),
    "an option of two bytes, the last": (ipv4(6, tcp(7, options=b"\x01\x01\x04\x02")), "OK"),
    "an option that runs on": (ipv4(6, tcp(7, options=b"\x02\x05\0\0")), "HEADER"),
    "an option cut short": (ipv4(6, tcp(7, options=b"\x01\x01\x01\x02")), "HEADER"),
    "an option cut short, and the frame with it": (ipv4(6, tcp(7, options=bytes([1] * 11 + [2]))), "HEADER"),
    "a VLAN that no rule names": (ipv4(17, udp(7), tag=b"\x81\0\0\x05"), "VLAN"),
    "a priority tag": (ipv4(17, udp(7), tag=b"\x81\0\xe0\0"), "VLAN"),
    "a service tag": (ipv4(17, udp(7), tag=b"\x88\xa8\0\x05"), "VLAN"),
    "neighbour discovery over IPv4": (
        ipv4(58, neighbour(136, "::10.77.0.1"), tag=b"\x81\0\0\x05"), "VLAN",
    ),
    "shorter than a tagged header": (OWN + PEER + b"\x08\x00", "HEADER"),
}  # fmt: skip


TCP_AT = 34


OFFLOADS = [
    (ipv4(6, tcp(7)), Meta(1, 0, TCP_AT, 16), "OK"),
    (ipv4(6, tcp(7)), Meta(1, 0, TCP_AT - 20, 16), "OFFLOAD"),  # the IPv4 header's own
    (ipv4(6, tcp(7)), Meta(1, 0, TCP_AT, 6), "OFFLOAD"),  # where UDP has it
    (ipv4(17, udp(7)), Meta(1, 0, TCP_AT, 6), "OK"),
    (ipv4(1, b"\x08" + bytes(7)), Meta(1, 0, TCP_AT, 2), "OFFLOAD"),
    (ipv4(1, b"\x08" + bytes(7)), Meta(1, 0, TCP_AT, 0), "OFFLOAD"),
    (ipv4(1, b"\x08" + bytes(7)), Meta(1, 0, TCP_AT, 6), "OFFLOAD"),  # where UDP has it
    (ipv4(6, tcp(7) + bytes(500)), Meta(4, 100), "OK"),
    (ipv4(6, tcp(7) + bytes(500)), Meta(4, 500), "OFFLOAD"),
    (ipv4(17, udp(7, bytes(500))), Meta(4, 100), "OFFLOAD"),
    (ipv4(6, tcp(7) + bytes(500)), Meta(8, 100), "OFFLOAD"),
    (SAMPLES["a raw frame"][0], Meta(4, 10), "OFFLOAD"),
    (SAMPLES["a raw frame"][0], Meta(1, 0, 6, 16), "OFFLOAD"),  # whatever lay on the stack before
]


# ---- IPv6: to these rules ----------------------------------------------------------------------------------

ALL_NODES, SOLICITED = "ff02::1", "ff02::1:ff00:2"
SIX = (
    Rule("echo", "ipv6", protocol="udp", port=7),
    Rule("web", "ipv6", protocol="tcp", port=80),
    Rule("ping", "ipv6", protocol="icmpv6", icmp=128),
    Rule("solicitation", "ipv6", protocol="icmpv6", icmp=135),
    Rule("solicitation-of-us", "ipv6", protocol="icmpv6", icmp=135, group=SOLICITED),
    Rule("advertisement", "ipv6", protocol="icmpv6", icmp=136),
    Rule("tagged", "ipv6", vlan=5),
)
OWN_MADE, PEER_MADE = "49:53ff:fe00:2", "49:53ff:fe00:1"  # of their MAC addresses
SOLICITED_MAC = bytes.fromhex("3333ff000002")
HEADER_ALONE = ipv6(17, b"")


def ping6(**fields: Any) -> bytes:
    return ipv6(58, b"\x80" + bytes(7), **fields)


SIX_SAMPLES = {
    "a datagram to a service": (ipv6(17, udp(7, b"hello")), "OK"),
    "a datagram to a port that nobody listens on": (ipv6(17, udp(9)), "FILTER"),
    "a segment": (ipv6(6, tcp(80)), "OK"),
    "a segment with options": (ipv6(6, tcp(80, options=bytes.fromhex("0101080a0000000100000002"))), "OK"),
    "an echo request": (ping6(), "OK"),
    "an echo reply": (ipv6(58, b"\x81" + bytes(7)), "FILTER"),
    "ICMP of IPv4": (ipv6(1, b"\x80" + bytes(7)), "FILTER"),
    "a redirect": (ipv6(58, b"\x89" + bytes(39)), "FILTER"),
    "a router's advertisement": (
        ipv6(58, b"\x86" + bytes(15), target=ALL_NODES, mac=b"\x33\x33\0\0\0\1"), "FILTER",
    ),
    "anything, tagged": (ipv6(17, udp(9), tag=b"\x81\0\0\5"), "OK"),
    "tagged, and no protocol that is judged": (ipv6(51, bytes(24), tag=b"\x81\0\0\5"), "FILTER"),
    # Addresses.
    "from its link-local address": (ping6(source="fe80::1"), "OK"),
    "from what its MAC makes": (ping6(source=f"fd77::{PEER_MADE}"), "OK"),
    "from what its MAC makes, link-local": (ping6(source=f"fe80::{PEER_MADE}"), "OK"),
    "from the unspecified address": (ping6(source="::"), "SOURCE"),
    "from loopback": (ping6(source="::1"), "SOURCE"),
    "from a group": (ping6(source="ff02::1"), "SOURCE"),
    "from an IPv4 address": (ping6(source="::ffff:10.77.0.1"), "SOURCE"),
    "from another's address": (ping6(source="fd77::3"), "SOURCE"),
    "from another network": (ping6(source="fd78::1"), "SOURCE"),
    "LAND": (ping6(source="fd77::2"), "SOURCE"),
    "LAND, link-local": (ping6(source=f"fe80::{OWN_MADE}"), "SOURCE"),
    "from our own MAC": (ping6(sender=OWN), "SOURCE"),
    "to our link-local address": (ping6(target="fe80::2"), "OK"),
    "to what our MAC makes": (ping6(target=f"fd77::{OWN_MADE}"), "OK"),
    "to another's address": (ping6(target="fd77::3"), "FILTER"),
    "to another network": (ping6(target="fd78::2"), "FILTER"),
    "to all nodes, by our MAC": (ping6(target=ALL_NODES), "FILTER"),
    # Headers.
    "a header cut short": (HEADER_ALONE[:53], "HEADER"),
    "a header, tagged and cut short": (ipv6(17, b"", tag=b"\x81\0\0\5")[:57], "HEADER"),
    "a header and nothing behind it": (HEADER_ALONE, "HEADER"),
    "version 4 in an IPv6 frame": (ping6(version=4), "HEADER"),
    "version 7": (ping6(version=7), "HEADER"),
    "payload beyond the frame": (ping6(length=9), "HEADER"),
    "bytes behind the packet": (ping6(length=7), "HEADER"),
    "a jumbogram": (ping6(length=0), "HEADER"),
    "UDP length underflow": (ipv6(17, udp(7, b"hello", length=4)), "HEADER"),
    "UDP cut short, and the frame with it": (ipv6(17, udp(7)[:7]), "HEADER"),
    "TCP cut short, and the frame with it": (ipv6(6, tcp(80)[:19]), "HEADER"),
    "TCP header beyond the packet": (ipv6(6, tcp(80, offset=6)), "HEADER"),
    "Christmas tree": (ipv6(6, tcp(80, 0x29)), "HEADER"),
    "ICMPv6 cut short": (ipv6(58, b"\x80" + bytes(6)), "HEADER"),
    "ICMPv6 of a byte": (ipv6(58, b"\x80"), "HEADER"),
    # Extension headers: a datagram for the service behind each.
    "hop-by-hop options": (ipv6(0, b"\x11\0\1\4\0\0\0\0" + udp(7)), "IP_OPTIONS"),
    "a routing header": (ipv6(43, b"\x11\0\0\1\0\0\0\0" + udp(7)), "IP_OPTIONS"),
    "destination options": (ipv6(60, b"\x11\0\1\4\0\0\0\0" + udp(7)), "IP_OPTIONS"),
    "a first fragment": (ipv6(44, b"\x11\0\0\1\0\0\0\1" + udp(7)), "FRAGMENT"),
    "an atomic fragment": (ipv6(44, b"\x11\0\0\0\0\0\0\1" + udp(7)), "FRAGMENT"),
    "an authentication header": (ipv6(51, b"\x11\4" + bytes(22) + udp(7)), "FILTER"),
    "encapsulated security": (ipv6(50, bytes(40)), "FILTER"),
    "mobility": (ipv6(135, b"\x11\0" + bytes(6) + udp(7)), "FILTER"),
    "no next header": (ipv6(59, b""), "FILTER"),
    "IPv6 in IPv6": (ipv6(41, ping6()[14:]), "FILTER"),
    "a listener's report": (
        ipv6(0, b"\x3a\0\5\2\0\0\1\0" + b"\x8f" + bytes(27), target="ff02::16", mac=b"\x33\x33\0\0\0\x16"),
        "FILTER",
    ),
    # Neighbour discovery.
    "who has our address": (ipv6(58, neighbour(135, "fd77::2"), target=SOLICITED, mac=SOLICITED_MAC), "OK"),
    "are you still there": (ipv6(58, neighbour(135, "fd77::2")), "OK"),
    "a solicitation cut short": (ipv6(58, neighbour(135, "fd77::2")[:23]), "HEADER"),
    "a solicitation without options": (ipv6(58, neighbour(135, "fd77::2")[:24]), "OK"),
    "a solicitation to another group of the same MAC": (
        ipv6(58, neighbour(135, "fd77::2"), target="ff05::1:ff00:2", mac=SOLICITED_MAC), "FILTER",
    ),
    "a solicitation to another's group": (
        ipv6(58, neighbour(135, "fd77::3"), target="ff02::1:ff00:3", mac=b"\x33\x33\xff\0\0\3"), "FILTER",
    ),
    "detection of a duplicate of ours": (
        ipv6(58, neighbour(135, "fd77::2"), "::", SOLICITED, mac=SOLICITED_MAC), "SOURCE",
    ),
    "the peer has its address": (ipv6(58, neighbour(136, "fd77::1")), "OK"),
    "the peer has its address, without options": (ipv6(58, neighbour(136, "fd77::1")[:24]), "OK"),
    "the peer has ours": (ipv6(58, neighbour(136, "fd77::2")), "SOURCE"),
    "the peer has another's": (ipv6(58, neighbour(136, "fd77::3")), "SOURCE"),
    "the peer has its address elsewhere": (ipv6(58, neighbour(136, "fd78::1")), "SOURCE"),
    "an advertisement cut short": (ipv6(58, neighbour(136, "fd77::1")[:23]), "HEADER"),
}  # fmt: skip


SEGMENT6, DATAGRAM6 = ipv6(6, tcp(80) + bytes(500)), ipv6(17, udp(7, bytes(500)))
SIX_OFFLOADS = [
    (SEGMENT6, Meta(1, 0, 54, 16), "OK"),
    (SEGMENT6, Meta(1, 0, 34, 16), "OFFLOAD"),  # where it begins over IPv4
    (SEGMENT6, Meta(1, 0, 54, 6), "OFFLOAD"),
    (DATAGRAM6, Meta(1, 0, 54, 6), "OK"),
    (ping6(), Meta(1, 0, 54, 2), "OFFLOAD"),
    (SEGMENT6, Meta(8, 499), "OK"),
    (SEGMENT6, Meta(9, 499, 54, 16), "OK"),
    (SEGMENT6, Meta(8, 500), "OFFLOAD"),
    (SEGMENT6, Meta(4, 100), "OFFLOAD"),
    (SEGMENT6, Meta(12, 100), "OFFLOAD"),
    (DATAGRAM6, Meta(8, 100), "OFFLOAD"),
]
