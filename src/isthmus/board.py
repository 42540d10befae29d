# SPDX-License-Identifier: MIT
"""Board files: what one machine is made of, in TOML.

A board file names the channel's geometry, both worlds' addresses, the critical side's budget and its periodic
tasks. Both worlds get their configuration from it, so they cannot disagree by accident; the handshake proves
that they do not.

    >>> board = load()
    >>> board.channel.mtu, board.secure.task[0].period_us
    (1500, 1000)

Every mistake is one ConfigError whose line names the file, the key and what is wrong with it:

    >>> decode("channel = {mtu = 9000, frame_max = 1536}", "my.toml")
    Traceback (most recent call last):
    isthmus.errors.ConfigError: my.toml: channel.mtu: 9000 + 18 bytes of Ethernet exceed ...
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Sequence
from itertools import combinations
from pathlib import Path
from typing import Literal, NoReturn

import msgspec

from isthmus import resources
from isthmus.errors import ConfigError
from isthmus.filter import DEFAULT, Ends, Problem, Rule, check, compile_table, identifiers
from isthmus.lanes import BULK, LANES_MAX, SHIFT, Lane, mirrored
from isthmus.quarantine import Quarantine
from isthmus.tables import tables

# The bounds of core/abi.h; tests/test_board.py compares them with ist_config_check().
ALIGN = 16
FRAME_MIN, FRAME_LIMIT = 60, 65552
RING_MIN, RING_MAX = 4096, 1 << 30
MTU_MIN, ETHER_ROOM = 46, 18
IPV6_MTU_MIN = 1280
HEADER, TRAILER, CONTROL = 16, 16, 512
LINE = 128  # what a lane begins at a multiple of
TAGS = ("none", "crc32c", "siphash")
FEATURE_SLEEPER_FENCE = 1  # offered by both worlds; one whose kernel lacks it withdraws its offer

_MAC = re.compile(r"[0-9a-f]{2}(:[0-9a-f]{2}){5}", re.IGNORECASE)
_INTERFACE = re.compile(r"[a-zA-Z][a-zA-Z0-9_-]{0,14}")
_NAME = re.compile(r"[a-zA-Z0-9_-]{1,24}")
_NS = 1_000_000_000
FLOWS_MAX = 16


class _Table(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A table of a board file: immutable, and a misspelt key is an error."""


class _Side(_Table, frozen=True):
    """What both worlds' tables have in common."""

    ring_bytes: int = 1048576
    mac: str = ""
    ip: str = ""
    ip6: str = ""  # "": no IPv6

    @property
    def address(self) -> str:
        """The IPv4 address alone."""
        return self.ip.partition("/")[0]

    @property
    def netmask(self) -> str:
        """The network's mask, dotted."""
        return str(ipaddress.IPv4Interface(self.ip).netmask)


class Channel(_Table, frozen=True):
    """What both worlds must agree on. Sizes in bytes."""

    frame_max: int = 65552
    mtu: int = 1500
    tag: Literal["none", "crc32c", "siphash"] = "none"
    silence_ms: int = 4000
    first_cursor: int = (
        0  # where cursors and sequence start in each epoch: tests let them start just below wrap
    )
    first_sequence: int = 0


class Budget(_Table, frozen=True):
    """What a world spends on its peer's frames, refused ones too: per step of its loop, and per period."""

    step_frames: int = 32
    step_bytes: int = 98304
    period_us: int = 1000
    frames: int = 512  # per period
    bytes: int = 1 << 21
    broadcasts_per_second: int = 200  # of frames to any group, within the rest; 0 = no rate
    broadcast_burst: int = 32

    @property
    def frames_per_second(self) -> int:
        """At most, in the long run."""
        return self.frames * 1_000_000 // self.period_us


class Recovery(_Table, frozen=True):
    """How soon, and so how often, a peer that broke the protocol (DEAD) is attached again: after
    `quarantine_ms`, each time twice as long, at most `quarantine_max_ms`; from the start after `forgive_ms`
    without a violation."""

    quarantine_ms: int = 10
    quarantine_max_ms: int = 1000
    forgive_ms: int = 10_000

    def quarantine(self) -> Quarantine:
        return Quarantine(self.quarantine_ms / 1000, self.quarantine_max_ms / 1000, self.forgive_ms / 1000)


