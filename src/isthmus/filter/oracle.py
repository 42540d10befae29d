# SPDX-License-Identifier: MIT
"""What the filter is to say to a frame, in plain Python: the oracle that core/filter.c is tested against.

It looks at each rule by itself and at each header by its standard, with no table and no interval of the
compiler's. Rates and the budget for groups are left out: they depend on time, not on the frame.
"""

from __future__ import annotations

import struct
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv4Interface, IPv4Network, IPv6Address, IPv6Interface, IPv6Network

from isthmus.filter.rule import Ends, Rule

__all__ = ["FRAME_MIN", "Meta", "judge"]

FRAME_MIN = 60  # what is shorter is padded by its sender
PARTIAL, GSO4, GSO6 = 1, 4, 8
IPAddress = IPv4Address | IPv6Address
_UNSENDABLE = [IPv4Network(n) for n in ("0.0.0.0/8", "127.0.0.0/8", "224.0.0.0/4", "240.0.0.0/4")]
_UNSENDABLE6 = [IPv6Network(n) for n in ("::/64", "ff00::/8")]


@dataclass(frozen=True, slots=True)
class Meta:
    """Offload fields of a record."""

    flags: int = 0
    segment: int = 0
    start: int = 0
    offset: int = 0


class _Refused(Exception):
    """The verdict's name."""


@dataclass(slots=True)
class _Packet:
    source: IPAddress
    target: IPAddress
    protocol: int = 0
    ports: tuple[int, int] | None = None
    icmp: int | None = None
    transport: int = 0
    payload: int = 0  # where the transport's payload begins


def judge(rules: Sequence[Rule], ends: Ends, frame: bytes, meta: Meta = Meta(), lane: str = "bulk") -> str:
    """The verdict's name. `rules` are those of the frame's direction, `ends` are seen from its receiver."""
    try:
        return _judge(rules, ends, frame, meta, lane)
    except _Refused as verdict:
        return str(verdict)


def _judge(rules: Iterable[Rule], ends: Ends, frame: bytes, meta: Meta, lane: str) -> str:
    if len(frame) < 18:
        return "HEADER"
    target, sender, (kind,) = frame[:6], frame[6:12], struct.unpack_from("!H", frame, 12)
    if sender != bytes.fromhex(ends.peer_mac.replace(":", "")):
        return "SOURCE"
    at, tag = 14, None
    if kind == 0x8100:
        tag, kind = struct.unpack_from("!HH", frame, 14)
        at = 18
    rules = [r for r in rules if _on_vlan(r, tag)]
    if not rules or kind == 0x88A8 or (kind == 0x8100 and tag is not None):
        return "VLAN"
    rules = [r for r in rules if r.type == kind and target == _destination(r, ends)]
    if not rules:
        return "FILTER"
    packet = None
    if kind in (0x0800, 0x0806, 0x86DD):
        packet = (
            _ipv4(frame, at)
            if kind == 0x0800
            else _ipv6(frame, at)
            if kind == 0x86DD
            else _arp(frame, at, sender)
        )
        rules = [r for r in rules if _sender_fits(r, ends, packet.source)]
        if not rules:
            return "SOURCE"
        rules = [r for r in rules if _rest_fits(r, ends, packet)]
        if not rules:
            return "FILTER"
    if next(iter(rules)).lane != lane:
        return "LANE"
    return "OFFLOAD" if meta.flags and not _offload_fits(packet, meta, len(frame)) else "OK"


def _on_vlan(r: Rule, tag: int | None) -> bool:
    if tag is None or r.vlan is None:
        return tag is None and r.vlan is None
    low, high = _bounds(r.priority if r.priority is not None else "0-7")
    return tag & 0xFFF == r.vlan and low <= tag >> 13 <= high


def _bounds(value: int | str) -> tuple[int, int]:
    parts = [int(part) for part in str(value).split("-")]
    return parts[0], parts[-1]


def _destination(r: Rule, ends: Ends) -> bytes:
    if r.group is None:
        return bytes.fromhex(ends.own_mac.replace(":", ""))
    if r.group == "broadcast":
        return b"\xff" * 6
    if r.type == 0x86DD:
        return b"\x33\x33" + IPv6Address(r.group).packed[12:]
    if ":" in r.group:
        return bytes.fromhex(r.group.replace(":", ""))
    _, b, c, d = IPv4Address(r.group).packed
    return bytes((1, 0, 0x5E, b & 0x7F, c, d))


def _sender_fits(r: Rule, ends: Ends, source: IPAddress) -> bool:
    if isinstance(source, IPv6Address):
        own_tails = {a.packed[8:] for a in _six(ends.own_mac, ends.own_ip6)}
        if source.packed[8:] in (*own_tails, bytes(8)) or any(source in n for n in _UNSENDABLE6):
            return False
        theirs = _six(ends.peer_mac, ends.peer_ip6)
        return source in theirs if r.source is None else source in IPv6Network(r.source)
    own = IPv4Interface(ends.own_ip)
    if source in (own.ip, own.network.broadcast_address) or any(source in n for n in _UNSENDABLE):
        return False
    return source == IPv4Interface(ends.peer_ip).ip if r.source is None else source in IPv4Network(r.source)


