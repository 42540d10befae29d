# SPDX-License-Identifier: MIT
"""Ethernet frames for the filter to judge, well-formed unless an argument says otherwise.

>>> ipv4(17, udp(7, b"hello"))[12:14].hex()
'0800'
"""

from __future__ import annotations

import struct
from ipaddress import IPv4Address, IPv6Address

__all__ = [
    "ENDS_MAC", "OWN", "PEER", "arp", "echo_request", "ipv4", "ipv6", "neighbour", "ping", "raw", "tcp",
    "udp",
]  # fmt: skip

ENDS_MAC = ("02:49:53:00:00:02", "02:49:53:00:00:01")  # the Secure world's, the Normal world's
OWN, PEER = (bytes.fromhex(mac.replace(":", "")) for mac in ENDS_MAC)
BROADCAST = b"\xff" * 6


def ipv4(
    protocol: int,
    body: bytes,
    source: str = "10.77.0.1",
    target: str = "10.77.0.2",
    *,
    fragment: int = 0,
    options: bytes = b"",
    total: int | None = None,
    version: int = 4,
    mac: bytes = OWN,
    sender: bytes = PEER,
    tag: bytes = b"",
) -> bytes:
    """A whole frame with a right header checksum, padded to 60 bytes. `tag` goes before the EtherType."""
    header = 20 + len(options)
    total = header + len(body) if total is None else total
    head = struct.pack("!BBHHHBBH", version << 4 | header // 4, 0, total, 1, fragment, 64, protocol, 0)
    head += IPv4Address(source).packed + IPv4Address(target).packed + options
    head = head[:10] + struct.pack("!H", checksum(head)) + head[12:]
    return (mac + sender + tag + b"\x08\x00" + head + body).ljust(60, b"\0")


def ipv6(
    following: int,
    body: bytes,
    source: str = "fd77::1",
    target: str = "fd77::2",
    *,
    length: int | None = None,
    version: int = 6,
    mac: bytes = OWN,
    sender: bytes = PEER,
    tag: bytes = b"",
) -> bytes:
    """A whole frame with one header, which says that `following` is what it carries."""
    head = struct.pack("!IHBB", version << 28, len(body) if length is None else length, following, 255)
    head += IPv6Address(source).packed + IPv6Address(target).packed
    return mac + sender + tag + b"\x86\xdd" + head + body


def neighbour(kind: int, target: str, mac: bytes = PEER) -> bytes:
    """Of ICMPv6, without a checksum: a solicitation (135) or an advertisement (136) with its sender's MAC."""
    return struct.pack("!BxxxI16sBB6s", kind, 0x60000000, IPv6Address(target).packed, kind - 134, 1, mac)


def checksum(data: bytes) -> int:
    total: int = sum(struct.unpack(f"!{len(data) // 2}H", data))
    total = (total & 0xFFFF) + (total >> 16)
    return ~(total + (total >> 16)) & 0xFFFF


def udp(port: int, payload: bytes = b"", *, length: int | None = None, source: int = 4000) -> bytes:
    """Header and payload, without a checksum."""
    return struct.pack("!4H", source, port, 8 + len(payload) if length is None else length, 0) + payload


def tcp(
    port: int, flags: int = 0x10, options: bytes = b"", source: int = 4000, offset: int | None = None
) -> bytes:
    """A header; `offset` in words."""
    words = 5 + len(options) // 4 if offset is None else offset
    return struct.pack("!HHIIBBHHH", source, port, 1, 1, words << 4, flags, 512, 0, 0) + options


def echo_request(payload: bytes = b"") -> bytes:
    """ICMP."""
    return b"\x08\0\0\0\0\x01\0\x01" + payload


def ping(payload: bytes) -> bytes:
    """A whole frame that is answered; `payload` of an even length."""
    request = echo_request(payload)
    return ipv4(1, request[:2] + checksum(request).to_bytes(2, "big") + request[4:])


def arp(
    source: str = "10.77.0.1", *, operation: int = 1, mac: bytes = BROADCAST, claim: bytes = PEER
) -> bytes:
    """A whole frame that asks who has the Secure world's address."""
    body = struct.pack("!HHHH", 1, 0x0800, 0x0604, operation)
    body += claim + IPv4Address(source).packed + bytes(6) + IPv4Address("10.77.0.2").packed
    return (mac + PEER + b"\x08\x06" + body).ljust(60, b"\0")


def raw(payload: bytes = b"", kind: int = 0x88B5) -> bytes:
    """A whole frame of another EtherType."""
    return (OWN + PEER + struct.pack("!H", kind) + payload).ljust(60, b"\0")
