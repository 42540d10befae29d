# SPDX-License-Identifier: MIT
"""What scapy crafts for the campaign: the same frames for a seed, of every shape, each with a verdict."""

from __future__ import annotations

import subprocess
import sys
from collections import Counter, defaultdict

import msgspec
import pytest

from isthmus import attack
from isthmus.attack.crafted import craft
from isthmus.board import load
from isthmus.errors import EnvironmentProblem
from isthmus.filter import Rule
from isthmus.lanes import Lane

PASSING = {"a wrong checksum", "a segment of no connection", "a large ping"}


def test_every_shape_is_refused_by_a_name_or_let_pass_by_a_rule(seed: int) -> None:
    found: dict[str, Counter[str]] = defaultdict(Counter)
    for one in craft(load(), seed, 4):
        found[one.shape][one.verdict] += 1
    assert len(found) >= 35
    named = Counter(name for verdicts in found.values() for name in verdicts)
    assert set(named) == {"OK", "HEADER", "IP_OPTIONS", "FRAGMENT", "SOURCE", "FILTER", "VLAN"}
    assert {shape for shape, verdicts in found.items() if set(verdicts) == {"OK"}} >= PASSING
    assert found["IPv4: source routing and other options"] == {"IP_OPTIONS": 4}
    assert found["ARP: claims another's MAC"] == {"SOURCE": 4}


def test_ipv6_is_refused_by_more_than_one_name(seed: int) -> None:
    """Where the board has rules for it; there is none for a router, nor for anything behind other headers."""
    board = load(changes=['normal.ip6="fd77::1/64"', 'secure.ip6="fd77::2/64"'])
    rules = (
        Rule("echo-6", "ipv6", protocol="udp", port=7),
        Rule("icmp-6", "ipv6", protocol="icmpv6", icmp=136),
    )
    found: dict[str, Counter[str]] = defaultdict(Counter)
    for one in craft(msgspec.structs.replace(board, filter=(*board.filter, *rules)), seed, 8):
        if one.shape.startswith("IPv6: "):
            found[one.shape.removeprefix("IPv6: ")][one.verdict] += 1
    assert found["version"] == found["payload length"] == {"HEADER": 8}
    assert found["another's source"] == {"SOURCE": 8}
    assert (
        found["another's address"]
        == found["other extension headers"]
        == found["a listener's report"]
        == {"FILTER": 8}
    )
    assert found["routing, hop-by-hop and destination options"] == {"IP_OPTIONS": 8}
    assert found["fragments"] == {"FRAGMENT": 8}
    assert set(found["neighbour discovery"]) <= {"SOURCE", "FILTER"}


def test_a_seed_replays() -> None:
    assert craft(load(), 7, 1) == craft(load(), 7, 1) != craft(load(), 8, 1)


def test_what_is_the_critical_lanes_is_left_out() -> None:
    board = load()
    lane = Lane("critical", frames=16)
    moved = tuple(msgspec.structs.replace(r, lane="critical") for r in board.filter if r.name == "ping")
    others = tuple(r for r in board.filter if r.name != "ping")
    with_lane = msgspec.structs.replace(board, lane=(lane,), filter=(*moved, *others))
    assert "a large ping" in {one.shape for one in craft(board, 7, 1)}
    assert "a large ping" not in {one.shape for one in craft(with_lane, 7, 1)}


def test_without_scapy_it_says_so_before_it_runs_anything(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    for machine in ("host", "qemu"):
        with pytest.raises(EnvironmentProblem, match=r"no scapy here .*: pip install 'isthmus\[attack\]'"):
            attack.run(machine, attack.select(machine, ["pkt-*"]), seed=1)


def test_without_scapy_the_command_ends_with_one_line() -> None:
    script = "import sys; sys.modules['scapy'] = None; from isthmus.cli import main; sys.exit(main())"
    argv = ["attack", "--machine", "host", "--only", "pkt-81"]
    done = subprocess.run(
        [sys.executable, "-c", script, *argv], capture_output=True, text=True, timeout=60, check=False
    )
    assert (done.returncode, done.stdout) == (2, "")
    (line,) = done.stderr.splitlines()
    assert line.startswith("isthmus: no scapy here")
