#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""What the allow-list costs a frame: instructions and processor time of one judgement.

    .venv/bin/python tools/filter_cost.py [--rounds N] [--rules N]

A list of so many rules, all but four of them ports, and a frame that the last of them names, over IPv4 and
over IPv6, judged by core/filter.c over and over in one thread. Instructions are counted by valgrind's
callgrind and are the same each time; of times the best round counts. Exit status 1: slower than LIMIT_NS.
"""

from __future__ import annotations

import argparse
import struct
import sys
import tempfile
from itertools import product
from pathlib import Path
from typing import Literal

from callgrind import collected, run

from isthmus.attack.frames import ipv4, ipv6, tcp, udp
from isthmus.filter import Ends, Rule, check, compile_table

ROOT = Path(__file__).parent.parent
LIMIT_NS = 40.0
FRAMES = 1_000_000
FLAGS = ("-std=c11", "-O2", "-D_GNU_SOURCE", f"-I{ROOT}/core")
ENDS = Ends(
    "02:49:53:00:00:02", "10.77.0.2/24", "02:49:53:00:00:01", "10.77.0.1/24", "fd77::2/64", "fd77::1/64"
)
TIMESTAMPS = bytes.fromhex("0101080a0000000100000002")  # TCP's usual options

Version = Literal["ipv4", "ipv6"]
Transport = Literal["udp", "tcp"]


def build(folder: Path) -> Path:
    program = folder / "filter-cost"
    sources = [Path(__file__).with_suffix(".c"), *sorted((ROOT / "core").glob("*.c"))]
    run(["gcc", *FLAGS, *map(str, sources), "-o", str(program)])
    return program


def question(rules: int, version: Version, transport: Transport) -> bytes:
    """The list and the frame, as filter_cost.c wants them. ValueError for fewer than 5 rules, or too many."""
    ports = [5000 + 3 * n for n in range(rules - 4)]
    if not ports:
        raise ValueError("a list has at least 5 rules here")
    listed = [
        Rule("arp", "arp"),
        Rule("asked", "arp", group="broadcast"),
        Rule("ping", "ipv4", protocol="icmp", icmp=8),
        Rule("tagged", version, vlan=5, priority="2-5", protocol=transport, port=80),
        *(Rule(f"port-{port}", version, protocol=transport, port=port) for port in ports),
    ]
    check(tuple(listed), ENDS)
    table = compile_table(listed, ENDS)
    body = udp(ports[-1], bytes(18)) if transport == "udp" else tcp(ports[-1], options=TIMESTAMPS)
    number = 17 if transport == "udp" else 6
    frame = ipv4(number, body) if version == "ipv4" else ipv6(number, body)
    return struct.pack(f"=I{len(table)}QI", len(table), *table, len(frame)) + frame


def instructions(program: Path, asked: Path) -> float:
    """Of one judgement. OSError without valgrind."""

    def counted(frames: int) -> int:
        return collected([str(program), str(frames), str(asked)])

    return (counted(3000) - counted(1000)) / 2000


def nanoseconds(program: Path, asked: Path) -> float:
    return float(run([str(program), str(FRAMES), str(asked)]))


def main() -> int:
    parser = argparse.ArgumentParser(description="What the allow-list costs a frame.")
    parser.add_argument("--rounds", type=int, default=15, help="of times, in turn")
    parser.add_argument("--rules", type=int, default=32, help="of the list")
    options = parser.parse_args()
    versions: tuple[Version, ...] = ("ipv4", "ipv6")
    transports: tuple[Transport, ...] = ("udp", "tcp")
    with tempfile.TemporaryDirectory(prefix="isthmus-") as folder:
        program, slowest = build(Path(folder)), 0.0
        print(f"{options.rules} rules, the last one's frame:")
        for version, transport in product(versions, transports):
            asked = Path(folder) / f"{transport}-{version}"
            asked.write_bytes(question(options.rules, version, transport))
            number = instructions(program, asked)
            time = min(nanoseconds(program, asked) for _ in range(options.rounds))
            slowest = max(slowest, time)
            print(f"  {transport} over {version}: {number:.0f} instructions, {time:.1f} ns")
    return 0 if slowest <= LIMIT_NS else 1


if __name__ == "__main__":
    try:
        sys.exit(main())
    except (OSError, ValueError) as error:
        print(f"filter_cost: {error}", file=sys.stderr)
        sys.exit(2)