def _rest_fits(r: Rule, ends: Ends, p: _Packet) -> bool:
    own = IPv4Interface(ends.own_ip)
    if isinstance(p.target, IPv6Address):
        if p.protocol not in (6, 17, 58):
            return False
        if r.destination is not None:
            fits = p.target in IPv6Network(r.destination)
        elif r.group is None:
            fits = p.target in _six(ends.own_mac, ends.own_ip6)
        else:
            fits = p.target == IPv6Address(r.group)
    elif r.destination is not None:
        fits = p.target in IPv4Network(r.destination)
    elif r.ethertype in ("arp", 0x0806):
        fits = True
    elif r.group is None:
        fits = p.target == own.ip
    elif r.group == "broadcast":
        fits = p.target in (own.network.broadcast_address, IPv4Address("255.255.255.255"))
    else:
        fits = p.target == IPv4Address(r.group)
    if not fits or (r.number is not None and p.protocol != r.number):
        return False
    if r.icmp is not None and p.icmp != r.icmp:
        return False
    for wanted, side in ((r.source_port, 0), (r.port, 1)):
        if wanted is not None:
            low, high = _bounds(wanted)
            if p.ports is None or not low <= p.ports[side] <= high:
                return False
    return True


def _ipv4(frame: bytes, at: int) -> _Packet:
    room = len(frame) - at
    if room < 20:
        raise _Refused("HEADER")
    first, total, fragment, protocol = struct.unpack_from("!BxHxxHxB", frame, at)
    header = (first & 15) * 4
    padded = total < room and len(frame) > FRAME_MIN
    if first >> 4 != 4 or not 20 <= header <= total <= room or fragment & 0x8000 or padded:
        raise _Refused("HEADER")
    if header > 20:
        raise _Refused("IP_OPTIONS")
    if fragment & 0x3FFF:
        raise _Refused("FRAGMENT")
    p = _Packet(IPv4Address(frame[at + 12 : at + 16]), IPv4Address(frame[at + 16 : at + 20]), protocol)
    p.transport = at + 20
    _transport(p, frame[at + 20 : at + total])
    return p


def _ipv6(frame: bytes, at: int) -> _Packet:
    if len(frame) - at < 40:
        raise _Refused("HEADER")
    first, behind, following, source, target = struct.unpack_from("!B3xHBx16s16s", frame, at)
    if first >> 4 != 6 or behind != len(frame) - at - 40:
        raise _Refused("HEADER")
    if following in (0, 43, 44, 60):
        raise _Refused("FRAGMENT" if following == 44 else "IP_OPTIONS")
    p = _Packet(IPv6Address(source), IPv6Address(target), following)
    p.transport = at + 40
    _transport(p, frame[at + 40 :])
    return p


def _six(mac: str, ip6: str) -> set[IPv6Address]:
    """The addresses of a world whose interface is called so."""
    configured = IPv6Interface(ip6)
    octets = [int(octet, 16) for octet in mac.split(":")]
    made = bytes([octets[0] ^ 2, *octets[1:3], 0xFF, 0xFE, *octets[3:]])
    return {
        IPv6Address(network.network_address.packed[:8] + tail)
        for network in (configured.network, IPv6Network("fe80::/64"))
        for tail in (configured.ip.packed[8:], made)
    }


def _transport(p: _Packet, text: bytes) -> None:
    if p.protocol == 6:
        if len(text) < 20 or not 20 <= (text[12] >> 4) * 4 <= len(text) or not _legal(text[13]):
            raise _Refused("HEADER")
        header = (text[12] >> 4) * 4
        _options(text[20:header])
        p.payload = p.transport + header
    elif p.protocol == 17:
        if len(text) < 8 or struct.unpack_from("!H", text, 4)[0] != len(text):
            raise _Refused("HEADER")
        p.payload = p.transport + 8
    elif p.protocol in (1, 58):
        discovery = p.protocol == 58 and text[:1] in (b"\x87", b"\x88")
        if len(text) < (24 if discovery else 8):
            raise _Refused("HEADER")
        if discovery and text[0] == 0x88 and int.from_bytes(text[8:24]) != int(p.source):
            raise _Refused("SOURCE")  # the advertised address
        p.icmp = text[0]
        return
    else:
        return
    p.ports = struct.unpack_from("!HH", text)


def _legal(flags: int) -> bool:
    fin, syn, rst, ack = (bool(flags & bit) for bit in (1, 2, 4, 16))
    return (syn + rst + fin <= 1) and (syn or rst or ack)


def _options(text: bytes) -> None:
    while text and text[0] != 0:
        size = 1 if text[0] == 1 else text[1] if len(text) > 1 else 0
        if not (text[0] == 1 or 2 <= size <= len(text)):
            raise _Refused("HEADER")
        text = text[size:]


def _arp(frame: bytes, at: int, sender: bytes) -> _Packet:
    if len(frame) - at < 28:
        raise _Refused("HEADER")
    kind, protocol, sizes, operation, mac, source, _, target = struct.unpack_from("!HHHH6s4s6s4s", frame, at)
    if (kind, protocol, sizes) != (1, 0x0800, 0x0604) or operation not in (1, 2):
        raise _Refused("HEADER")
    if mac != sender:
        raise _Refused("SOURCE")
    return _Packet(IPv4Address(source), IPv4Address(target))


def _offload_fits(p: _Packet | None, m: Meta, length: int) -> bool:
    protocol = p.protocol if p else 0
    if m.flags & PARTIAL:
        wanted = {6: 16, 17: 6}.get(protocol)
        if p is None or (m.start, m.offset) != (p.transport, wanted):
            return False
    if m.flags & (GSO4 | GSO6):
        wanted = GSO6 if p and p.target.version == 6 else GSO4
        fits = p is not None and protocol == 6 and m.segment < length - p.payload
        return fits and m.flags & (GSO4 | GSO6) == wanted
    return True
