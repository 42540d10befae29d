# SPDX-License-Identifier: MIT
"""IPv6 in the allow-list: what it makes of addresses, headers, neighbour discovery and offload fields."""

from __future__ import annotations

import socket
from collections import Counter
from pathlib import Path

import msgspec
import pytest

from core_programs import SANITIZED, build
from filter_frames import (
    ALL_NODES,
    ENDS,
    SIX,
    SIX_OFFLOADS,
    SIX_SAMPLES,
    SOLICITED,
    SOLICITED_MAC,
    ping6,
    verdicts,
)  # fmt: skip
from isthmus import board
from isthmus.attack.frames import OWN, arp, ipv6, neighbour, udp
from isthmus.filter import DEFAULT, Rule, check, compile_table
from isthmus.filter.oracle import Meta, judge
from isthmus.host import HostMachine


@pytest.fixture(scope="module")
def program(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return build(tmp_path_factory, "judge", *SANITIZED, "-O2")


@pytest.mark.parametrize("name", SIX_SAMPLES)
def test_ipv6_sample(name: str, program: Path) -> None:
    frame, said = SIX_SAMPLES[name]
    assert judge(SIX, ENDS, frame) == said
    assert verdicts(program, compile_table(SIX, ENDS), [(frame, Meta(), 0)]) == ["OK", said]


def test_no_ipv6_without_a_rule(program: Path) -> None:
    cases = [
        (frame, Meta(), 0) for frame, said in SIX_SAMPLES.values() if said == "OK" and b"\x81\0" not in frame
    ]
    assert set(verdicts(program, compile_table(DEFAULT, ENDS), cases)[1:]) == {"FILTER"}


@pytest.mark.parametrize(("frame", "meta", "said"), SIX_OFFLOADS)
def test_offload_fields_are_held_to_ipv6(frame: bytes, meta: Meta, said: str, program: Path) -> None:
    assert judge(SIX, ENDS, frame, meta) == said
    assert verdicts(program, compile_table(SIX, ENDS), [(frame, meta, 0)]) == ["OK", said]


def test_a_rule_may_name_networks_of_ipv6(program: Path) -> None:
    """A sender has neither our identifiers, in no network, nor none."""
    policy = (
        Rule("near", "ipv6", source="fd77::/64", destination="fd77::8/125"),
        Rule("far", "ipv6", protocol="udp", source="::/0", group=ALL_NODES),
    )
    check(policy, ENDS)
    all_nodes = bytes.fromhex("333300000001")
    wanted = {
        ("fd77::3", "fd77::8"): "OK",
        ("fd77::3", "fd77::f"): "OK",
        ("fd77::3", "fd77::10"): "FILTER",
        ("fd77::2", "fd77::8"): "SOURCE",
        ("fd78::3", "fd77::8"): "SOURCE",
        ("fd78::3", ALL_NODES): "OK",
        ("fd78::2", ALL_NODES): "SOURCE",
        ("fd78::", ALL_NODES): "SOURCE",
        ("::3", ALL_NODES): "SOURCE",
        ("ff02::3", ALL_NODES): "SOURCE",
    }
    cases = [(ipv6(17, udp(7), a, b, mac=all_nodes if b == ALL_NODES else OWN), Meta(), 0) for a, b in wanted]
    assert verdicts(program, compile_table(policy, ENDS), cases) == ["OK", *wanted.values()]
    assert [judge(policy, ENDS, frame) for frame, _, _ in cases] == [*wanted.values()]


def test_groups_of_ipv6_cost_the_budget_of_all_groups(program: Path) -> None:
    asked = ipv6(58, neighbour(135, "fd77::2"), target=SOLICITED, mac=SOLICITED_MAC)
    table = compile_table((*DEFAULT, *SIX), ENDS, "in", 1000, 2)
    said = verdicts(program, table, [(frame, Meta(), 5) for frame in (asked, arp(), asked, ping6())])[1:]
    assert said == ["OK", "OK", "BROADCAST", "OK"]


@pytest.mark.host
@pytest.mark.needs("processes")
def test_what_linux_sends_by_ipv6_is_judged() -> None:
    """As its stack makes it: from the board's address to a service, and otherwise refused for its reason."""
    here, there = "fd77::1", "fd77::2"
    both = board.load(changes=[f'normal.ip6="{here}/64"', f'secure.ip6="{there}/64"'])
    with HostMachine(msgspec.structs.replace(both, filter=(*DEFAULT, *SIX))) as machine:

        def counted(*datagrams: tuple[str, int, int]) -> Counter[str]:
            for source, port, size in datagrams:
                with machine.socket(socket.AF_INET6, socket.SOCK_DGRAM) as s:
                    s.bind((source, 0))
                    s.sendto(bytes(size), (there, port))
            with machine.socket(socket.AF_INET, socket.SOCK_DGRAM) as s:  # it comes behind them
                s.settimeout(20)
                s.sendto(b"the last", (both.secure.address, 7))
                assert s.recv(100) == b"the last"
            return Counter(machine.status("secure")["counters"])

        name = both.normal.interface
        at = [
            there,
            "lladdr",
            both.secure.mac,
            "nud",
            "permanent",
        ]  # lwIP is built without IPv6
        assert machine.run(["ip", "-6", "neigh", "replace", *at, "dev", name]) == 0
        assert machine.run(["ip", "-6", "addr", "add", "fd77::9/64", "dev", name, "nodad"]) == 0
        before = counted()
        after = counted(*[(here, 7, 1)] * 3, *[(here, 9, 1)] * 5, ("fd77::9", 7, 1), (here, 7, 3000))
        found = after - before
        assert (found["OK"], found["SOURCE"], found["FRAGMENT"]) == (3 + 1, 1, 3), found
        assert found["FILTER"] >= 5, found  # what Linux says of itself to groups is refused, too
