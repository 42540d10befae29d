# SPDX-License-Identifier: MIT
"""Rules of the allow-list as a board file states them: what each means in a frame's fields, and what is wrong
with a list.

A frame that no rule of its direction names is refused. A rule names every field that it is about; what it
leaves out is bound to the two worlds: frames come from the peer's address and go to the receiver's own.

    >>> ends = Ends("02:00:00:00:00:02", "10.77.0.2/24", "02:00:00:00:00:01", "10.77.0.1/24")
    >>> Rule("echo", "ipv4", protocol="udp", port=7).intervals(ends)["port"]
    [(7, 7)]
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from ipaddress import (
    IPv4Address,
    IPv4Interface,
    IPv4Network,
    IPv6Network,
    ip_network,
)
from itertools import combinations
from types import MappingProxyType
from typing import Literal, NoReturn

import msgspec

from isthmus.filter.addresses import (
    BROADCAST_MAC,
    NO_SENDER_NET,
    Interval,
    IPAddress,
    addresses,
    group_of,
    halves,
    identifiers,
    mac_number,
    senders,
    span,
    without,
)

__all__ = ["DEFAULT", "FIELDS", "RULES_MAX", "Direction", "Ends", "Problem", "Rule", "check"]

Direction = Literal["in", "out"]

RULES_MAX = 64  # IST_FILTER_RULES
#: A frame's fields in the order of the table, with their bits.
FIELDS = {
    "group": 48, "vlan": 17, "type": 16, "source_net": 64, "source": 64, "target_net": 64, "target": 64,
    "protocol": 8, "from": 16, "port": 16,
}  # fmt: skip

ETHERTYPES = {"ipv4": 0x0800, "arp": 0x0806, "ipv6": 0x86DD}  # of others nothing behind Ethernet is judged
PROTOCOLS = {"icmp": 1, "tcp": 6, "udp": 17, "icmpv6": 58}
_OVER_IPV6 = ("tcp", "udp", "icmpv6")  # what else may follow its header leads to what is not looked into
_TAGS = {0x8100: "a VLAN tag: use vlan", 0x88A8: "a service VLAN tag"}
NO_LANES: Mapping[str, int] = MappingProxyType({})
_NAME = re.compile(r"[a-z0-9][a-z0-9_.-]{0,31}")


@dataclass(frozen=True, slots=True)
class Ends:
    """Who a list speaks of: `own` receives the frames that it judges, `peer` sends them."""

    own_mac: str
    own_ip: str  # with its prefix
    peer_mac: str
    peer_ip: str
    own_ip6: str = ""  # with its prefix, /64; "": no rule speaks of IPv6
    peer_ip6: str = ""

    def turned(self) -> Ends:
        """The other direction."""
        return Ends(self.peer_mac, self.peer_ip, self.own_mac, self.own_ip, self.peer_ip6, self.own_ip6)


class Problem(ValueError):
    """A rule that cannot be. `key` is relative to the list: "[2].port"."""

    def __init__(self, key: str, what: str) -> None:
        super().__init__(f"filter{key}: {what}")
        self.key, self.what = f"filter{key}", what


class Rule(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One line of the allow-list. Of several that name a frame the first counts."""

    name: str
    ethertype: Literal["ipv4", "arp", "ipv6"] | int
    direction: Direction = "in"  # "in": to the critical side; "out": from it
    vlan: int | None = None  # id, 0 for a tag that has a priority only; None: untagged frames
    priority: int | str | None = None  # "2-5"; None: every one
    group: str | None = None  # "broadcast", a group's MAC or IP address; None: to the receiver alone
    protocol: Literal["icmp", "tcp", "udp", "icmpv6"] | int | None = None
    source: str | None = None  # a network; None: the sender alone
    destination: str | None = None  # a network; None: the receiver alone, or the group
    icmp: int | None = None  # ICMP or ICMPv6 type
    port: int | str | None = None  # destination port, "5000-5010"
    source_port: int | str | None = None
    lane: str = "bulk"  # by which its frames come; in any other they are refused
    frames_per_second: int = 0  # 0: no rate of its own
    burst_frames: int = 1

    @property
    def type(self) -> int:
        """The EtherType's number."""
        return ETHERTYPES[self.ethertype] if isinstance(self.ethertype, str) else self.ethertype

    @property
    def number(self) -> int | None:
        """The IP protocol's number."""
        return PROTOCOLS[self.protocol] if isinstance(self.protocol, str) else self.protocol

    def admits(self, ends: Ends, protocol: Literal["arp", "icmp", "tcp", "udp"], port: int = 0) -> bool:
        """Some frame to the critical side of that protocol, and to that port where there is one."""
        wanted = {"type": ETHERTYPES["arp" if protocol == "arp" else "ipv4"]}
        if protocol != "arp":
            wanted["protocol"] = PROTOCOLS[protocol]
        if port:
            wanted["port"] = port
        found = self.intervals(ends)
        return self.direction == "in" and all(
            any(low <= value <= high for low, high in found[name]) for name, value in wanted.items()
        )

    def intervals(self, ends: Ends) -> dict[str, list[Interval]]:
        """For each field the values that the rule admits. The rule has passed check()."""
        low, high = _range(self.priority, 7) if self.priority is not None else (0, 7)
        found: dict[str, list[Interval]] = {name: [(0, (1 << bits) - 1)] for name, bits in FIELDS.items()}
        found["type"] = [(self.type, self.type)]
        tag = None if self.vlan is None else 1 << 16 | self.vlan << 4
        found["vlan"] = [(0, 0)] if tag is None else [(tag | low << 1, tag | high << 1 | 1)]
        group = group_of(self.group)
        mac = mac_number(ends.own_mac) if group is None else group[0]
        found["group"] = [(mac, mac)]
        if self.type == ETHERTYPES["ipv6"]:
            found |= self._ipv6(ends)
        elif self.type in ETHERTYPES.values():
            found |= self._ipv4(ends, None if group is None else group[1])
        if self.number is not None:
            found["protocol"] = [(self.number, self.number)]
        if self.icmp is not None:
            found["port"] = [(self.icmp, self.icmp)]
        if self.port is not None:
            found["port"] = [_range(self.port, 65535)]
        if self.source_port is not None:
            found["from"] = [_range(self.source_port, 65535)]
        return found

    def _ipv4(self, ends: Ends, group: IPAddress | None) -> dict[str, list[Interval]]:
        own = IPv4Interface(ends.own_ip)
        found = {"source": senders(self.source or f"{IPv4Interface(ends.peer_ip).ip}", own)}
        if self.destination is not None:
            found["target"] = [span(IPv4Network(self.destination))]
        elif self.type == ETHERTYPES["ipv4"]:
            if self.group is None:
                targets = [own.ip]
            elif isinstance(group, IPv4Address):
                targets = [group]
            else:
                targets = [own.network.broadcast_address, IPv4Address("255.255.255.255")]
            found["target"] = sorted((int(a), int(a)) for a in targets)
        return found

    def _ipv6(self, ends: Ends) -> dict[str, list[Interval]]:
        own = identifiers(ends.own_mac, ends.own_ip6)
        source, target = addresses(ends.peer_mac, ends.peer_ip6), addresses(ends.own_mac, ends.own_ip6)
        if self.source is not None:
            source = halves(IPv6Network(self.source))
        if self.destination is not None or self.group is not None:
            target = halves(IPv6Network(self.destination or self.group or ""))
        return {
            "source_net": without(source[0], NO_SENDER_NET),
            "source": without(source[1], [(a, a) for a in (0, *own)]),
            "target_net": target[0],
            "target": target[1],
            "protocol": [(PROTOCOLS[name], PROTOCOLS[name]) for name in _OVER_IPV6],
        }


