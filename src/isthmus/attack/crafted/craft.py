# SPDX-License-Identifier: MIT
"""Frames that scapy makes, hostile each in its own way: `craft.py SEED EACH OWN-MAC OWN-IP OWN-IP6 PEER-MAC
PEER-IP PEER-IP6`, the first three the critical side's, prints a JSON list of [shape, frame in hex], EACH of
every shape.

A program of its own: scapy draws from the one `random` of its process, looks at this computer's interfaces
when it is imported, and takes two seconds for that.
"""

from __future__ import annotations

import json
import random
import sys
from collections.abc import Callable

from scapy.config import conf
from scapy.layers.inet import (
    ICMP,
    IP,
    TCP,
    UDP,
    IPOption_LSRR,
    IPOption_RR,
    IPOption_Security,
    IPOption_SSRR,
    IPOption_Timestamp,
    fragment,
)
from scapy.layers.inet6 import (
    ICMPv6EchoRequest,
    ICMPv6MLReport2,
    ICMPv6ND_NA,
    ICMPv6ND_NS,
    ICMPv6ND_RA,
    ICMPv6ND_Redirect,
    ICMPv6NDOptDstLLAddr,
    IPv6,
    IPv6ExtHdrDestOpt,
    IPv6ExtHdrFragment,
    IPv6ExtHdrHopByHop,
    IPv6ExtHdrRouting,
)
from scapy.layers.ipsec import AH
from scapy.layers.l2 import ARP, GRE, LLC, STP, Dot1AD, Dot1Q, Ether
from scapy.layers.sctp import SCTP, SCTPChunkInit
from scapy.layers.vxlan import VXLAN
from scapy.packet import Packet, Raw, fuzz
from scapy.volatile import CorruptedBytes

SEED, EACH = int(sys.argv[1]), int(sys.argv[2])
OWN_MAC, OWN_IP, OWN_IP6, PEER_MAC, PEER_IP, PEER_IP6 = sys.argv[3:9]
ECHO, SPORT = 7, 4000
FRAME_MIN, FRAME_MAX = 60, 1514
pick, number = random.choice, random.randrange


def ether(**fields: object) -> Packet:
    return Ether(**{"dst": OWN_MAC, "src": PEER_MAC, **fields})


def ip(**fields: object) -> Packet:
    return IP(**{"src": PEER_IP, "dst": OWN_IP, **fields})


def udp(**fields: object) -> Packet:
    return UDP(**{"sport": SPORT, "dport": ECHO, **fields})


def tcp(**fields: object) -> Packet:
    return TCP(**{"sport": SPORT, "dport": ECHO, "flags": "A", **fields})


def arp(**fields: object) -> Packet:
    return ARP(**{"hwsrc": PEER_MAC, "psrc": PEER_IP, "pdst": OWN_IP, **fields})


def load(most: int = 60) -> Packet:
    return Raw(random.randbytes(number(1, most)))


def over_ip(packet: Packet) -> Packet:
    return ether() / ip() / packet / load()


def in_ip(**fields: object) -> Packet:
    """A datagram for the echo service, in a header with these fields."""
    return ether() / ip(**fields) / udp() / load()


def stranger() -> str:
    return f"10.77.0.{number(3, 255)}"


def wrong_length() -> Packet:
    field, value = pick(
        [
            ("version", pick([0, 5, 6, 15])),
            ("ihl", number(5)),
            ("ihl", number(6, 16)),
            ("len", number(20)),
            ("len", number(1500, 65536)),
        ]
    )
    return in_ip(**{field: value})


def options() -> Packet:
    route = pick([IPOption_LSRR, IPOption_SSRR, IPOption_RR])(routers=[stranger()] * number(1, 8))
    return in_ip(options=[pick([route, route, IPOption_Security(), IPOption_Timestamp()])])


def one_fragment() -> Packet:
    whole = ip(id=number(65536)) / udp() / Raw(bytes(number(1600, 4000)))
    return ether() / pick(fragment(whole, fragsize=pick([64, 256, 1024])))


