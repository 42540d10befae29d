# SPDX-License-Identifier: MIT
"""Board files: the one that ships says what the code's defaults say; every mistake is one line with file and
key."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from isthmus import board
from isthmus.config import ChannelConfig
from isthmus.errors import ConfigError

BAD = {
    "ring not a power of two": (
        "normal.ring_bytes = 200000",
        "normal.ring_bytes: 200000 is not a power of two",
    ),
    "ring too small": ("secure.ring_bytes = 2048", "secure.ring_bytes: 2048 is not within 4096..1073741824"),
    "ring too large": ("secure.ring_bytes = 2147483648", "secure.ring_bytes: 2147483648 is not within"),
    "frame limit beyond the ring": (
        "channel.frame_max = 9018\nnormal.ring_bytes = 8192",
        "channel.frame_max: 9018 is beyond the ring: a record of 9040 bytes, normal.ring_bytes = 8192",
    ),
    "frame limit beyond every frame": (
        "channel.frame_max = 70000",
        "channel.frame_max: 70000 is not within 60..65552",
    ),
    "frame limit below every frame": ("channel.frame_max = 59", "channel.frame_max: 59 is not within"),
    "mtu above the frame limit": (
        "channel.mtu = 9000\nchannel.frame_max = 1536",
        "channel.mtu: 9000 + 18 bytes of Ethernet exceed channel.frame_max = 1536",
    ),
    "mtu too small": ("channel.mtu = 45", "channel.mtu: 45 is not within 46.."),
    "unknown tag": ('channel.tag = "md5"', "channel.tag: invalid enum value 'md5'"),
    "silence negative": ("channel.silence_ms = -1", "channel.silence_ms: -1 is not within"),
    "cursor not aligned": ("channel.first_cursor = 8", "channel.first_cursor: 8 is not a multiple of 16"),
    "unknown key": ("channel.mtv = 1500", "channel.mtv: unknown key"),
    "unknown table": ("[chanel]\nmtu = 1500", "chanel: unknown key"),
    "wrong type": ('channel.mtu = "1500"', "channel.mtu: expected int, got str"),
    "a float for an integer": ("channel.mtu = 1500.5", "channel.mtu: expected int, got float"),
    "a table for a value": ("[normal.mac]\nx = 1", "normal.mac: expected str, got object"),
    "wrong kind": ('kind = "toaster"', "kind: invalid enum value 'toaster'"),
    "no prefix": ('normal.ip = "10.77.0.1"', "normal.ip: prefix /32 is not within /1../30"),
    "no address": ('secure.ip = "ten"', "secure.ip: 'ten' is not an IPv4 address"),
    "same address": ('secure.ip = "10.77.0.1/24"', "secure.ip: 10.77.0.1 is also normal.ip"),
    "other network": ('secure.ip = "10.78.0.2/24"', "secure.ip: 10.78.0.2/24 is not in normal.ip's network"),
    "other prefix": ('secure.ip = "10.77.0.2/16"', "secure.ip: 10.77.0.2/16 is not in normal.ip's network"),
    "network address": ('secure.ip = "10.77.0.0/24"', "secure.ip: 10.77.0.0 is the network's own"),
    "multicast address": ('normal.ip = "224.0.0.1/24"', "normal.ip: 224.0.0.1 is not an address for a host"),
    "one end of IPv6": ('normal.ip6 = "fd77::1/64"', "secure.ip6: '' is not an IPv6 address with its prefix"),
    "no IPv6 address": ('normal.ip6 = "10.77.0.1/24"', "normal.ip6: '10.77.0.1/24' is not an IPv6 address"),
    "no IPv6 prefix": ('normal.ip6 = "fd77::1"', "normal.ip6: prefix /128 is not /64"),
    "IPv6 group": ('normal.ip6 = "ff02::1/64"', "normal.ip6: ff02::1 is not an address for a host"),
    "IPv6 network": ('normal.ip6 = "fd77::/64"', "normal.ip6: fd77:: is not an address for a host"),
    "IPv6 loopback": ('normal.ip6 = "::1/64"', "normal.ip6: ::1 is not an address for a host"),
    "same IPv6 address": (
        'normal.ip6 = "fd77::1/64"\nsecure.ip6 = "fd77::1/64"',
        "secure.ip6: fd77::1: its last 64 bits, or those that its MAC makes, are also normal.ip6's",
    ),
    "IPv6 address that the other's MAC makes": (
        'normal.ip6 = "fd77::49:53ff:fe00:2/64"\nsecure.ip6 = "fd77::1/64"',
        "secure.ip6: fd77::1: its last 64 bits, or those that its MAC makes, are also normal.ip6's",
    ),
    "other IPv6 network": (
        'normal.ip6 = "fd77::1/64"\nsecure.ip6 = "fd78::2/64"',
        "secure.ip6: fd78::2/64 is not in normal.ip6's network fd77::/64",
    ),
    "mtu below IPv6's": (
        'normal.ip6 = "fd77::1/64"\nsecure.ip6 = "fd77::2/64"\nchannel.mtu = 1279',
        "channel.mtu: 1279 is below 1280, which IPv6 needs",
    ),
    "bad mac": ('normal.mac = "02:49:53:00:00"', "normal.mac: '02:49:53:00:00' is not a MAC address"),
    "multicast mac": (
        'normal.mac = "01:00:5e:00:00:01"',
        "normal.mac: 01:00:5e:00:00:01 is not a unicast address",
    ),
    "zero mac": (
        'secure.mac = "00:00:00:00:00:00"',
        "secure.mac: 00:00:00:00:00:00 is not a unicast address",
    ),
    "same mac": ('secure.mac = "02:49:53:00:00:01"', "secure.mac: 02:49:53:00:00:01 is also normal.mac"),
    "bad interface": ('normal.interface = "a b"', "normal.interface: 'a b' is not a name for an interface"),
    "loopback": ('normal.interface = "lo"', "normal.interface: 'lo' is not a name for an interface"),
    "no budget": ("secure.budget.step_frames = 0", "secure.budget.step_frames: 0 is not within"),
    "step beyond the period's frames": (
        "secure.budget.frames = 31",
        "secure.budget.step_frames: 32 is above secure.budget.frames = 31",
    ),
    "step beyond the period's bytes": (
        "secure.budget.bytes = 65600",
        "secure.budget.step_bytes: 98304 is above secure.budget.bytes = 65600",
    ),
    "quarantine that shrinks": (
        "recovery.quarantine_ms = 2000",
        "recovery.quarantine_max_ms: 1000 is not within 2000..",
    ),
    "no frames in a period": ("secure.budget.frames = 0", "secure.budget.frames: 0 is not within 1.."),
    "groups beyond the budget": (
        "secure.budget.broadcasts_per_second = 600000",
        "secure.budget.broadcasts_per_second: 600000 is above secure.budget.frames, 512000 a second",
    ),
    "a burst of groups beyond the budget": (
        "secure.budget.broadcast_burst = 513",
        "secure.budget.broadcast_burst: 513 is above secure.budget.frames = 512",
    ),
    "budget below a frame": (
        "secure.budget.step_bytes = 100",
        "secure.budget.step_bytes: 100 is not within 65552..",
    ),
    "deadline beyond period": (
        "[[secure.task]]\ndeadline_us = 2000",
        "secure.task[0].deadline_us: 2000 is not within 1..period_us = 1000",
    ),
    "cost beyond deadline": (
        "[[secure.task]]\ncost_us = 900\ndeadline_us = 500",
        "secure.task[0].cost_us: 900 is not within 0..deadline_us = 500",
    ),
    "period too short": ("[[secure.task]]\nperiod_us = 1", "secure.task[0].period_us: 1 is not within 100.."),
    "two tasks in one place": (
        '[[secure.task]]\nname = "a"\n[[secure.task]]\nname = "b"',
        "secure.task: 'a' and 'b' both run 'above': one task in each place",
    ),
    "two tasks of one name": (
        '[[secure.task]]\n[[secure.task]]\nruns = "below"',
        "secure.task: two tasks are called 'control'",
    ),
    "no task": ("secure.task = []", 'secure.task: no task runs "above"'),
    "no flow": (
        '[[secure.task]]\n[[secure.task]]\nname = "in"\nruns = "inside"',
        "secure.task[1].flow: '' is none of the flows ['setpoints']",
    ),
    "a flow that is kept out": (
        '[[filter]]\nname = "a"\nethertype = "ipv4"\nprotocol = "udp"\nport = "1-7699"',
        "flow[0]: no rule of the allow-list lets 'setpoints' (udp 7700) in",
    ),
    "a flow that is kept in": (
        '[[filter]]\nname = "a"\nethertype = "ipv4"\ndirection = "out"',
        "flow[0]: no rule of the allow-list lets 'setpoints' (udp 7700) in",
    ),
    "two flows of one name": (
        '[[flow]]\nname = "a"\nprotocol = "arp"\n[[flow]]\nname = "a"\nprotocol = "icmp"',
        "flow: two flows are called 'a'",
    ),
    "the same flow twice": (
        '[[flow]]\nname = "a"\nprotocol = "arp"\n[[flow]]\nname = "b"\nprotocol = "arp"',
        "flow: 'a' and 'b' are the same frames",
    ),
    "a port where there is none": (
        '[[flow]]\nname = "a"\nprotocol = "icmp"\nport = 7',
        "flow[0].port: 7 is not within 0..0",
    ),
    "a name that is none": ('[[flow]]\nname = "a b"\nprotocol = "arp"', "flow[0].name: 'a b' is not a name"),
    "an unfed watchdog": ("secure.watchdog_us = 1", "secure.watchdog_us: 1 is not 0 and below two periods"),
    "not toml": ("channel = [", "not TOML: "),
    "a number of many digits": (f"flow = {'9' * 5000}", "not TOML: Exceeds the limit"),
    "depth": (f"flow = {'[' * 5000}", "not a board: tables or arrays lie too deep"),
}


def test_the_board_that_ships_says_what_the_defaults_say() -> None:
    assert board.load() == board.Board()


@pytest.mark.parametrize("name", BAD)
def test_a_mistake_is_one_line_with_file_and_key(name: str, tmp_path: Path) -> None:
    text, expected = BAD[name]
    file = tmp_path / "my.toml"
    file.write_text(text)
    with pytest.raises(ConfigError) as caught:
        board.load(file)
    line = str(caught.value)
    assert line.startswith(f"{file}: {expected}"), line
    assert "\n" not in line


def test_a_file_that_cannot_be_read(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="No such file"):
        board.load(tmp_path / "missing.toml")
    with pytest.raises(ConfigError, match="Is a directory"):
        board.load(tmp_path)
    (tmp_path / "binary.toml").write_bytes(b"\xff\xfe")
    with pytest.raises(ConfigError, match="not UTF-8"):
        board.load(tmp_path / "binary.toml")


RINGS = [0, 2048, 4095, 4096, 4097, 8192, 12288, 65536, 131072, 1 << 30, 1 << 31]
NEAR = st.integers(-18, 18)


@st.composite
def geometries(draw: st.DrawFn) -> tuple[int, int, int, int]:
    """Rings, frame limit and MTU on either side of every border, mostly of one border at a time."""
    ring = st.sampled_from(RINGS) if draw(st.integers(0, 4)) == 0 else st.sampled_from([4096, 8192, 131072])
    normal, secure = draw(ring), draw(ring)
    border = st.sampled_from([60, 1536, 4064, 4080, 8160, 8176, 65552, min(normal, secure) - 16])
    frame = draw(border) + draw(NEAR)
    mtu = draw(st.sampled_from([46, frame - 18, frame, 60])) + draw(NEAR)
    return normal, secure, max(0, frame), max(0, mtu)


@settings(max_examples=1000)
@given(
    geometry=geometries(),
    tag=st.sampled_from(board.TAGS),
    cursor=st.sampled_from([0, 8, 16, 0xFFFFFFF0]),
)
def test_it_accepts_what_the_core_accepts(geometry: tuple[int, int, int, int], tag: str, cursor: int) -> None:
    """board.py names the key; ist_config_check() decides. They must never disagree."""
    normal, secure, frame_max, mtu = geometry
    try:
        ChannelConfig(
            ring_normal=normal,
            ring_secure=secure,
            frame_max=frame_max,
            mtu=mtu,
            tag=board.TAGS.index(tag),  # type: ignore[arg-type]
            first_cursor=cursor,
        )
        core = True
    except ConfigError:
        core = False
    text = (
        f'channel = {{frame_max = {frame_max}, mtu = {mtu}, tag = "{tag}", first_cursor = {cursor}}}\n'
        f"normal.ring_bytes = {normal}\nsecure.ring_bytes = {secure}\nsecure.budget.step_bytes = 98304\n"
    )
    try:
        b = board.decode(text)
        ours = True
    except ConfigError:
        ours = False
    assert ours == core
    if ours:
        page = 4096
        for role, number in (("normal", 0), ("secure", 1)):
            config = ChannelConfig(normal, secure, frame_max, board.TAGS.index(tag), mtu, cursor)  # type: ignore[arg-type]
            size = config.buffer_size(number)  # type: ignore[arg-type]
            assert -(-b.buffer_bytes(role) // page) * page == size  # type: ignore[arg-type]
