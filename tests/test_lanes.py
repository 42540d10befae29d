# SPDX-License-Identifier: MIT
"""Lanes as a board file names them: which rule's frames go by which, what each may spend, what cannot be."""

from __future__ import annotations

from pathlib import Path

import pytest

from core_programs import SANITIZED, build
from filter_frames import verdicts
from isthmus import board
from isthmus.attack.frames import OWN, PEER, arp, ipv4, tcp, udp
from isthmus.errors import ConfigError
from isthmus.filter.oracle import Meta, judge
from isthmus.lanes import mirrored

BOARD = """
[[lane]]
name = "critical"
frames = 64
bytes = 131072
broadcasts_per_second = 100

[[filter]]
name = "setpoints"
ethertype = "ipv4"
protocol = "udp"
port = 7700
lane = "critical"
frames_per_second = 1000
burst_frames = 2

[[filter]]
name = "arp"
ethertype = "arp"
group = "broadcast"
lane = "critical"

[[filter]]
name = "services"
ethertype = "ipv4"
protocol = "udp"
port = "1-9000"

[[filter]]
name = "web"
ethertype = "ipv4"
protocol = "tcp"
port = 80
"""
BULK, CRITICAL = 0, 1
#: A frame and what it is judged in each lane.
SAMPLES = {
    "a setpoint": (ipv4(17, udp(7700, b"3.5")), ("LANE", "OK")),
    "its neighbour, by a later rule": (ipv4(17, udp(7701, b"3.5")), ("OK", "LANE")),
    "a segment": (ipv4(6, tcp(80)), ("OK", "LANE")),
    "an ARP request": (arp(), ("LANE", "OK")),
    "what no rule names": (ipv4(17, udp(9001)), ("FILTER", "FILTER")),
    "a fragment of a setpoint": (ipv4(17, udp(7700), fragment=0x2000), ("FRAGMENT", "FRAGMENT")),
    "a setpoint from elsewhere": (ipv4(17, udp(7700), source="10.77.0.9"), ("SOURCE", "SOURCE")),
}