class Task(_Table, frozen=True):
    """A task of the critical side: cost C, deadline D and period T in microseconds, C <= D <= T.

    runs    where it stands: "above" the network work and pre-empting it, "inside" it, or "below" it
    flow    of one inside: the flow whose datagrams release it, at most one in each T
    """

    name: str = "control"
    runs: Literal["above", "inside", "below"] = "above"
    cost_us: int = 100
    deadline_us: int = 500
    period_us: int = 1000
    flow: str = ""


class Flow(_Table, frozen=True):
    """Frames to the Secure world that belong together: by protocol, and where it has ports by the one that
    they go to."""

    name: str
    protocol: Literal["arp", "icmp", "udp", "tcp"]
    port: int = 0


# What the board of the host has: see boards/host.toml.
_TASKS = (
    Task("control", "above", 200, 500, 1000),
    Task("setpoints", "inside", 60, 1300, 2000, "setpoints"),
    Task("supervision", "below", 500, 6400, 10000),
)
_FLOWS = (Flow("setpoints", "udp", 7700),)


class Normal(_Side, frozen=True):
    """The Normal world's side: its ring, and its interface in the Linux kernel stack."""

    interface: str = "ist0"
    mac: str = "02:49:53:00:00:01"
    ip: str = "10.77.0.1/24"


class Secure(_Side, frozen=True):
    """The Secure world's side: its ring, its stack's addresses, its budget and its periodic tasks."""

    mac: str = "02:49:53:00:00:02"
    ip: str = "10.77.0.2/24"
    budget: Budget = Budget()
    task: tuple[Task, ...] = _TASKS
    watchdog_us: int = 2_000_000  # the longest time for which the task above may leave it unfed; 0 = none

    def runs(self, where: Literal["above", "inside", "below"]) -> Task | None:
        """The task that runs there."""
        return next((t for t in self.task if t.runs == where), None)


