# SPDX-License-Identifier: MIT
"""Addresses as numbers: which a world has, which a group has, and which no host sends from.

Of an IPv6 address the table has two fields, 64 bits each: network and interface identifier.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from ipaddress import (
    IPv4Address,
    IPv4Interface,
    IPv4Network,
    IPv6Address,
    IPv6Interface,
    IPv6Network,
    ip_address,
)

__all__ = [
    "BROADCAST_MAC", "NO_SENDER_NET", "IPAddress", "Interval", "addresses", "group_of", "halves",
    "identifiers", "mac_number", "senders", "span", "without",
]  # fmt: skip

Interval = tuple[int, int]  # both ends included
IPAddress = IPv4Address | IPv6Address

BROADCAST_MAC = (1 << 48) - 1
_LOW = (1 << 64) - 1
#: Addresses that no host sends from.
_NO_SENDER = [IPv4Network(text) for text in ("0.0.0.0/8", "127.0.0.0/8", "224.0.0.0/3")]
#: Networks that no host sends from: that of ::, ::1 and IPv4's addresses, and all groups.
NO_SENDER_NET = [(0, 0), (0xFF << 56, _LOW)]
_LINK_LOCAL = 0xFE80 << 48
_MAC = re.compile(r"[0-9a-f]{2}(:[0-9a-f]{2}){5}", re.IGNORECASE)


def mac_number(text: str) -> int:
    return int(text.replace(":", ""), 16)


def identifiers(mac: str, ip6: str) -> set[int]:
    """What may be the lower half of a world's IPv6 addresses: that of `ip6`, and what its MAC address makes
    (modified EUI-64, RFC 4291)."""
    high, low = divmod(mac_number(mac), 1 << 24)
    return {int(IPv6Interface(ip6).ip) & _LOW, (high << 40 | 0xFFFE << 24 | low) ^ 1 << 57}


# ---- as intervals ------------------------------------------------------------------------------------------


def span(network: IPv4Network | IPv6Network) -> Interval:
    return int(network.network_address), int(network.broadcast_address)


def halves(network: IPv6Network) -> tuple[list[Interval], list[Interval]]:
    """The upper and the lower 64 bits of its addresses."""
    low, high = span(network)
    return [(low >> 64, high >> 64)], [(low & _LOW, high & _LOW)]


def addresses(mac: str, ip6: str) -> tuple[list[Interval], list[Interval]]:
    """Those of one world, likewise: each of its identifiers, in its network and on the link."""
    networks = {int(IPv6Interface(ip6).ip) >> 64, _LINK_LOCAL}
    return [(n, n) for n in sorted(networks)], [(i, i) for i in sorted(identifiers(mac, ip6))]


def group_of(text: str | None) -> tuple[int, IPAddress | None] | None:
    """A group's MAC address as a number and its IP address; None for no group."""
    if text is None:
        return None
    if text == "broadcast":
        return BROADCAST_MAC, None
    if _MAC.fullmatch(text):
        return mac_number(text), None
    address = ip_address(text)
    if isinstance(address, IPv4Address):
        return 0x01005E000000 | int(address) & 0x7FFFFF, address  # RFC 1112
    return 0x333300000000 | int(address) & 0xFFFFFFFF, address  # RFC 2464


def senders(text: str, own: IPv4Interface) -> list[Interval]:
    """The network's addresses, less those that no host sends from, our own and the network's broadcast."""
    alone = [IPv4Network(own.ip), IPv4Network(own.network.broadcast_address)]
    return without([span(IPv4Network(text))], map(span, [*_NO_SENDER, *alone]))


def without(found: list[Interval], cuts: Iterable[Interval]) -> list[Interval]:
    """What of the intervals is left outside the others."""
    for low, high in cuts:
        cut = [((a, min(b, low - 1)), (max(a, high + 1), b)) for a, b in found]
        found = [(a, b) for pair in cut for a, b in pair if a <= b]
    return found
