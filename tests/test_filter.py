# SPDX-License-Identifier: MIT
"""The allow-list: core/filter.c against its oracle over any policy and frame; what a policy may not say."""

from __future__ import annotations

import functools
import random
import socket
import struct
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from core_programs import SANITIZED, Defect, build, defective
from filter_frames import (
    ENDS,
    OFFLOADS,
    SAMPLES,
    SIX,
    SIX_OFFLOADS,
    SIX_SAMPLES,
    SOLICITED_MAC,
    Case,
    verdicts,
)  # fmt: skip
from isthmus import board
from isthmus.attack.frames import OWN, PEER, arp, ipv4, ipv6, neighbour, tcp, udp
from isthmus.errors import ConfigError
from isthmus.filter import DEFAULT, Problem, Rule, check, compile_table
from isthmus.filter.oracle import Meta, judge
from isthmus.filter.rule import FIELDS
from isthmus.filter.table import SPANS_MAX
from isthmus.host import HostMachine

FLAGS = (*SANITIZED, "-O2")
BROADCAST, SPAN = 3, 5  # IST_FILTER_BROADCAST, IST_FILTER_SPAN
RATES = SPAN + len(FIELDS)  # IST_FILTER_RATES


@pytest.fixture(scope="module")
def program(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return build(tmp_path_factory, "judge", *FLAGS)


# ---- frames ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", SAMPLES)
def test_sample(name: str, program: Path) -> None:
    frame, expected = SAMPLES[name]
    assert judge(DEFAULT, ENDS, frame) == expected
    assert verdicts(program, compile_table(DEFAULT, ENDS), [(frame, Meta(), 0)]) == ["OK", expected]


def test_every_verdict_has_a_sample() -> None:
    assert {v for _, v in SAMPLES.values()} == {
        "OK", "FILTER", "HEADER", "FRAGMENT", "IP_OPTIONS", "VLAN", "SOURCE",
    }  # fmt: skip


@pytest.mark.parametrize(("frame", "meta", "expected"), OFFLOADS)
def test_offload_fields_are_held_to_the_headers(
    frame: bytes, meta: Meta, expected: str, program: Path
) -> None:
    assert judge(DEFAULT, ENDS, frame, meta) == expected
    assert verdicts(program, compile_table(DEFAULT, ENDS), [(frame, meta, 0)]) == ["OK", expected]


# ---- any policy, any frame ---------------------------------------------------------------------------------

NETWORKS = ("10.77.0.0/24", "10.0.0.0/8", "0.0.0.0/0", "10.77.0.1/32", "10.77.0.128/25", "224.0.1.129/32")
ADDRESSES = ("10.77.0.1", "10.77.0.2", "10.77.0.3", "10.77.0.129", "10.77.0.255", "10.9.9.9", "127.0.0.1",
             "224.0.1.129", "255.255.255.255", "0.0.0.0")  # fmt: skip
GROUPS = ("broadcast", "224.0.1.129", "01:80:c2:00:00:0e", "ff02::1", "ff02::1:ff00:2")
NETWORKS6 = ("fd77::/64", "::/0", "fd77::1/128", "fd77::/126", "fe80::/10", "fc00::/7", "ff02::1/128")
ADDRESSES6 = ("fd77::1", "fd77::2", "fe80::1", "fe80::2", "fe80::49:53ff:fe00:1", "fd77::49:53ff:fe00:2", "fd77::",
              "fd77::3", "fd78::1", "::", "::1", "ff02::1", "ff02::1:ff00:2", "ff05::1:ff00:2")  # fmt: skip
PORTS = (0, 1, 6, 7, 8, 79, 80, 81, 5000, 5001, 65534, 65535)
ranges = st.tuples(st.sampled_from(PORTS), st.sampled_from(PORTS)).map(lambda p: f"{min(p)}-{max(p)}")
ports = st.none() | st.sampled_from(PORTS) | ranges


@st.composite
def rules(draw: st.DrawFn) -> tuple[Rule, ...]:
    """A policy that check() accepts: rules that it refuses are left out."""
    chosen: list[Rule] = []
    for i in range(draw(st.integers(0, 12))):
        kind: Any = draw(st.sampled_from(["ipv4", "ipv4", "ipv6", "ipv6", "arp", 0x88B5, 0x88F7]))
        others: dict[Any, list[Any]] = {
            "ipv4": [None, "tcp", "udp", "icmp", 47],
            "ipv6": [None, "tcp", "udp", "icmpv6", "icmpv6"],
        }
        protocol: Any = draw(st.sampled_from(others.get(kind, [None])))
        vlan = draw(st.sampled_from([None, None, 0, 5, 4094]))
        networks = st.sampled_from([None, None, *(NETWORKS6 if kind == "ipv6" else NETWORKS)])
        ip = kind in ("ipv4", "ipv6", "arp")
        rule = Rule(
            f"rule-{i}",
            kind,
            vlan=vlan,
            priority=draw(st.sampled_from([None, 3, "2-5"])) if vlan is not None else None,
            group=draw(st.sampled_from([None, None, *GROUPS])),
            protocol=protocol,
            source=draw(networks) if ip else None,
            destination=draw(networks) if ip else None,
            icmp=draw(st.sampled_from([None, 0, 8, 128, 135, 136]))
            if protocol in ("icmp", "icmpv6")
            else None,
            port=draw(ports) if protocol in ("tcp", "udp") else None,
            source_port=draw(ports) if protocol in ("tcp", "udp") else None,
        )
        try:
            check((*chosen, rule), ENDS)
        except Problem:
            continue
        chosen.append(rule)
    return tuple(chosen)


def any_frame(dice: random.Random) -> bytes:
    """Well-formed or nearly so; then perhaps with some bytes changed, or cut."""
    group = [OWN, OWN, OWN, b"\xff" * 6, bytes.fromhex("01005e000181"), bytes.fromhex("0180c200000e"), PEER]
    group6 = [OWN, OWN, OWN, bytes.fromhex("333300000001"), SOLICITED_MAC]
    port, back = dice.choice(PORTS), dice.choice(PORTS)
    body = dice.choice([
        (17, udp(port, bytes(dice.randrange(40)), source=back)),
        (6, tcp(port, dice.choice([0x10, 0x18, 2, 4, dice.randrange(256)]), source=back)),
        (6, tcp(port, 2, dice.choice([b"\x02\x04\x05\xb4", bytes(4), dice.randbytes(8)]), source=back)),
        (1, bytes([dice.choice([0, 8, 3, 136])]) + bytes(7)),
        (47, bytes(12)),
        (58, bytes([dice.choice([128, 134, 135, 136])]) + bytes(dice.choice([6, 7, 22, 23, 31]))),
        (58, neighbour(dice.choice([135, 136]), dice.choice(ADDRESSES6))),
        (dice.choice([0, 43, 44, 51, 60]), bytes(16)),
    ])  # fmt: skip
    tag = dice.choice([b"", b"", b"", struct.pack("!HH", dice.choice([0x8100, 0x88A8]),
                       dice.choice([0, 5, 4094, 6]) | dice.randrange(16) << 12)])  # fmt: skip
    frame = dice.choice([
        ipv4(*body, dice.choice(ADDRESSES[:2] * 3 + ADDRESSES), dice.choice(ADDRESSES[1:2] * 4 + ADDRESSES),
             mac=dice.choice(group), tag=tag, fragment=dice.choice([0, 0, 0x4000, 0x2000, 5]),
             options=dice.choice([b"", b"", b"", b"\x01" * 4])),
        ipv4(*body),
        ipv6(*body, dice.choice(ADDRESSES6[:1] * 6 + ADDRESSES6), dice.choice(ADDRESSES6[1:2] * 6 + ADDRESSES6),
             mac=dice.choice(group6), tag=tag),
        ipv6(*body),
        arp(dice.choice(ADDRESSES), mac=dice.choice(group)),
        dice.choice(group) + PEER + tag + dice.choice([b"\x88\xb5", b"\x88\xf7", b"\x86\xdd", b"\x81\0"]) + bytes(46),
    ])  # fmt: skip
    if dice.random() < 0.3:
        changed = bytearray(frame)
        for _ in range(dice.randint(1, 3)):
            changed[dice.randrange(len(changed))] = dice.randrange(256)
        frame = bytes(changed)
    return frame[: dice.randrange(len(frame) + 1)] if dice.random() < 0.1 else frame


def any_meta(dice: random.Random) -> Meta:
    if dice.random() < 0.8:
        return Meta()
    start, offset = dice.choice([14, 34, 38, 54]), dice.choice([6, 16, 2])
    return Meta(dice.randrange(16), dice.choice([0, 1, 20, 100]), start, offset)


def differences(program: Path, policy: tuple[Rule, ...], cases: Sequence[Case]) -> list[str]:
    said = verdicts(program, compile_table(policy, ENDS), cases)
    assert said[0] == "OK"
    return [
        f"{frame.hex()} {meta}: {found}, not {wanted}"
        for (frame, meta, _), found, wanted in zip(cases, said[1:], expected(policy, cases), strict=True)
        if found != wanted
    ]


def expected(policy: tuple[Rule, ...], cases: Sequence[Case]) -> list[str]:
    return [judge(policy, ENDS, frame, meta) for frame, meta, _ in cases]


@settings(max_examples=60, deadline=None)
@given(policy=rules(), seed=st.integers(0, 2**32))
def test_any_policy_says_what_the_oracle_says(program: Path, policy: tuple[Rule, ...], seed: int) -> None:
    dice = random.Random(seed)
    cases = [(any_frame(dice), any_meta(dice), 0) for _ in range(250)]
    assert differences(program, policy, cases) == []


def test_random_frames_reach_every_verdict() -> None:
    """Or the comparison above would be about little."""
    dice = random.Random(1)
    seen = Counter(judge(DEFAULT, ENDS, any_frame(dice), any_meta(dice)) for _ in range(5000))
    verdicts = ("OK", "FILTER", "HEADER", "FRAGMENT", "IP_OPTIONS", "VLAN", "SOURCE", "OFFLOAD")
    assert min(seen[v] for v in verdicts) > 10, seen


def test_frames_of_every_kind_under_one_policy(program: Path) -> None:
    policy, cases, wanted = hunt()
    assert verdicts(program, compile_table(policy, ENDS), cases) == ["OK", *wanted]


DEFECTS = {
    "flags": Defect("filter.c", "default: return 0;", "default: return 1;"),
    "options": Defect("filter.c", "frame[at + 1] < 2 || ", "frame[at + 1] == 0 || "),
    "fragment": Defect("filter.c", "(fragment & 0x3fff) != 0", "(fragment & 0x1fff) != 0"),
    "ip options": Defect("filter.c", "if (header != IPV4)", "if (header > 40)"),
    "total": Defect("filter.c", " || total > room", ""),
    "padding": Defect("filter.c", "if (total < room && length > IST_FRAME_MIN)", "if (0)"),
    "udp": Defect("filter.c", "be16(t + 4) != n", "be16(t + 4) > n"),
    "sender": Defect("filter.c", "if (be48(frame + 6) != f->peer)", "if (0)"),
    "arp": Defect("filter.c", "if (be48(arp + 8) != sender)", "if (0)"),
    "nested": Defect("filter.c", " || type == TYPE_VLAN)", ")"),
    "halving": Defect("filter.c", "half != 0; half /= 2", "half > 1; half /= 2"),
    "source": Defect("filter.c", "rules &= rules_of(f, IST_FILTER_SOURCE, p.source);", "p.source = 0;"),
    "from": Defect("filter.c", " & rules_of(f, IST_FILTER_FROM, p.from)", ""),
    "checksum": Defect("filter.c", " || m->csum_start != p->transport", ""),
    "payload length": Defect("filter.c", " || be16(ip + 4) != room - IPV6", ""),
    "extension headers": Defect("filter.c", "p->protocol == ROUTING", "0"),
    "fragment header": Defect("filter.c", "if (p->protocol == FRAGMENT)", "if (0)"),
    "IPv6 network": Defect("filter.c", "rules &= rules_of(f, IST_FILTER_SOURCE_NET, p.source_net);", ""),
    "IPv6 destination": Defect("filter.c", "nets = rules_of(f, IST_FILTER_TARGET_NET, p.target_net);", ""),
    "advertisement": Defect("filter.c", "be64(t + 8) != p->source_net || ", ""),
    "segments": Defect("filter.c", " || gso != p->gso", ""),
}


@pytest.mark.parametrize("name", DEFECTS)
def test_a_defect_is_found(name: str, tmp_path_factory: pytest.TempPathFactory) -> None:
    program = defective(tmp_path_factory, "judge", DEFECTS[name], "-O1")
    policy, cases, wanted = hunt()
    assert verdicts(program, compile_table(policy, ENDS), cases)[1:] != wanted


@functools.cache
def hunt() -> tuple[tuple[Rule, ...], list[Case], list[str]]:
    """A policy with something of everything, frames, and what is right."""
    dice = random.Random(2)
    tagged, back = Rule("tagged", "ipv4", vlan=5), Rule("back", "ipv4", protocol="tcp", source_port=7)
    ranged = tuple(Rule(f"p{p}", "ipv4", protocol="udp", port=f"{p}-{p + 1}") for p in (1, 6, 79, 5000))
    policy = (tagged, back, *ranged, *SIX[:-1], *(r for r in DEFAULT if r.protocol != "udp"))
    samples: list[Case] = [(frame, Meta(), 0) for frame, _ in (*SAMPLES.values(), *SIX_SAMPLES.values())]
    samples += [(frame, meta, 0) for frame, meta, _ in (*OFFLOADS, *SIX_OFFLOADS)]
    cases = [(any_frame(dice), any_meta(dice), 0) for _ in range(8000)] + samples
    return policy, cases, expected(policy, cases)


# ---- rates -------------------------------------------------------------------------------------------------


def test_a_rule_keeps_its_rate_and_others_theirs(program: Path) -> None:
    policy = (
        Rule("slow", "ipv4", protocol="udp", port=7, frames_per_second=1000, burst_frames=3),
        Rule("fast", "ipv4", protocol="udp", port=8),
    )
    slow, fast = ipv4(17, udp(7)), ipv4(17, udp(8))
    cases = [(f, Meta(), 10_000 * i) for i in range(1000) for f in (slow, fast)]  # for 10 ms, each 10 us
    said = verdicts(program, compile_table(policy, ENDS), cases)[1:]
    assert Counter(said[1::2]) == {"OK": 1000}
    assert Counter(said[0::2]) == {"OK": 3 + 9, "RATE": 1000 - 12}  # the burst, then one per ms


def test_frames_to_groups_share_a_budget_that_refused_ones_cost_too(program: Path) -> None:
    policy = (Rule("arp", "arp", group="broadcast"), Rule("ping", "ipv4", protocol="icmp"))
    table = compile_table(policy, ENDS, "in", 1000, 2)
    stray = ipv4(17, udp(7), mac=b"\xff" * 6, target="10.77.0.255")
    frames = [stray, arp(), arp(), ipv4(1, b"\x08" + bytes(7))]
    said = verdicts(program, table, [(frame, Meta(), 5) for frame in frames])[1:]
    assert said == ["FILTER", "OK", "BROADCAST", "OK"]


def test_a_rule_of_another_lane_lets_nothing_pass_by_this_one(program: Path) -> None:
    policy = (
        Rule("bulk", "ipv4", protocol="udp", port=7),
        Rule("critical", "ipv4", protocol="udp", port=8, lane="critical"),
    )
    cases = [(ipv4(17, udp(port)), Meta(), 0) for port in (7, 8)]
    for lane, said in {"bulk": ["OK", "LANE"], "critical": ["LANE", "OK"]}.items():
        assert verdicts(program, compile_table(policy, ENDS, lane=lane), cases)[1:] == said


# ---- tables ------------------------------------------------------------------------------------------------


def table_of(rules: int, limits: int, spans: Sequence[tuple[int, int]], at: int | None = None) -> list[int]:
    """A table whose fields all have these spans, at `at` or at its end."""
    head = [rules, 0, 0, 0, 0] + [0] * len(FIELDS) + [0] * limits
    for i in range(SPAN, RATES):
        head[i] = (len(head) if at is None else at) << 32 | len(spans)
    return head + ([word for span in spans for word in span] if at is None else [])


ONE = [(0, 0)]
TABLES = {
    "no rule": (table_of(0, 0, ONE), "OK"),
    "a rule": (table_of(1, 2, [(0, 1)]), "OK"),
    "as many rules as there may be": (table_of(64, 128, [(0, 2**64 - 1)]), "OK"),
    "a rule too many": (table_of(65, 130, ONE), "BAD_FILTER"),
    "nothing": ([], "BAD_FILTER"),
    "a head cut short": (table_of(0, 0, ONE)[: RATES - 1], "BAD_FILTER"),
    "limits cut short": (table_of(1, 1, ONE, at=BROADCAST), "BAD_FILTER"),
    "spans in the head": (table_of(1, 2, ONE, at=BROADCAST), "OK"),
    "spans cut short": (table_of(0, 0, ONE)[:-1], "BAD_FILTER"),
    "spans behind the end": (table_of(0, 0, ONE, at=RATES + 1), "BAD_FILTER"),
    "no power of two": (table_of(0, 0, [(0, 0), (1, 0), (2, 0)]), "BAD_FILTER"),
    "as many spans as there may be": (table_of(0, 0, [(i, 0) for i in range(256)]), "OK"),
    "twice as many": (table_of(0, 0, [(i, 0) for i in range(512)]), "BAD_FILTER"),
    "a rule that is not there": (table_of(1, 2, [(0, 2)]), "BAD_FILTER"),
    "a begin behind 0": (table_of(0, 0, [(1, 0)]), "BAD_FILTER"),
    "spans that go back": (table_of(0, 0, [(0, 0), (2, 0), (1, 0), (3, 0)]), "BAD_FILTER"),
}


@pytest.mark.parametrize("name", TABLES)
def test_a_table_is_held_to_its_bounds(name: str, program: Path) -> None:
    table, said = TABLES[name]
    assert verdicts(program, table, []) == [said]


def test_the_largest_policy_fits(program: Path) -> None:
    policy = tuple(
        Rule(f"r{i}", "ipv4", protocol="udp", port=f"{900 * i}-{900 * i + 9}", source_port=2 * i + 1,
             source=f"10.{2 * i}.0.0/16", destination=f"10.99.{2 * i}.0/28")
        for i in range(64)
    )  # fmt: skip
    check(policy, ENDS)
    table = compile_table(policy, ENDS)
    spans = [word & 0xFFFFFFFF for word in table[SPAN:RATES]]
    assert max(spans) == SPANS_MAX
    frames = [
        ipv4(17, udp(900 * i + 3, source=2 * i + 1), f"10.{2 * i}.1.1", f"10.99.{2 * i}.5") for i in range(64)
    ]
    assert verdicts(program, table, [(f, Meta(), 0) for f in frames]) == ["OK"] * 65


@settings(max_examples=100, deadline=None)
@given(at=st.integers(0, 40), value=st.integers(0, 2**64 - 1), cut=st.integers(0, 40))
def test_a_broken_table_is_refused_or_harmless(program: Path, at: int, value: int, cut: int) -> None:
    """The program runs under sanitizers: whatever the table says, the walk stays inside it."""
    table = compile_table(DEFAULT, ENDS)
    table[at] = value
    cases = [(frame, Meta(), 0) for frame, _ in SAMPLES.values()]
    said = verdicts(program, table[: len(table) - cut], cases)
    assert said == ["BAD_FILTER"] or len(said) == len(cases) + 1


def test_a_table_whose_spans_are_not_in_order_is_refused(program: Path) -> None:
    """Nor one that has none for a field, or does not begin at 0: the walk would find another rule, or none."""
    whole = compile_table(DEFAULT, ENDS)
    field = next(i for i in range(SPAN, SPAN + len(FIELDS)) if whole[i] & 0xFFFFFFFF > 1)
    begin = whole[field] >> 32
    changes = {field: begin << 32, begin: 1, begin + 2: whole[begin + 4] + 1}
    for at, value in changes.items():
        table = compile_table(DEFAULT, ENDS)
        table[at] = value
        assert verdicts(program, table, []) == ["BAD_FILTER"], (at, value)
    assert verdicts(program, whole, []) == ["OK"]


# ---- policies that cannot be -------------------------------------------------------------------------------

# ruff: noqa: E501 - a message is one line here as it is there
BAD = {
    "unknown key": ('colour = "red"', "filter[0].colour: unknown key"),
    "unknown protocol": ('protocol = "tpc"', "filter[0].protocol: invalid enum value 'tpc'"),
    "unknown ethertype": ('ethertype = "ipv5"', "filter[0].ethertype: invalid enum value 'ipv5'"),
    "no name": ('name = ""', "filter[0].name: '' is not a name"),
    "a length for an EtherType": ("ethertype = 0x5dc", "filter[0].ethertype: 0x5dc is not within 0x600"),
    "IPv6 without addresses": ('ethertype = "ipv6"', "filter[0].ethertype: IPv6, and the board gives neither normal.ip6 nor"),
    "IPv6 by number": ("ethertype = 0x86dd", "filter[0].ethertype: IPv6, and the board gives neither normal.ip6 nor"),
    "a protocol that IPv6 walks on from": ('ethertype = "ipv6"\nprotocol = 51', "filter[0].protocol: 51: over IPv6 only tcp, udp, icmpv6"),
    "ICMP of IPv6": ('ethertype = "ipv6"\nprotocol = "icmp"', "filter[0].protocol: icmp: over IPv6 only tcp, udp, icmpv6"),
    "ICMPv6 of IPv4": ('protocol = "icmpv6"', "filter[0].protocol: icmpv6 is for IPv6 alone"),
    "a group of IPv6 by MAC": ('ethertype = "ipv6"\ngroup = "33:33:ff:00:00:02"', "filter[0].group: 33:33:ff:00:00:02: an IPv6 group is"),
    "broadcast of IPv6": ('ethertype = "ipv6"\ngroup = "broadcast"', "filter[0].group: broadcast: an IPv6 group is named"),
    "a group of the other": ('ethertype = "ipv6"\ngroup = "224.0.0.1"', "filter[0].group: only IPv4 has groups by IPv4 address"),
    "a group of this one": ('group = "ff02::1"', "filter[0].group: only IPv6 has groups by IPv6 address"),
    "a network of IPv4": ('ethertype = "ipv6"\nsource = "10.0.0.0/8"', "filter[0].source: '10.0.0.0/8' is not an IPv6 network"),
    "a tag": ("ethertype = 0x8100", "filter[0].ethertype: 0x8100 is a VLAN tag: use vlan"),
    "vlan": ("vlan = 4095", "filter[0].vlan: 4095 is not within 0..4094"),
    "priority": ('vlan = 5\npriority = "6-8"', "filter[0].priority: 6-8 is not within 0..7"),
    "priority without a tag": ("priority = 5", "filter[0].priority: only a frame with a VLAN tag has one"),
    "port without a protocol": ("port = 7", "filter[0].port: only TCP and UDP have ports"),
    "a port of IPv6": ('ethertype = "ipv6"\nport = 7', "filter[0].port: only TCP and UDP have ports"),
    "port of ICMP": ('protocol = "icmp"\nport = 7', "filter[0].port: only TCP and UDP have ports"),
    "port range": ('protocol = "udp"\nport = "9-7"', "filter[0].port: 9-7 is not within 0..65535, lowest first"),
    "port": ('protocol = "udp"\nport = "http"', "filter[0].port: 'http' is neither a number nor a range"),
    "ICMP type of UDP": ('protocol = "udp"\nicmp = 8', "filter[0].icmp: only ICMP has types"),
    "protocol of ARP": ('ethertype = "arp"\nprotocol = "udp"', "filter[0].protocol: only IPv4 and IPv6 have"),
    "address of a raw type": ('ethertype = 0x88b5\nsource = "10.0.0.0/8"', "filter[0].source: only ARP, IPv4 and IPv6 have"),
    "no network": ('source = "10.77.0.9/24"', "filter[0].source: '10.77.0.9/24' is not an IPv4 network"),
    "our own address": ('source = "10.77.0.2"', "filter[0].source: 10.77.0.2 holds no address that a peer may"),
    "no group": ('group = "02:00:00:00:00:01"', "filter[0].group: 02:00:00:00:00:01 is not a group's address"),
    "group elsewhere": (
        'group = "224.0.1.129"\ndestination = "10.77.0.2"',
        "filter[0].destination: 10.77.0.2 does not hold the group 224.0.1.129",
    ),
    "no group's address": ('group = "10.77.0.3"', "filter[0].group: 10.77.0.3 is not a group's address"),
    "group by MAC": ('group = "01:00:5e:00:00:01"', "filter[0].group: 01:00:5e:00:00:01: an IPv4 group is named"),
    "garbage": ('group = "everybody"', "filter[0].group: 'everybody' is neither broadcast nor"),
    "rate above the budget": (
        "frames_per_second = 512001", "filter[0].frames_per_second: 512001 is above secure.budget.frames, 512000 a second",
    ),
    "burst without a rate": ("burst_frames = 9", "filter[0].burst_frames: without frames_per_second"),
    "same name": ('\n[[filter]]\nname = "a"\nethertype = "arp"', "filter[1].name: 'a' is also filter[0].name"),
    "never matches": (
        '\n[[filter]]\nname = "b"\nethertype = "ipv4"\nprotocol = "udp"\nport = 7',
        "filter[1]: 'b' never matches: filter[0] 'a' names all of it before",
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", BAD)
def test_a_bad_policy_is_one_line_with_file_key_and_reason(name: str) -> None:
    lines, says = BAD[name]
    head = {"name": '"a"', "ethertype": '"ipv4"'}
    for line in lines.partition("\n[[")[0].splitlines():
        head.pop(line.partition(" =")[0], None)
    text = "[[filter]]\n"
    text += "".join(f"{key} = {value}\n" for key, value in head.items()) + lines
    with pytest.raises(ConfigError) as refusal:
        board.decode(text, "my.toml")
    said = str(refusal.value)
    assert said.startswith(f"my.toml: {says}"), said
    assert "\n" not in said


def test_too_many_rules() -> None:
    policy = tuple(Rule(f"r{i}", "ipv4", protocol="udp", port=i) for i in range(65))
    with pytest.raises(Problem, match="65 rules, at most 64"):
        check(policy, ENDS)


def test_without_a_rule_nothing_passes(program: Path) -> None:
    table = board.decode("filter = []\nflow = []\n[[secure.task]]").filter_table("in")
    frames = [(frame, Meta(), 0) for frame, said in SAMPLES.values() if said == "OK"]
    assert set(verdicts(program, table, frames)[1:]) == {"VLAN"}


def test_what_is_sent_is_judged_where_a_rule_says_so(program: Path) -> None:
    assert board.Board().filter_table("out") == []
    rule = Rule("answers", "ipv4", direction="out", protocol="udp", source_port=7)
    table = board.Board(filter=(*DEFAULT, rule)).filter_table("out")
    answer = ipv4(17, udp(4000, source=7), "10.77.0.2", "10.77.0.1", mac=PEER, sender=OWN)
    leak = ipv4(17, udp(4000, source=8), "10.77.0.2", "10.77.0.1", mac=PEER, sender=OWN)
    assert verdicts(program, table, [(answer, Meta(), 0), (leak, Meta(), 0)]) == ["OK", "OK", "FILTER"]


@pytest.mark.host
@pytest.mark.needs("processes")
def test_what_no_rule_lets_out_is_dropped_and_counted() -> None:
    rules = (
        *DEFAULT,
        Rule("arp-out", "arp", direction="out"),
        Rule("arp-announced", "arp", direction="out", group="broadcast"),
        Rule("echoes", "ipv4", direction="out", protocol="udp", source_port=7),
    )
    there = "10.77.0.2"
    with HostMachine(msgspec.structs.replace(board.load(), filter=rules)) as machine:
        with machine.socket(socket.AF_INET, socket.SOCK_DGRAM) as s:
            s.settimeout(20)
            s.connect((there, 7))
            s.send(b"may be answered")
            assert s.recv(100) == b"may be answered"
        before = machine.status("secure")["counters"]
        assert machine.run(["ping", "-q", "-c2", "-i0.1", "-W1", there]) == 1
        after = machine.status("secure")["counters"]
        assert after["EGRESS"] == before["EGRESS"] + 2
        assert after["FILTER"] == before["FILTER"]