def unlisted_protocol() -> Packet:
    return over_ip(
        pick([GRE() / ip() / udp(), SCTP() / SCTPChunkInit(), ip() / tcp(), ipv6() / ICMPv6EchoRequest()])
    )


def ipv6(**fields: object) -> Packet:
    return IPv6(**{"src": PEER_IP6, "dst": OWN_IP6, **fields})


def in_ipv6(*between: Packet, **fields: object) -> Packet:
    """A datagram for the echo service, behind these extension headers."""
    whole = ether() / ipv6(**fields)
    for header in between:
        whole = whole / header
    return whole / udp() / load()


def stranger6() -> str:
    return f"{pick(['fd77::', 'fe80::', '2001:db8::'])}{number(3, 1 << 16):x}"


def fragment6() -> Packet:
    return in_ipv6(IPv6ExtHdrFragment(offset=number(100), m=number(2), id=number(1 << 32)))


def discovery() -> Packet:
    """What would have the critical side believe that an address is elsewhere, taken, or routed."""
    forged = ICMPv6ND_NA(tgt=pick([OWN_IP6, stranger6()]), R=0, S=number(2), O=1)
    return ether() / pick(
        [
            ipv6() / forged / ICMPv6NDOptDstLLAddr(lladdr=PEER_MAC),
            ipv6(src=stranger6()) / forged,
            ipv6(src="::") / ICMPv6ND_NS(tgt=OWN_IP6),
            ipv6() / ICMPv6ND_RA(),
            ipv6() / ICMPv6ND_Redirect(tgt=stranger6(), dst=stranger6()),
        ]
    )


def listener_report() -> Packet:
    return ether(dst="33:33:00:00:00:16") / ipv6(dst="ff02::16") / IPv6ExtHdrHopByHop() / ICMPv6MLReport2()


def tunnel() -> Packet:
    return over_ip(udp(dport=4789) / VXLAN(vni=number(1 << 24)) / ether() / ip() / udp())


def tcp_options() -> Packet:
    broken = pick([b"\2\0\0\0", b"\3\1\0\0", b"\2\x09\0\0", b"\1\1\1\x08"])
    return ether() / ip() / tcp(dataofs=6) / Raw(broken)


def wrong_arp() -> Packet:
    field, value = pick([("hwtype", 6), ("ptype", 0x86DD), ("op", number(3, 65536))])
    return ether() / arp(**{field: value})


def nested_tags() -> Packet:
    return ether() / pick([Dot1Q, Dot1AD])(vlan=1) / Dot1Q(vlan=number(4096)) / ip() / udp()


def corrupted() -> Packet:
    whole = bytes(over_ip(tcp()))
    return Raw(CorruptedBytes(whole, n=number(1, 12))._fix())


