# SPDX-License-Identifier: MIT
"""Other channels than the boards' own, on both machines: larger frames, tags, cursors about to wrap."""

from __future__ import annotations

import random
import socket

import pytest

from host_tools import RawTraffic
from isthmus.check import traffic
from isthmus.check.counters import at_rest, balance
from machines import machine_called

LARGE = ("channel.frame_max=65552", "normal.ring_bytes=1048576", "secure.ring_bytes=1048576")
LATE = ("channel.first_cursor=0xfffff000", "channel.first_sequence=0xfffffffd")
CHANNELS = {
    "mtu 9000, siphash": (*LARGE, "channel.mtu=9000", "channel.tag='siphash'", *LATE),
    "mtu 65000": (*LARGE, "channel.mtu=65000"),
    "crc32c": ("channel.tag='crc32c'", *LATE),
}
USUAL_ON_QEMU = ("mtu 9000, siphash",)  # each is a firmware of its own

PLACES = [pytest.param("host", name, marks=pytest.mark.host, id=f"host-{name}") for name in CHANNELS] + [
    pytest.param(
        "qemu",
        name,
        marks=[pytest.mark.qemu, *(() if name in USUAL_ON_QEMU else (pytest.mark.slow,))],
        id=f"qemu-{name}",
    )
    for name in CHANNELS
]


@pytest.mark.parametrize(("place", "name"), PLACES)
def test_traffic_over_another_channel(
    place: str, name: str, seed: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(traffic, "TCP_BYTES", 1 << 20)
    with machine_called(place, CHANNELS[name]) as machine:
        address, largest = machine.board.secure.address, machine.board.channel.mtu - 28
        sent = random.Random(seed).randbytes(largest)
        with machine.socket(socket.AF_INET, socket.SOCK_DGRAM) as s:
            s.settimeout(20)
            s.connect((address, 7))
            s.send(sent)
            assert s.recv(1 << 16) == sent
        assert machine.command("ping", "-q", "-c", 3, "-s", largest, address).status == 0
        row = traffic.tcp(machine.real, address, seed)
        assert row.ok, row.detail
        with RawTraffic(machine, incarnation=seed + 1) as raw:
            for _ in range(20):
                raw.send()
                assert raw.settle()
            assert raw.faults() == (0, 0, 0)
        found = balance(None, at_rest(machine.real))
        assert {world: b.unexplained for world, b in found.items()} == {"normal": 0, "secure": 0}
        assert not any(b.refused for b in found.values())