#: What the Secure world's applications serve (worlds/secure/apps).
DEFAULT = (
    Rule("arp", "arp"),
    Rule("arp-request", "arp", group="broadcast"),
    Rule("ping", "ipv4", protocol="icmp", icmp=8),
    Rule("echo-udp", "ipv4", protocol="udp", port=7),
    Rule("echo-tcp", "ipv4", protocol="tcp", port=7),
    Rule("status", "ipv4", protocol="tcp", port=80),
    Rule("iperf", "ipv4", protocol="tcp", port=5001),
    Rule("opened", "ipv4", protocol="tcp", port="49152-65535"),  # connections that lwIP opens
    Rule("setpoints", "ipv4", protocol="udp", port=7700),
    Rule("raw", 0x88B5),
)


# ---- values ------------------------------------------------------------------------------------------------


def _range(value: int | str, limit: int) -> Interval:
    low, _, high = str(value).partition("-")
    if not low.isdecimal() or not (high or low).isdecimal():
        raise ValueError(f"{value!r} is neither a number nor a range like 5000-5010")
    first, last = int(low), int(high or low)
    if not first <= last <= limit:
        raise ValueError(f"{value} is not within 0..{limit}, lowest first")
    return first, last


# ---- rules about rules -------------------------------------------------------------------------------------


