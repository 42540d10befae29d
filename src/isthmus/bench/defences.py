# SPDX-License-Identifier: MIT
"""What a frame's defences cost: the loops over the core as it is and without its checks, and over the filter.

Each loop is one thread that does nothing else, in a program of its own (native/defences): the same work
between two processors would also say how they wait for each other.
"""

from __future__ import annotations

import functools
import os
import re
import shutil
import struct
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from isthmus.bench.cases import RING_BYTES, TAGS, TRANSPORTS, VERSIONS, Case, Transport, Version
from isthmus.bench.program import CFLAGS, NATIVE
from isthmus.build import build_program
from isthmus.errors import EnvironmentProblem
from isthmus.filter import Ends, Rule, check, compile_table
from isthmus.resources import tree

__all__ = [
    "PIECES_MOST",
    "RULES",
    "allow_list",
    "channel_loop",
    "filter_loop",
    "loop",
    "question",
    "settings",
    "unchecked",
]

RULES = 32  # of the allow-list
SHORT = 256  # bytes
FRAMES_SHORT, FRAMES_LONG = 2048, 512  # of a piece; multiples of a batch
PIECES_MOST = 8192  # as in pieces.h

ENDS = Ends(
    "02:49:53:00:00:02", "10.77.0.2/24", "02:49:53:00:00:01", "10.77.0.1/24", "fd77::2/64", "fd77::1/64"
)
TIMESTAMPS = bytes.fromhex("0101080a0000000100000002")  # TCP's usual options

_LOOPS = NATIVE / "defences"
_REFUSAL = re.compile(r"    if \([^\n]*\)(?: /\*[^\n]*\*/)?\n        return IST_V_(?!OK)\w+;\n")
_REFUSALS = 6
_CHOICES = {
    "return *size > available ? IST_V_LENGTH_OVERRUN : IST_V_OK;": "return IST_V_OK;",
    "    if (*gap <= slack)\n        return IST_V_OK;\n    return *gap >> 31 ? IST_V_REPLAY : IST_V_GAP;":
        "    return IST_V_OK;",
}  # fmt: skip


def unchecked(text: str) -> str:
    """check.h whose judgements all say OK. EnvironmentProblem where one is left, or was not found."""
    text, refusals = _REFUSAL.subn("", text)
    for was, becomes in _CHOICES.items():
        if text.count(was) != 1:
            raise EnvironmentProblem(f"core/check.h does not say {was!r} once")
        text = text.replace(was, becomes)
    if refusals != _REFUSALS or re.search(r"return .*IST_V_(?!OK)", text):
        raise EnvironmentProblem("core/check.h has other refusals than are taken out here")
    return text


@functools.cache
def channel_loop(checks: bool = True) -> Path:
    """channel.c over the core, or over a copy of it without the checks; no product has such a switch.

    Raises EnvironmentProblem without a compiler, or where the copy cannot be made.
    """
    core = tree() / "core"
    if checks:
        return _build("isthmus-bench-channel", core)
    with tempfile.TemporaryDirectory(prefix="isthmus-") as folder:
        copy = Path(folder) / "core"
        shutil.copytree(core, copy)
        header = copy / "check.h"
        text = unchecked(header.read_text(encoding="utf-8"))
        header.unlink()  # a tree that may not be written to gives its files' modes along
        header.write_text(text, encoding="utf-8")
        return _build("isthmus-bench-channel-unchecked", copy)


def _build(name: str, core: Path) -> Path:
    host = tree() / "host"
    return build_program(
        name,
        sources=[_LOOPS / "channel.c", *sorted(core.glob("*.c")), host / "link.c"],
        includes=[core, host, _LOOPS],
        cflags=CFLAGS,
    )


@functools.cache
def filter_loop() -> Path:
    """filter.c over the core. Raises EnvironmentProblem without a compiler."""
    core = tree() / "core"
    return build_program(
        "isthmus-bench-filter",
        sources=[_LOOPS / "filter.c", *sorted(core.glob("*.c"))],
        includes=[core, _LOOPS],
        cflags=CFLAGS,
    )


def allow_list(rules: int, version: Version, transport: Transport) -> bytes:
    """A list of so many rules, all but four of them ports, and a frame that the last of them names, as
    filter.c reads them. ValueError for fewer than 5 rules, or too many.
    """
    from isthmus.attack.frames import ipv4, ipv6, tcp, udp  # brings every attack along: only where it is used

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


@contextmanager
def question(text: bytes) -> Iterator[int]:
    """A descriptor of a file that says so, in memory."""
    fd = os.memfd_create("isthmus-bench-question", 0)
    try:
        os.write(fd, text)
        yield fd
    finally:
        os.close(fd)


@contextmanager
def loop(case: Case, frame: int) -> Iterator[tuple[list[str], list[int]]]:
    """The program of a case with its own arguments, and the descriptors that it is to inherit.

    Raises EnvironmentProblem as the loops do."""
    kind, *what = case.loop.split(".")
    if kind == "channel":
        program = channel_loop(checks=case.checks)
        yield [str(program), str(frame), str(RING_BYTES), str(TAGS[case.tag])], []
        return
    version, transport = what
    if version not in VERSIONS or transport not in TRANSPORTS:
        raise ValueError(f"no loop {case.loop!r}")
    with question(allow_list(RULES, version, transport)) as fd:
        yield [str(filter_loop()), f"/proc/self/fd/{fd}"], [fd]


def settings(cpu: int, frame: int, microseconds: int) -> list[str]:
    """Each loop's first arguments: pieces of 20 to 1,000 us of one processor's, for so long."""
    frames = FRAMES_LONG if frame > SHORT else FRAMES_SHORT
    return [str(cpu), str(frames), str(PIECES_MOST), str(microseconds)]