@pytest.fixture(scope="module")
def program(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return build(tmp_path_factory, "judge", *SANITIZED, "-O2")


@pytest.mark.parametrize("name", SAMPLES)
def test_a_frame_is_taken_in_its_rules_lane_alone(name: str, program: Path) -> None:
    b = board.decode(BOARD)
    frame, wanted = SAMPLES[name]
    for lane in (BULK, CRITICAL):
        assert judge(b.filter, b.ends, frame, lane=b.lanes[lane].name) == wanted[lane]
        assert verdicts(program, b.filter_table("in", lane), [(frame, Meta(), 0)]) == ["OK", wanted[lane]]


def test_what_is_refused_in_a_lane_leaves_its_rules_rate_alone(program: Path) -> None:
    """The rate is spent in the lane that the rule names: a flood in another one costs it nothing."""
    b = board.decode(BOARD)
    frame = SAMPLES["a setpoint"][0]
    assert verdicts(program, b.filter_table("in", CRITICAL), [(frame, Meta(), 0)] * 3)[1:] == [
        "OK",
        "OK",
        "RATE",
    ]
    assert verdicts(program, b.filter_table("in", BULK), [(frame, Meta(), 0)] * 3)[1:] == ["LANE"] * 3


def test_the_sender_chooses_by_the_receivers_rules_without_their_rates(program: Path) -> None:
    b = board.decode(BOARD)
    for frame, wanted in SAMPLES.values():
        said = verdicts(program, b.choice_table(CRITICAL), [(frame, Meta(), 0)] * 3)
        assert said == ["OK", *[wanted[CRITICAL]] * 3]


def test_what_answers_a_flow_goes_out_by_its_lane(program: Path) -> None:
    b = board.decode(BOARD)
    answer = ipv4(17, udp(4000, source=7700), "10.77.0.2", "10.77.0.1", mac=PEER, sender=OWN)
    other = ipv4(17, udp(4000, source=7701), "10.77.0.2", "10.77.0.1", mac=PEER, sender=OWN)
    cases = [(frame, Meta(), 0) for frame in (answer, other)]
    assert b.filter_table("out", BULK) == []
    assert verdicts(program, b.filter_table("out", CRITICAL), cases)[1:] == ["OK", "LANE"]
    assert all(r.direction == "out" and not r.frames_per_second for r in mirrored(b.filter))


def test_a_board_that_says_what_goes_out_says_by_which_lane(program: Path) -> None:
    out = '\n[[filter]]\nname = "o"\ndirection = "out"\nethertype = "ipv4"\nprotocol = "udp"\nlane = "critical"\n'
    b = board.decode(BOARD + out)
    frame = ipv4(17, udp(4000, source=5), "10.77.0.2", "10.77.0.1", mac=PEER, sender=OWN)
    assert [verdicts(program, b.filter_table("out", k), [(frame, Meta(), 0)])[1] for k in (0, 1)] == [
        "LANE",
        "OK",
    ]


# ---- budget and geometry -----------------------------------------------------------------------------------


def test_lanes_divide_the_budget() -> None:
    b = board.decode(BOARD)
    whole, (bulk, critical) = b.secure.budget, b.lanes
    assert bulk.frames + critical.frames == whole.frames
    assert bulk.bytes + critical.bytes == whole.bytes
    period = whole.period_us * 1000
    for k, lane in enumerate(b.lanes):
        c = b.config("secure", k)
        assert c["budget_interval"] * lane.frames >= period  # nothing is given away
        assert c["budget_interval"] * (lane.frames - 1) < period
        assert b.config("normal", k)["budget_interval"] == 0


def test_a_board_without_lanes_is_as_it_was() -> None:
    b = board.Board()
    assert [lane.name for lane in b.lanes] == ["bulk"]
    assert b.buffer_bytes("normal") == 512 + b.normal.ring_bytes + board.record_bytes(b.channel)
    assert b.config("secure")["first_sequence"] == 0


def test_a_lane_has_sequence_and_place_of_its_own() -> None:
    b = board.decode("channel.first_sequence = 18446744073709551615\n" + BOARD)
    assert b.config("normal", CRITICAL)["first_sequence"] == (1 << 62) - 1
    bulk = 512 + b.normal.ring_bytes + board.record_bytes(b.channel)
    assert b.buffer_bytes("normal") == -(-bulk // 128) * 128 + 512 + 262144 + board.record_bytes(b.channel)


# ---- what cannot be ----------------------------------------------------------------------------------------

# ruff: noqa: E501 - a message is one line here as it is there
LANE = '[[lane]]\nname = "critical"\n'
BAD = {
    "an unknown lane": (
        '[[filter]]\nname = "a"\nethertype = "arp"\nlane = "fast"',
        "filter[0].lane: 'fast' is none of the lanes ['bulk', 'critical']",
    ),
    "the same flow in two lanes": (
        '[[filter]]\nname = "a"\nethertype = "arp"\nlane = "critical"\n[[filter]]\nname = "b"\nethertype = "arp"',
        "filter[1]: 'b' never matches: filter[0] 'a' names all of it before",
    ),
    "a rate above the lane's budget": (
        '[[filter]]\nname = "a"\nethertype = "arp"\nlane = "critical"\nframes_per_second = 32001',
        "filter[0].frames_per_second: 32001 is above lane[0].frames, 32000 a second",
    ),
    "lanes larger than the budget": (
        "[secure.budget]\nframes = 32",
        "lane[0].frames: the lanes' frames leave 0 of secure.budget.frames = 32 to 'bulk', which needs 1",
    ),
    "lanes with more bytes than the budget": (
        "[secure.budget]\nbytes = 229376\n[[lane]]\nname = 'other'",
        "lane[1].bytes: the lanes' bytes leave -32768 of secure.budget.bytes = 229376 to 'bulk', which needs 65552",
    ),
    "a lane that holds no frame": (
        "[[lane]]\nname = 'other'\nring_bytes = 4096\n[channel]\nframe_max = 9000\n",
        "channel.frame_max: 9000 is beyond the ring: a record of 9024 bytes, lane[1].ring_bytes = 4096",
    ),
    "a ring of any size": ("[[lane]]\nname = 'other'\nring_bytes = 5000", "lane[1].ring_bytes: 5000 is not a power of two"),
    "no frames": ("[[lane]]\nname = 'other'\nframes = 0", "lane[1].frames: 0 is not within 1.."),
    "less than a frame's bytes": ("[[lane]]\nname = 'other'\nbytes = 100", "lane[1].bytes: 100 is not within 65552.."),
    "more broadcasts than frames": (
        "[[lane]]\nname = 'other'\nframes = 1\nbroadcasts_per_second = 2000",
        "lane[1].broadcasts_per_second: 2000 is above lane[1].frames, 1 per period",
    ),
    "a burst of broadcasts above a period's frames": (
        "[[lane]]\nname = 'other'\nframes = 4",
        "lane[1].broadcast_burst: 8 is above lane[1].frames = 4",
    ),
    "a lane that no rule names": (
        '[[filter]]\nname = "a"\nethertype = "arp"',
        "lane[0].name: no rule of the allow-list names 'critical': nothing comes by it",
    ),
    "broadcasts that the rest cannot hold": (
        "[secure.budget]\nframes = 33\nstep_frames = 1\nbroadcasts_per_second = 2000",
        "secure.budget.broadcasts_per_second: 2000: the lanes leave 1 frames per period to 'bulk'",
    ),
    "the same name": ("[[lane]]\nname = 'critical'", "lane[1].name: two lanes are called 'critical'"),
    "the bulk lane's name": ("[[lane]]\nname = 'bulk'", "lane[1].name: 'bulk' is not a name"),
    "no name": ("[[lane]]\nname = ''", "lane[1].name: '' is not a name"),
    "too many": ("".join(f"[[lane]]\nname = 'l{i}'\n" for i in range(3)), "lane: 4 lanes beside 'bulk', at most 3"),
    "an unknown key": ("[[lane]]\nname = 'other'\nspeed = 3", "lane[1].speed: unknown key"),
}  # fmt: skip


@pytest.mark.parametrize("name", BAD)
def test_a_bad_lane_is_one_line_with_file_key_and_reason(name: str) -> None:
    text, says = BAD[name]
    with pytest.raises(ConfigError) as refusal:
        board.decode(LANE + text, "my.toml")
    said = str(refusal.value)
    assert said.startswith(f"my.toml: {says}"), said
    assert "\n" not in said