def check(
    rules: tuple[Rule, ...], ends: Ends, frames_per_second: int = 0, lanes: Mapping[str, int] = NO_LANES
) -> None:
    """Raises Problem for the first rule that cannot be, contradicts itself, or can never match.

    `ends` is of the direction "in"; `frames_per_second` the budget of the bulk lane's frames, 0 for none,
    `lanes` those of the others.
    """
    budgets = {"bulk": (frames_per_second, "secure.budget.frames")}
    budgets |= {name: (most, f"lane[{i}].frames") for i, (name, most) in enumerate(lanes.items())}
    if len(rules) > RULES_MAX:
        raise Problem("", f"{len(rules)} rules, at most {RULES_MAX}")
    for i, rule in enumerate(rules):
        _check_one(f"[{i}]", rule)
        if rule.type == ETHERTYPES["ipv6"] and not ends.own_ip6:
            raise Problem(f"[{i}].ethertype", "IPv6, and the board gives neither normal.ip6 nor secure.ip6")
        if rule.lane not in budgets:
            raise Problem(f"[{i}].lane", f"{rule.lane!r} is none of the lanes {list(budgets)}")
        most, key = budgets[rule.lane]
        if rule.direction == "in" and most and rule.frames_per_second > most:
            what = f"{rule.frames_per_second} is above {key}, {most} a second"
            raise Problem(f"[{i}].frames_per_second", what)
    for (i, first), (k, second) in combinations(enumerate(rules), 2):
        if first.name == second.name:
            raise Problem(f"[{k}].name", f"{second.name!r} is also filter[{i}].name")
        side = ends if first.direction == "in" else ends.turned()
        if first.direction == second.direction and _covers(first.intervals(side), second.intervals(side)):
            what = f"{second.name!r} never matches: filter[{i}] {first.name!r} names all of it before"
            raise Problem(f"[{k}]", what)
    for i, rule in enumerate(rules):
        side = ends if rule.direction == "in" else ends.turned()
        found = rule.intervals(side)
        if not (found["source"] and found["source_net"]):
            raise Problem(f"[{i}].source", f"{rule.source} holds no address that a peer may send from")