SHAPES: dict[str, Callable[[], Packet]] = {
    "IPv4: version, header length, total length": wrong_length,
    "IPv4: the reserved flag": lambda: in_ip(flags=4),
    "IPv4: source routing and other options": options,
    "IPv4: fragments of a datagram": one_fragment,
    "IPv4: ping of death": lambda: ether() / ip(frag=number(8000, 8192), proto=1) / load(1400),
    "IPv4: teardrop": lambda: ether() / ip(flags=number(2), frag=number(1, 5), proto=17) / load(),
    "IPv4: another's source": lambda: in_ip(src=pick([OWN_IP, "127.0.0.1", "0.0.0.0", stranger()])),
    "IPv4: another's address": lambda: in_ip(dst=stranger()),
    "IPv4: protocols that no rule names": unlisted_protocol,
    "IPv4: fuzzed": lambda: ether() / fuzz(ip(version=4, frag=0, flags=0)) / load(),
    "UDP: length": lambda: over_ip(udp(len=pick([number(8), number(300, 65536)]))),
    "UDP: ports that no rule names": lambda: over_ip(udp(dport=number(100, 5000))),
    "UDP: fuzzed": lambda: over_ip(fuzz(udp())),
    "UDP: VXLAN": tunnel,
    "TCP: flags": lambda: over_ip(tcp(flags=pick(["", "FPU", "SF", "SR", "RF", "FSRPAUEC"]))),
    "TCP: data offset": lambda: ether() / ip() / tcp(dataofs=pick([number(5), 15])) / load(20),
    "TCP: options": tcp_options,
    "TCP: ports that no rule names": lambda: ether() / ip() / tcp(dport=number(100, 5000), flags="S"),
    "TCP: fuzzed": lambda: over_ip(fuzz(tcp())),
    "ICMP: types that no rule names": lambda: over_ip(ICMP(type=pick([0, 3, 4, 5, 9, 11, 12, 13, 17]))),
    "ICMP: fuzzed": lambda: over_ip(fuzz(ICMP())),
    "ARP: claims another's address": lambda: ether() / arp(op=number(1, 3), psrc=pick([OWN_IP, stranger()])),
    "ARP: claims another's MAC": lambda: ether() / arp(op=2, hwsrc=f"02:00:00:00:00:{number(256):02x}"),
    "ARP: to everybody, from another": lambda: ether(dst="ff:ff:ff:ff:ff:ff") / arp(op=1, psrc=stranger()),
    "ARP: sizes, types, operation": wrong_arp,
    "VLAN: an unlisted tag": lambda: ether() / Dot1Q(vlan=number(1, 4095), prio=number(8)) / ip() / udp(),
    "VLAN: nested tags": nested_tags,
    "Ethernet: another's source": lambda: ether(src=f"02:{number(256):02x}:00:00:00:09") / ip() / udp(),
    "Ethernet: the receiver's own source": lambda: ether(src=OWN_MAC) / ip() / udp(),
    "Ethernet: another's destination": lambda: ether(dst=f"02:{number(256):02x}:00:00:00:09") / ip() / udp(),
    "IPv6: version": lambda: in_ipv6(version=pick([0, 4, 5, 7])),
    "IPv6: payload length": lambda: in_ipv6(plen=pick([number(8), number(300, 65536)])),
    "IPv6: another's source": lambda: in_ipv6(src=pick([OWN_IP6, "::", "::1", "ff02::1", stranger6()])),
    "IPv6: another's address": lambda: in_ipv6(dst=stranger6()),
    "IPv6: routing, hop-by-hop and destination options": lambda: in_ipv6(
        pick([IPv6ExtHdrRouting(addresses=[stranger6()]), IPv6ExtHdrHopByHop(), IPv6ExtHdrDestOpt()])
    ),
    "IPv6: fragments": fragment6,
    "IPv6: other extension headers": lambda: in_ipv6(
        pick([AH(spi=1, seq=1), IPv6(nh=17)]), nh=pick([51, 41, 135])
    ),
    "IPv6: neighbour discovery": discovery,
    "IPv6: a listener's report": listener_report,
    "IPv6: fuzzed": lambda: ether() / fuzz(ipv6(version=6)) / load(),
    "Ethernet: types that no rule names": lambda: ether(type=number(0x0900, 0x8000)) / load(),
    "Ethernet: spanning tree": lambda: ether(type=0x26) / LLC() / STP(),
    "truncated": lambda: Raw(bytes(over_ip(udp()))[: number(18, 42)]),
    "corrupted": corrupted,
    # What a rule lets pass, and the stack has to cope with.
    "a wrong checksum": lambda: over_ip(udp(chksum=number(1, 65536))),
    "a segment of no connection": lambda: over_ip(tcp(seq=number(1 << 32), ack=number(1 << 32))),
    "a large ping": lambda: ether() / ip() / ICMP(type=8, id=number(65536)) / load(1400),
}


def main() -> None:
    conf.verb = 0
    random.seed(SEED)
    made: list[tuple[str, str]] = []
    for shape, make in [*SHAPES.items()] * EACH:
        frame = bytes(make())[:FRAME_MAX].ljust(FRAME_MIN if shape != "truncated" else 0, b"\0")
        made.append((shape, frame.hex()))
    json.dump(made, sys.stdout)


if __name__ == "__main__":
    main()