class Board(_Table, frozen=True):
    """One machine."""

    kind: Literal["host"] = "host"
    name: str = "host"
    channel: Channel = Channel()
    normal: Normal = Normal()
    secure: Secure = Secure()
    filter: tuple[Rule, ...] = DEFAULT
    recovery: Recovery = Recovery()
    flow: tuple[Flow, ...] = _FLOWS
    lane: tuple[Lane, ...] = ()  # beside the bulk lane; the last one comes first

    @property
    def lanes(self) -> tuple[Lane, ...]:
        """All of them, the bulk lane first, with what each may spend in a period."""
        b = self.secure.budget
        bulk = Lane(
            BULK,
            0,  # its rings are the two worlds' own
            b.frames - sum(lane.frames for lane in self.lane),
            b.bytes - sum(lane.bytes for lane in self.lane),
            b.broadcasts_per_second,
            b.broadcast_burst,
        )
        return (bulk, *self.lane)

    def side(self, role: Literal["normal", "secure"]) -> _Side:
        """The table of one world."""
        return self.normal if role == "normal" else self.secure

    def buffer_bytes(self, role: Literal["normal", "secure"]) -> int:
        """Bytes of the buffer that `role` owns: for each lane control block, ring, one largest record."""
        at, ring = self.lane_places(role)[-1]
        return at + CONTROL + ring + record_bytes(self.channel)

    def lane_places(self, role: Literal["normal", "secure"]) -> list[tuple[int, int]]:
        """Of each lane, where in that buffer its control block begins, and the bytes of its ring."""
        found, at = [], 0
        for lane in self.lanes:
            ring = lane.ring_bytes or self.side(role).ring_bytes
            found.append((at, ring))
            at = (at + CONTROL + ring + record_bytes(self.channel) + LINE - 1) & -LINE
        return found

    @property
    def whole_segments(self) -> int:
        """Bytes of what TCP may hand to the interface in one piece: a frame's worth, or 0 where a frame holds
        one segment."""
        return self.channel.frame_max if self.channel.frame_max >= 2 * self.channel.mtu else 0

    @property
    def ends(self) -> Ends:
        """Who the filter speaks of: frames to the Secure world."""
        s, n = self.secure, self.normal
        return Ends(s.mac, s.ip, n.mac, n.ip, s.ip6, n.ip6)

    def filter_table(self, direction: Literal["in", "out"], lane: int = 0) -> list[int]:
        """A lane's allow-list as core/filter.h wants it: 64-bit words. Empty for "out" in the bulk lane where
        no rule speaks of it: nothing is judged then. In another lane, what answers its flows goes out."""
        of = self.lanes[lane]
        if direction == "in":
            groups = (of.broadcasts_per_second, of.broadcast_burst)
            return compile_table(self.filter, self.ends, "in", *groups, of.name)
        rules: tuple[Rule, ...] = tuple(r for r in self.filter if r.direction == "out")
        if not rules and lane == 0:
            return []
        return compile_table(rules or mirrored(self.filter), self.ends, "out", lane=of.name)

    def choice_table(self, lane: int) -> list[int]:
        """What the Normal world's sender chooses the lane by: what it admits, however often."""
        return compile_table(self.filter, self.ends, "in", lane=self.lanes[lane].name, rates=False)

    def config(self, role: Literal["normal", "secure"], lane: int = 0) -> dict[str, int]:
        """The members of struct ist_config for one world and lane; times in nanoseconds."""
        c, of = self.channel, self.lanes[lane]
        period = self.secure.budget.period_us * 1000 if role == "secure" else 0
        interval = -(-period // of.frames)  # rounded so that nothing is given away
        return {
            "role": 0 if role == "normal" else 1,
            "ring_normal": of.ring_bytes or self.normal.ring_bytes,
            "ring_secure": of.ring_bytes or self.secure.ring_bytes,
            "frame_max": c.frame_max,
            "tag": TAGS.index(c.tag),
            "first_cursor": c.first_cursor,
            "first_sequence": (c.first_sequence + (lane << SHIFT)) % (1 << 64),
            "mtu": c.mtu,
            "features": FEATURE_SLEEPER_FENCE,
            "required": 0,
            "silence": c.silence_ms * 1_000_000,
            "budget_interval": interval,
            "budget_tolerance": max(0, period - interval),
        }


def record_bytes(channel: Channel) -> int:
    """Bytes of the ring that a frame of `frame_max` takes: header, payload rounded up, trailer where a tag is
    carried."""
    rounded = (HEADER + channel.frame_max + ALIGN - 1) & -ALIGN
    return rounded + (TRAILER if channel.tag != "none" else 0)


def load(path: str | Path | None = None, changes: Sequence[str] = ()) -> Board:
    """Reads and checks a board file; without a path, the host's own. `changes`: `key.path=value`, in place of
    what the file says. Raises ConfigError, one line."""
    file = Path(path) if path is not None else resources.tree() / "boards" / "host.toml"
    try:
        text = file.read_text(encoding="utf-8")
    except OSError as error:
        raise ConfigError(f"{file}: {error.strerror or error}") from None
    except UnicodeDecodeError as error:
        raise ConfigError(f"{file}: not UTF-8 text (byte {error.start})") from None
    return decode(text, str(file), changes)


def decode(text: str, name: str = "board", changes: Sequence[str] = ()) -> Board:
    """A board from TOML text; `name` stands for the file in messages. Raises ConfigError, one line."""
    try:
        board = msgspec.convert(tables(text, name, changes), Board)
    except msgspec.ValidationError as error:
        raise ConfigError(f"{name}: {_key_first(str(error))}") from None
    _Check(name).board(board)
    return board


def _key_first(message: str) -> str:
    """msgspec says 'Expected `int`, got `str` - at `$.channel.mtu`'; the key belongs in front."""
    text, _, where = message.partition(" - at ")
    key = where.strip("`").removeprefix("$").removeprefix(".")
    unknown = re.fullmatch(r"Object contains unknown field `(.*)`", text)
    if unknown:
        return f"{key}.{unknown[1]}: unknown key" if key else f"{unknown[1]}: unknown key"
    return f"{key or 'the file'}: {text[0].lower()}{text[1:].replace('`', '')}"


class _Check:
    """The rules that a type cannot state. Reports the first that is broken, by file and key."""

    def __init__(self, name: str) -> None:
        self.name = name

    def fail(self, key: str, what: str) -> NoReturn:
        raise ConfigError(f"{self.name}: {key}: {what}")

    def within(self, key: str, value: int, low: int, high: int) -> None:
        if not low <= value <= high:
            self.fail(key, f"{value} is not within {low}..{high}")

    def board(self, b: Board) -> None:
        self.rings(b)
        self.channel(b)
        self.addresses(b)
        self.budget(b.secure.budget, b.channel.frame_max)
        self.lanes(b)
        self.filter(b)
        self.recovery(b.recovery)
        self.flows(b.flow)
        self.tasks(b.secure.task, b.flow)
        self.admitted(b)
        self.within("secure.watchdog_us", b.secure.watchdog_us, 0, 60_000_000)
        above = b.secure.runs("above")
        assert above is not None
        if 0 < b.secure.watchdog_us < 2 * above.period_us:
            at_least = f"two periods of {above.name}, {2 * above.period_us}"
            self.fail("secure.watchdog_us", f"{b.secure.watchdog_us} is not 0 and below {at_least}")

    def rings(self, b: Board) -> None:
        for key, ring in (
            ("normal.ring_bytes", b.normal.ring_bytes),
            ("secure.ring_bytes", b.secure.ring_bytes),
            *((f"lane[{i}].ring_bytes", lane.ring_bytes) for i, lane in enumerate(b.lane)),
        ):
            self.within(key, ring, RING_MIN, RING_MAX)
            if ring & (ring - 1):
                self.fail(key, f"{ring} is not a power of two")

    def channel(self, b: Board) -> None:
        c = b.channel
        self.within("channel.frame_max", c.frame_max, FRAME_MIN, FRAME_LIMIT)
        for key, ring in (
            ("normal.ring_bytes", b.normal.ring_bytes),
            ("secure.ring_bytes", b.secure.ring_bytes),
            *((f"lane[{i}].ring_bytes", lane.ring_bytes) for i, lane in enumerate(b.lane)),
        ):
            if record_bytes(c) > ring:
                self.fail(
                    "channel.frame_max",
                    f"{c.frame_max} is beyond the ring: a record of {record_bytes(c)} bytes, {key} = {ring}",
                )
        self.within("channel.mtu", c.mtu, MTU_MIN, FRAME_LIMIT)
        if c.mtu + ETHER_ROOM > c.frame_max:
            self.fail(
                "channel.mtu",
                f"{c.mtu} + {ETHER_ROOM} bytes of Ethernet exceed channel.frame_max = {c.frame_max}",
            )
        self.within("channel.silence_ms", c.silence_ms, 0, 3_600_000)
        self.within("channel.first_cursor", c.first_cursor, 0, 0xFFFFFFFF)
        if c.first_cursor % ALIGN:
            self.fail("channel.first_cursor", f"{c.first_cursor} is not a multiple of {ALIGN}")
        self.within("channel.first_sequence", c.first_sequence, 0, (1 << 64) - 1)

    def addresses(self, b: Board) -> None:
        normal, secure = self.ip("normal.ip", b.normal.ip), self.ip("secure.ip", b.secure.ip)
        if normal.ip == secure.ip:
            self.fail("secure.ip", f"{secure.ip} is also normal.ip")
        if normal.network != secure.network:
            self.fail("secure.ip", f"{b.secure.ip} is not in normal.ip's network {normal.network}")
        self.mac("normal.mac", b.normal.mac)
        self.mac("secure.mac", b.secure.mac)
        if b.normal.mac.lower() == b.secure.mac.lower():
            self.fail("secure.mac", f"{b.secure.mac} is also normal.mac")
        if b.normal.ip6 or b.secure.ip6:
            self.ip6(b)
        if not _INTERFACE.fullmatch(b.normal.interface) or b.normal.interface == "lo":
            self.fail("normal.interface", f"{b.normal.interface!r} is not a name for an interface")

    def ip(self, key: str, text: str) -> ipaddress.IPv4Interface:
        try:
            address = ipaddress.IPv4Interface(text)
        except ValueError:
            self.fail(key, f"{text!r} is not an IPv4 address with its prefix, like 10.77.0.1/24")
        if not 1 <= address.network.prefixlen <= 30:
            self.fail(key, f"prefix /{address.network.prefixlen} is not within /1../30")
        if address.ip.is_multicast or address.ip.is_loopback or address.ip.is_unspecified:
            self.fail(key, f"{address.ip} is not an address for a host")
        if address.ip in (address.network.network_address, address.network.broadcast_address):
            self.fail(key, f"{address.ip} is the network's own or its broadcast address")
        return address

    def ip6(self, b: Board) -> None:
        """Each world has identifiers of its own, in any network: the filter tells the two apart by them."""
        found = []
        for key, text in (("normal.ip6", b.normal.ip6), ("secure.ip6", b.secure.ip6)):
            try:
                address = ipaddress.IPv6Interface(text)
            except ValueError:
                self.fail(key, f"{text!r} is not an IPv6 address with its prefix, like fd77::1/64")
            if address.network.prefixlen != 64:
                self.fail(key, f"prefix /{address.network.prefixlen} is not /64")
            network, low = divmod(int(address.ip), 1 << 64)
            if not network or not low or address.ip.is_multicast:
                self.fail(key, f"{address.ip} is not an address for a host")
            found.append(address)
        normal, secure = found
        if normal.network != secure.network:
            self.fail("secure.ip6", f"{secure} is not in normal.ip6's network {normal.network}")
        both = identifiers(b.normal.mac, b.normal.ip6) & identifiers(b.secure.mac, b.secure.ip6)
        if both:
            what = f"{secure.ip}: its last 64 bits, or those that its MAC makes, are also normal.ip6's"
            self.fail("secure.ip6", what)
        if b.channel.mtu < IPV6_MTU_MIN:
            self.fail(
                "channel.mtu", f"{b.channel.mtu} is below {IPV6_MTU_MIN}, which IPv6 needs: ip6 is given"
            )

    def mac(self, key: str, text: str) -> None:
        if not _MAC.fullmatch(text):
            self.fail(key, f"{text!r} is not a MAC address, like 02:49:53:00:00:01")
        if int(text[:2], 16) & 1 or not int(text.replace(":", ""), 16):
            self.fail(key, f"{text} is not a unicast address")

    def budget(self, budget: Budget, frame_max: int) -> None:
        self.within("secure.budget.step_frames", budget.step_frames, 1, 1 << 20)
        self.within("secure.budget.step_bytes", budget.step_bytes, frame_max, RING_MAX)
        self.within("secure.budget.period_us", budget.period_us, 100, 1_000_000)
        self.within("secure.budget.frames", budget.frames, 1, budget.period_us * 1000)
        self.within("secure.budget.bytes", budget.bytes, frame_max, min(RING_MAX, budget.period_us * 16_000))
        for key, step, most in (
            ("frames", budget.step_frames, budget.frames),
            ("bytes", budget.step_bytes, budget.bytes),
        ):
            if step > most:
                self.fail(f"secure.budget.step_{key}", f"{step} is above secure.budget.{key} = {most}")
        self.within("secure.budget.broadcasts_per_second", budget.broadcasts_per_second, 0, _NS)
        self.within("secure.budget.broadcast_burst", budget.broadcast_burst, 1, 1 << 20)
        if budget.broadcast_burst > budget.frames:
            what = f"{budget.broadcast_burst} is above secure.budget.frames = {budget.frames}"
            self.fail("secure.budget.broadcast_burst", what)
        if budget.frames_per_second < budget.broadcasts_per_second:
            what = f"is above secure.budget.frames, {budget.frames_per_second} a second"
            self.fail("secure.budget.broadcasts_per_second", f"{budget.broadcasts_per_second} {what}")

    def lanes(self, b: Board) -> None:
        """What the lanes get is taken out of the budget, and the bulk lane must keep enough to live on."""
        budget = b.secure.budget
        if len(b.lane) >= LANES_MAX:
            self.fail("lane", f"{len(b.lane)} lanes beside {BULK!r}, at most {LANES_MAX - 1}")
        for i, lane in enumerate(b.lane):
            key = f"lane[{i}]"
            if not lane.named_well:
                self.fail(f"{key}.name", f"{lane.name!r} is not a name of at most 16 of a-z, 0-9, - and _")
            if lane.name in (other.name for other in b.lane[:i]):
                self.fail(f"{key}.name", f"two lanes are called {lane.name!r}")
            self.within(f"{key}.frames", lane.frames, 1, RING_MAX)
            self.within(f"{key}.bytes", lane.bytes, b.channel.frame_max, RING_MAX)
            self.within(f"{key}.broadcasts_per_second", lane.broadcasts_per_second, 0, _NS)
            self.within(f"{key}.broadcast_burst", lane.broadcast_burst, 1, 1 << 20)
            if lane.broadcasts_per_second > lane.frames * 1_000_000 // budget.period_us:
                what = f"{lane.broadcasts_per_second} is above {key}.frames, {lane.frames} per period"
                self.fail(f"{key}.broadcasts_per_second", what)
            if lane.broadcast_burst > lane.frames:
                what = f"{lane.broadcast_burst} is above {key}.frames = {lane.frames}"
                self.fail(f"{key}.broadcast_burst", what)
        bulk = b.lanes[0]
        for unit, left, least, whole in (
            ("frames", bulk.frames, 1, budget.frames),
            ("bytes", bulk.bytes, b.channel.frame_max, budget.bytes),
        ):
            if left < least:
                what = f"the lanes' {unit} leave {left} of secure.budget.{unit} = {whole} to {BULK!r}"
                self.fail(f"lane[{len(b.lane) - 1}].{unit}", f"{what}, which needs {least}")
        if bulk.frames * 1_000_000 // budget.period_us < budget.broadcasts_per_second:
            what = f"the lanes leave {bulk.frames} frames per period to {BULK!r}"
            self.fail("secure.budget.broadcasts_per_second", f"{budget.broadcasts_per_second}: {what}")

    def recovery(self, r: Recovery) -> None:
        self.within("recovery.quarantine_ms", r.quarantine_ms, 0, 60_000)
        self.within("recovery.quarantine_max_ms", r.quarantine_max_ms, r.quarantine_ms, 3_600_000)
        self.within("recovery.forgive_ms", r.forgive_ms, r.quarantine_max_ms, 86_400_000)

    def filter(self, b: Board) -> None:
        try:
            bulk, *rest = (
                (lane.name, lane.frames * 1_000_000 // b.secure.budget.period_us) for lane in b.lanes
            )
            check(b.filter, b.ends, bulk[1], dict(rest))
        except Problem as problem:
            self.fail(problem.key, problem.what)
        for i, lane in enumerate(b.lane):
            if not any(rule.lane == lane.name for rule in b.filter):
                self.fail(
                    f"lane[{i}].name", f"no rule of the allow-list names {lane.name!r}: nothing comes by it"
                )

    def flows(self, flows: tuple[Flow, ...]) -> None:
        if len(flows) > FLOWS_MAX:
            self.fail("flow", f"{len(flows)} flows, at most {FLOWS_MAX}")
        for i, f in enumerate(flows):
            if not _NAME.fullmatch(f.name):
                self.fail(f"flow[{i}].name", f"{f.name!r} is not a name of letters, digits, - and _")
            has_port = f.protocol in ("udp", "tcp")
            self.within(f"flow[{i}].port", f.port, int(has_port), 65535 if has_port else 0)
        for a, b in combinations(flows, 2):
            if a.name == b.name:
                self.fail("flow", f"two flows are called {a.name!r}")
            if (a.protocol, a.port) == (b.protocol, b.port):
                self.fail("flow", f"{a.name!r} and {b.name!r} are the same frames")

    def admitted(self, b: Board) -> None:
        """A flow that the allow-list keeps out, and a task that waits for it, would be there for nothing."""
        for i, f in enumerate(b.flow):
            if not any(rule.admits(b.ends, f.protocol, f.port) for rule in b.filter):
                name = f"{f.name!r} ({f.protocol} {f.port})" if f.port else f"{f.name!r} ({f.protocol})"
                self.fail(f"flow[{i}]", f"no rule of the allow-list lets {name} in")

    def tasks(self, tasks: tuple[Task, ...], flows: tuple[Flow, ...]) -> None:
        for i, t in enumerate(tasks):
            key = f"secure.task[{i}]"
            if not _NAME.fullmatch(t.name):
                self.fail(f"{key}.name", f"{t.name!r} is not a name of letters, digits, - and _")
            self.within(f"{key}.period_us", t.period_us, 100, 60_000_000)
            if not 1 <= t.deadline_us <= t.period_us:
                self.fail(f"{key}.deadline_us", f"{t.deadline_us} is not within 1..period_us = {t.period_us}")
            if not 0 <= t.cost_us <= t.deadline_us:
                self.fail(f"{key}.cost_us", f"{t.cost_us} is not within 0..deadline_us = {t.deadline_us}")
            if t.runs == "inside":
                self.released_by(f"{key}.flow", t.flow, flows)
            elif t.flow:
                self.fail(f"{key}.flow", f"{t.name!r} runs {t.runs!r}: a flow releases a task inside alone")
        for a, b in combinations(tasks, 2):
            if a.name == b.name:
                self.fail("secure.task", f"two tasks are called {a.name!r}")
            if a.runs == b.runs:
                both = f"{a.name!r} and {b.name!r} both run {a.runs!r}"
                self.fail("secure.task", f"{both}: one task in each place")
        if not any(t.runs == "above" for t in tasks):
            self.fail("secure.task", 'no task runs "above": its timer is everybody\'s')

    def released_by(self, key: str, name: str, flows: tuple[Flow, ...]) -> None:
        flow = next((f for f in flows if f.name == name), None)
        if flow is None:
            self.fail(key, f"{name!r} is none of the flows {[f.name for f in flows]}")
        if flow.protocol != "udp":
            self.fail(key, f"{name!r} is {flow.protocol}, not udp")