def _check_one(key: str, r: Rule) -> None:
    def fail(member: str, what: str) -> None:
        raise Problem(f"{key}.{member}", what)

    if not _NAME.fullmatch(r.name):
        fail("name", f"{r.name!r} is not a name of at most 32 of a-z, 0-9, dot, dash and underscore")
    if not 0x600 <= r.type <= 0xFFFF:
        fail("ethertype", f"{r.type:#x} is not within 0x600..0xffff")
    if r.type in _TAGS:
        fail("ethertype", f"{r.type:#x} is {_TAGS[r.type]}")
    if r.vlan is not None and not 0 <= r.vlan <= 4094:
        fail("vlan", f"{r.vlan} is not within 0..4094")
    if r.priority is not None and r.vlan is None:
        fail("priority", "only a frame with a VLAN tag has one, and vlan is not given")
    version = {ETHERTYPES["ipv4"]: 4, ETHERTYPES["ipv6"]: 6}.get(r.type)
    for member in ("source", "destination"):
        text = getattr(r, member)
        if text is not None and r.type not in ETHERTYPES.values():
            fail(member, "only ARP, IPv4 and IPv6 have addresses that are judged")
        if text is not None and not _is_network(text, version or 4):
            like = "an IPv6 network like fd77::/64" if version == 6 else "an IPv4 network like 10.77.0.0/24"
            fail(member, f"{text!r} is not {like}")
    _check_group(key, r, version)
    if r.number is not None and version is None:
        fail("protocol", "only IPv4 and IPv6 have protocols that are judged")
    if r.number is not None and not 0 <= r.number <= 255:
        fail("protocol", f"{r.number} is not within 0..255")
    if version == 6 and r.number not in (None, *(PROTOCOLS[name] for name in _OVER_IPV6)):
        fail("protocol", f"{r.protocol}: over IPv6 only {', '.join(_OVER_IPV6)} are judged")
    if version == 4 and r.number == PROTOCOLS["icmpv6"]:
        fail("protocol", "icmpv6 is for IPv6 alone")
    if r.icmp is not None and r.number not in (PROTOCOLS["icmp"], PROTOCOLS["icmpv6"]):
        fail("icmp", "only ICMP has types, and protocol is neither icmp nor icmpv6")
    if r.icmp is not None and not 0 <= r.icmp <= 255:
        fail("icmp", f"{r.icmp} is not within 0..255")
    has_ports = r.number in (PROTOCOLS["tcp"], PROTOCOLS["udp"])
    for member, limit in (("priority", 7), ("port", 65535), ("source_port", 65535)):
        value = getattr(r, member)
        if member != "priority" and value is not None and not has_ports:
            fail(member, "only TCP and UDP have ports, and protocol is neither")
        try:
            _range(0 if value is None else value, limit)
        except ValueError as problem:
            fail(member, str(problem))
    if not 0 <= r.frames_per_second <= 1_000_000_000:
        fail("frames_per_second", f"{r.frames_per_second} is not within 0..1000000000")
    if not 1 <= r.burst_frames <= 1 << 20:
        fail("burst_frames", f"{r.burst_frames} is not within 1..1048576")
    if r.burst_frames != 1 and r.frames_per_second == 0:
        fail("burst_frames", "without frames_per_second there is no rate to burst over")


def _check_group(key: str, r: Rule, version: int | None) -> None:
    def fail(member: str, what: str) -> NoReturn:
        raise Problem(f"{key}.{member}", what)

    try:
        group = group_of(r.group)
    except ValueError:
        fail("group", f"{r.group!r} is neither broadcast nor a group's MAC or IP address")
    if group is None:
        return
    mac, address = group
    if not mac >> 40 & 1 or (address is not None and not address.is_multicast):
        fail("group", f"{r.group} is not a group's address")
    if address is not None and address.version != version:
        fail("group", f"only IPv{address.version} has groups by IPv{address.version} address")
    if version == 6 and address is None:
        fail("group", f"{r.group}: an IPv6 group is named by its IPv6 address, like ff02::1:ff00:2")
    if address is not None and r.destination is not None and address not in ip_network(r.destination):
        fail("destination", f"{r.destination} does not hold the group {r.group}")
    if version == 4 and address is None and mac != BROADCAST_MAC and r.destination is None:
        fail("group", f"{r.group}: an IPv4 group is named by its IPv4 address, like 224.0.1.129")


def _is_network(text: str, version: int) -> bool:
    try:
        return ip_network(text).version == version
    except ValueError:
        return False


def _covers(a: dict[str, list[Interval]], b: dict[str, list[Interval]]) -> bool:
    """Whether everything that `b` admits is admitted by `a`."""
    return all(
        any(low <= first and last <= high for low, high in a[name])
        for name in FIELDS
        for first, last in b[name]
    )
