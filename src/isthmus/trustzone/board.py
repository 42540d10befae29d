# SPDX-License-Identifier: MIT
"""Boards with TrustZone: the tables that a host machine does not have, and the rules between them.

    >>> board = load()
    >>> hex(board.memory.window.base), board.interrupt.doorbell
    ('0x5f800000', 232)

A mistake is one ConfigError whose line names the file, the key and both parties:

    >>> text = (resources.tree() / "boards" / "qemu-virt.toml").read_text()
    >>> decode(text.replace("base = 0x0e100000", "base = 0x0e000000"), "my.toml")
    Traceback (most recent call last):
    isthmus.errors.ConfigError: my.toml: memory.secure: 0x0e000000..0x0ef00000 overlaps memory.monitor \
0x0e000000..0x0e100000
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations
from pathlib import Path
from typing import Literal

import msgspec

from isthmus import board as common
from isthmus import resources
from isthmus.errors import ConfigError
from isthmus.tables import tables

PAGE = 4096
ADDRESS_LIMIT = 1 << 32  # what the Secure world's tables span
NORMAL_PRIORITY, LAST_PRIORITY = 0x80, 0xF0  # Linux's highest; what any mask of a priority still lets pass
SGI, PPI, SPI = range(8, 16), range(16, 32), range(32, 1020)  # SGI 0..7 belong to the Normal world
CORES_MAX = 8
DEFAULT = "qemu-virt.toml"
_NAME = re.compile(r"[a-z0-9_]+")
_OPTION = re.compile(r"[A-Z][A-Z0-9_]*=(?:[A-Za-z0-9_./-]|\{gic\})*")


class Region(common._Table, frozen=True):
    """A stretch of physical addresses, in bytes."""

    base: int
    size: int

    @property
    def end(self) -> int:
        """The first address behind it."""
        return self.base + self.size

    def overlaps(self, other: Region) -> bool:
        return self.base < other.end and other.base < self.end

    def holds(self, other: Region) -> bool:
        return self.base <= other.base and other.end <= self.end

    def __str__(self) -> str:
        return f"{self.base:#010x}..{self.end:#010x}"


class Device(Region, frozen=True):
    """A device's registers; `shared` where the device itself keeps the worlds apart."""

    owner: Literal["secure", "shared"]


class Memory(common._Table, frozen=True):
    """RAM by owner. The window is part of the Normal world's."""

    monitor: Region
    secure: Region
    normal: Region
    window: Region


class Buffer(common._Table, frozen=True):
    """Where each world's buffer begins."""

    normal: int
    secure: int


class Devices(common._Table, frozen=True):
    """What the Secure world maps, and what of the machine's else Linux must not reach: the flash that the
    firmware starts from, and what switches the machine off."""

    console: Device
    gic_distributor: Device
    gic_cpu: Device | None = None
    gic_redistributor: Device | None = None
    flash: Device | None = None
    power: Device | None = None

    @property
    def present(self) -> dict[str, Device]:
        """Those that the board has, by name."""
        every = {name: getattr(self, name) for name in self.__struct_fields__}
        return {name: device for name, device in every.items() if device is not None}


class Gic(common._Table, frozen=True):
    """The interrupt controller's version: which of its devices there are, and how TF-A and QEMU are told."""

    version: Literal[2, 3]


class Interrupt(common._Table, frozen=True):
    """Interrupt ids as the GIC numbers them: private timer, software-generated kick, shared doorbell; and the
    priorities that the Secure world gives its own two, lower being more urgent."""

    timer: int
    kick: int
    doorbell: int
    timer_priority: int = 0x20
    kick_priority: int = 0x40


class Core(common._Table, frozen=True):
    """Which cores each world runs on; a core that is in both is shared. The machine starts on the Secure
    world's, Linux on its first."""

    normal: tuple[int, ...]
    secure: int
    doorbell: Literal["interrupt", "poll"] = "interrupt"  # how a core of its own learns of a frame

    @property
    def count(self) -> int:
        """Of cores that the machine needs: one more than the highest number."""
        return max(*self.normal, self.secure) + 1

    @property
    def shared(self) -> bool:
        """The Secure world has a core together with Linux, not one of its own."""
        return self.secure in self.normal


class Monitor(common._Table, frozen=True):
    """What the monitor allows the Normal world."""

    doorbells_per_second: int
    doorbell_burst: int
    insecure_test_key: bool = False


class Restart(common._Table, frozen=True):
    """Of Linux by the Secure world, in ms: so long without a heartbeat once there was one, so long from its
    start to the first one (0 = never); at most `burst` at once, then one in `interval_ms`."""

    silent_ms: int
    boot_ms: int
    burst: int
    interval_ms: int


class Write(common._Table, frozen=True):
    """32-bit registers that get `value`: `count` of them, `stride` bytes apart. With `gic`, only where the
    interrupt controller is of that version."""

    base: int
    value: int = 0
    count: int = 1
    stride: int = 4
    gic: Literal[2, 3] | None = None

    @property
    def region(self) -> Region:
        """From the first register to the last."""
        return Region(self.base, (self.count - 1) * self.stride + 4)


class Boot(common._Table, frozen=True):
    """Where Linux starts from and where it is put.

    `storage` is memory that the Normal world reads and cannot write: loader and pristine images. `quiet` is
    what the loader writes to stop bus masters that an earlier Linux left running.
    """

    storage: Region
    kernel: int
    device_tree: int
    initramfs: int
    quiet: tuple[Write, ...] = ()


class Firmware(common._Table, frozen=True):
    """How TF-A is built: its platform, make variables, and where the FIP begins in the flash image."""

    platform: str
    options: tuple[str, ...]
    fip: int


class Emulator(common._Table, frozen=True):
    """What QEMU is to play: arguments of -machine and -cpu."""

    machine: str
    cpu: str


class Server(common._Table, frozen=True):
    """The network work: at most `cost_us` in each `period_us` before what is below it."""

    cost_us: int
    period_us: int


class Blocking(common._Table, frozen=True):
    """The longest stretch with the secure timer masked, at EL3 or at Secure EL1, in microseconds."""

    us: int


class Secure(common.Secure, frozen=True, kw_only=True):
    """The Secure world's side, with what its scheduling analysis needs, and its use of the FP registers:
    `none` traps, `switched` gives it its own.
    """

    fp: Literal["none", "switched"] = "none"
    network: Server
    blocking: Blocking


class TrustZone(common.Board, frozen=True, kw_only=True):
    """One machine with TrustZone."""

    kind: Literal["trustzone"]  # type: ignore[assignment]
    secure: Secure
    memory: Memory
    buffer: Buffer
    device: Devices
    gic: Gic
    interrupt: Interrupt
    core: Core
    boot: Boot
    firmware: Firmware
    monitor: Monitor
    restart: Restart
    emulator: Emulator | None = None  # a board of silicon has none

    def filled(self, text: str) -> str:
        """What a key says, with the numbers of other keys in it."""
        return text.replace("{gic}", str(self.gic.version))

    @property
    def gic_private(self) -> Device:
        """Of the interrupt controller: what belongs to single cores."""
        device = self.device.gic_redistributor if self.gic.version == 3 else self.device.gic_cpu
        assert device is not None  # the rules say so
        return device

    @property
    def priorities_move(self) -> bool:
        """The monitor takes the Secure world's interrupts out of Linux's priorities while Linux runs."""
        urgent = max(self.interrupt.timer_priority, self.interrupt.kick_priority) < NORMAL_PRIORITY
        return self.core.shared and not urgent

    def buffer_region(self, role: Literal["normal", "secure"]) -> Region:
        """The whole pages of the buffer that `role` writes: what is registered, mapped and compared."""
        size = (self.buffer_bytes(role) + PAGE - 1) & -PAGE
        return Region(getattr(self.buffer, role), size)


def load(path: str | Path | None = None, changes: Sequence[str] = ()) -> TrustZone:
    """Reads and checks a board file; without a path, QEMU's. `changes`: `key.path=value`, in place of what
    the file says. Raises ConfigError, one line."""
    file = Path(path) if path is not None else resources.tree() / "boards" / DEFAULT
    try:
        return decode(file.read_text(encoding="utf-8"), str(file), changes)
    except OSError as error:
        raise ConfigError(f"{file}: {error.strerror or error}") from None
    except UnicodeDecodeError as error:
        raise ConfigError(f"{file}: not UTF-8 text (byte {error.start})") from None


def decode(text: str, name: str = "board", changes: Sequence[str] = ()) -> TrustZone:
    """A board from TOML text; `name` stands for the file in messages. Raises ConfigError, one line."""
    try:
        board = msgspec.convert(tables(text, name, changes), TrustZone)
    except msgspec.ValidationError as error:
        raise ConfigError(f"{name}: {common._key_first(str(error))}") from None
    _Check(name).board(board)
    return board


# ---- response times --------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Response:
    """The longest time from a task's release to its end, in microseconds; None: it never settles below
    `limit_us`."""

    name: str
    limit_us: int
    us: int | None

    @property
    def ok(self) -> bool:
        return self.us is not None and self.us <= self.limit_us


def responses(secure: Secure) -> list[Response]:
    """The worst case of each task and of the network work, from what the runtime does: fixed priorities with
    pre-emption, all released together, by fixed-point iteration of

        R = C + B + sum over what stands above of ceil(R / T_j) * C_j

    (Joseph and Pandya, "Finding response times in a real-time system", 1986; with blocking: Audsley et al.,
    "Applying new scheduling theory to static priority pre-emptive scheduling", 1993). B is the longest
    stretch with the secure timer masked.

    above   nothing stands above it
    network a deferrable server (Strosnider, Lehoczky and Sha, 1995): C in each T, whenever there is work.
            Below it, it weighs like a periodic task: it may run late in one T and at once in the next, but
            what is below is released where a T begins, so the two are never in one busy time.
    inside  a datagram with less than one C of the network's before it, its own cost included: the network may
            just have spent its C, at most T - C before its next, and then answers within its response time
    below   above it the task above and the network
    """
    above, inside, below = (secure.runs(where) for where in ("above", "inside", "below"))
    assert above is not None
    network, blocking = secure.network, secure.blocking.us
    taken = [(above.cost_us, above.period_us)]
    server = _response("network", network.cost_us + blocking, taken, network.period_us)
    found = [_response(above.name, above.cost_us + blocking, [], above.deadline_us), server]
    if inside is not None:
        us = None if server.us is None else network.period_us - network.cost_us + server.us
        found.append(Response(inside.name, inside.deadline_us, us))
    if below is not None:
        taken = [*taken, (network.cost_us, network.period_us)]
        found.append(_response(below.name, below.cost_us + blocking, taken, below.deadline_us))
    return found


def longest_without_linux(board: TrustZone) -> int | None:
    """The longest time, in microseconds, for which the Secure world has a core that it shares: so long an
    interrupt of Linux's may wait, and two of the network's steps longer. 0 where it shares none; None: the
    tasks may have the core for ever.

        W = B + C_network + sum over tasks of ceil(W / T_j) * C_j

    However many periods the network work stretches over, it has C before Linux has its share of the core
    (worlds/secure/runtime/share.h). It asks between its steps and begins one before it asks: hence the two.
    With lanes, frames that another core of Linux's puts into one that was empty are taken even then, at most
    what that lane's budget allows.
    """
    if not board.core.shared:
        return 0
    secure = board.secure
    tasks = [t for t in secure.task if t.runs != "inside"]
    if sum(t.cost_us / t.period_us for t in tasks) >= 1:
        return None
    least = secure.blocking.us + secure.network.cost_us
    longest, following = 0, least + sum(t.cost_us for t in tasks)
    while following != longest:
        longest = following
        following = least + sum(-(-longest // t.period_us) * t.cost_us for t in tasks)
    return longest


def slack(secure: Secure) -> float:
    """By how much every cost could grow before a deadline is missed, as a share: 0.05 is 5 %. Found by
    bisection to a thousandth; 1 where everything could double."""
    low, high = 0, 1000
    while high - low > 1:
        middle = (low + high) // 2
        grown = _grown(secure, 1000 + middle)
        low, high = (middle, high) if all(r.ok for r in responses(grown)) else (low, middle)
    return (high if all(r.ok for r in responses(_grown(secure, 1000 + high))) else low) / 1000


def _grown(secure: Secure, permille: int) -> Secure:
    """The same set in nanoseconds, every cost times `permille` / 1000."""
    tasks = tuple(
        msgspec.structs.replace(
            t, cost_us=t.cost_us * permille, deadline_us=t.deadline_us * 1000, period_us=t.period_us * 1000
        )
        for t in secure.task
    )
    n = secure.network
    network = Server(n.cost_us * permille, n.period_us * 1000)
    return msgspec.structs.replace(
        secure, task=tasks, network=network, blocking=Blocking(secure.blocking.us * 1000)
    )


def _response(name: str, own: int, above: list[tuple[int, int]], limit: int) -> Response:
    us = own
    while us <= limit:
        following = own + sum(-(-us // period) * cost for cost, period in above)
        if following == us:
            return Response(name, limit, us)
        us = following
    return Response(name, limit, None)


# ---- rules -----------------------------------------------------------------------------------------------


class _Check(common._Check):
    """The rules that a type cannot state. Reports the first that is broken, by file, key and both parties."""

    def board(self, b: common.Board) -> None:
        assert isinstance(b, TrustZone)
        super().board(b)
        self.regions(b)
        self.window(b)
        self.gic(b)
        self.interrupts(b.interrupt)
        self.cores(b)
        self.priorities(b)
        self.boot(b)
        self.firmware(b.firmware)
        self.monitor(b.monitor)
        self.restart(b)
        self.schedule(b.secure)

    def recovery(self, r: common.Recovery) -> None:
        if r != common.Recovery():
            self.fail("recovery", "is the host machine's: here Linux's driver registers anew by itself")

    def region(self, key: str, r: Region) -> None:
        if r.size <= 0:
            self.fail(f"{key}.size", f"{r.size:#x} is not above 0")
        for name, value in (("base", r.base), ("size", r.size)):
            if value < 0 or value % PAGE:
                self.fail(f"{key}.{name}", f"{value:#x} is not a multiple of the page, {PAGE:#x}")
        if r.end > ADDRESS_LIMIT:
            self.fail(key, f"{r} ends beyond {ADDRESS_LIMIT:#x}")

    def disjoint(self, regions: dict[str, Region]) -> None:
        for (a, first), (b, second) in combinations(regions.items(), 2):
            if first.overlaps(second):
                self.fail(b, f"{second} overlaps {a} {first}")

    def regions(self, b: TrustZone) -> None:
        memory = {f"memory.{name}": getattr(b.memory, name) for name in Memory.__struct_fields__}
        devices = {f"device.{name}": device for name, device in b.device.present.items()}
        for key, region in (*memory.items(), *devices.items()):
            self.region(key, region)
        window = memory.pop("memory.window")
        if not b.memory.normal.holds(window):
            self.fail("memory.window", f"{window} is not within memory.normal {b.memory.normal}")
        self.region("boot.storage", b.boot.storage)
        self.disjoint({**memory, **devices, "boot.storage": b.boot.storage})
        for name, device in b.device.present.items():
            if not name.startswith("gic_") and device.owner != "secure":
                self.fail(f"device.{name}.owner", f"the Secure world's {name} must be its own, not shared")

    def window(self, b: TrustZone) -> None:
        buffers = {f"buffer.{role}": b.buffer_region(role) for role in ("normal", "secure")}
        for key, region in buffers.items():
            if region.base % PAGE:
                self.fail(key, f"{region.base:#x} is not a multiple of the page, {PAGE:#x}")
            if not b.memory.window.holds(region):
                self.fail(key, f"{region} is not within memory.window {b.memory.window}")
        self.disjoint(buffers)

    def gic(self, b: TrustZone) -> None:
        needed = {2: "gic_cpu", 3: "gic_redistributor"}[b.gic.version]
        if getattr(b.device, needed) is None:
            self.fail("gic.version", f"a GICv{b.gic.version} needs device.{needed}")

    def interrupts(self, i: Interrupt) -> None:
        for key, value, kind, ids in (
            ("timer", i.timer, "private", PPI),
            ("kick", i.kick, "secure software-generated", SGI),
            ("doorbell", i.doorbell, "shared", SPI),
        ):
            if value not in ids:
                what = f"a {kind} interrupt, {ids.start}..{ids.stop - 1}"
                self.fail(f"interrupt.{key}", f"{value} is not {what}")

    def priorities(self, b: TrustZone) -> None:
        for key in ("timer_priority", "kick_priority"):
            value = getattr(b.interrupt, key)
            if value % 8 or not 0 <= value <= LAST_PRIORITY:
                what = f"a multiple of 8 from 0 to {LAST_PRIORITY:#x}"
                self.fail(f"interrupt.{key}", f"{value:#x} is not {what}")
            if not b.priorities_move or value < NORMAL_PRIORITY:
                continue
            what = f"{value:#x} is among Linux's on a core shared with it, which takes"
            if b.gic.version == 2:
                self.fail(f"interrupt.{key}", f"{what} gic.version = 3")
            if len(b.core.normal) > 1:
                self.fail(f"interrupt.{key}", f"{what} a Linux of that core alone, not {list(b.core.normal)}")

    def cores(self, b: TrustZone) -> None:
        if not b.core.normal:
            self.fail("core.normal", "the Normal world has no core")
        for n, core in enumerate(b.core.normal):
            self.within(f"core.normal[{n}]", core, 0, CORES_MAX - 1)
            if core in b.core.normal[:n]:
                self.fail(f"core.normal[{n}]", f"core {core} is named twice")
        self.within("core.secure", b.core.secure, 0, CORES_MAX - 1)
        if b.core.secure in b.core.normal[1:]:
            first = f"core {b.core.normal[0]}, where Linux starts"
            self.fail("core.secure", f"core {b.core.secure} is shared and not Linux's first, {first}")
        if b.emulator is not None and b.core.secure != 0:
            self.fail("core.secure", f"{b.core.secure} is not 0, the core that [emulator] starts on")
        if b.core.shared and b.core.doorbell == "poll":
            what = f"core.secure = {b.core.secure} is in core.normal"
            self.fail("core.doorbell", f"'poll' needs a core of the Secure world's own, but {what}")

    def boot(self, b: TrustZone) -> None:
        places = {name: getattr(b.boot, name) for name in ("kernel", "device_tree", "initramfs")}
        for name, at in places.items():
            key, place = f"boot.{name}", Region(at, PAGE)
            align = 2 << 20 if name == "kernel" else PAGE
            if not b.memory.normal.holds(place):
                self.fail(key, f"{at:#x} is not within memory.normal {b.memory.normal}")
            if b.memory.window.overlaps(place):
                self.fail(key, f"{at:#x} is within memory.window {b.memory.window}")
            if at % align:
                unit = "2 MiB" if align > PAGE else f"the page, {PAGE:#x}"
                self.fail(key, f"{at:#x} is not a multiple of {unit}")
        for (a, first), (c, second) in combinations(places.items(), 2):
            if first == second:
                self.fail(f"boot.{c}", f"{second:#x} is boot.{a} too")
        for n, write in enumerate(b.boot.quiet):
            self.quiet(b, f"boot.quiet[{n}]", write)

    def quiet(self, b: TrustZone, key: str, write: Write) -> None:
        self.within(f"{key}.count", write.count, 1, 4096)
        self.within(f"{key}.stride", write.stride, 4, 1 << 20)
        self.within(f"{key}.value", write.value, 0, 0xFFFFFFFF)
        region = write.region
        if region.base < 0 or region.base % 4 or write.stride % 4:
            self.fail(
                key, f"{write.base:#x} in steps of {write.stride} are not addresses of 32-bit registers"
            )
        if region.end > ADDRESS_LIMIT:
            self.fail(key, f"{region} ends beyond {ADDRESS_LIMIT:#x}")
        others = {f"memory.{name}": getattr(b.memory, name) for name in Memory.__struct_fields__}
        for name, other in {**others, "boot.storage": b.boot.storage}.items():
            if region.overlaps(other):
                self.fail(key, f"{region} overlaps {name} {other}")
        for name, device in b.device.present.items():
            if device.owner == "secure" and region.overlaps(device):
                self.fail(key, f"{region} overlaps device.{name} {device}, which is the Secure world's")

    def firmware(self, f: Firmware) -> None:
        if not _NAME.fullmatch(f.platform):
            self.fail("firmware.platform", f"{f.platform!r} is not a name of one of TF-A's platforms")
        for i, option in enumerate(f.options):
            if not _OPTION.fullmatch(option):
                self.fail(f"firmware.options[{i}]", f"{option!r} is not NAME=value")
        self.within("firmware.fip", f.fip, PAGE, 1 << 26)

    def monitor(self, m: Monitor) -> None:
        self.within("monitor.doorbells_per_second", m.doorbells_per_second, 1, 10_000_000)
        self.within("monitor.doorbell_burst", m.doorbell_burst, 1, 1 << 20)

    def restart(self, b: TrustZone) -> None:
        r, day = b.restart, 86_400_000
        self.within("restart.silent_ms", r.silent_ms, 0, day)
        self.within("restart.boot_ms", r.boot_ms, 0, day)
        self.within("restart.burst", r.burst, 1, 1000)
        self.within("restart.interval_ms", r.interval_ms, 1, day)
        if 0 < r.silent_ms <= b.channel.silence_ms:
            why = f"is not above channel.silence_ms {b.channel.silence_ms}, after which the link is down"
            self.fail("restart.silent_ms", f"{r.silent_ms} {why}")

    def schedule(self, s: Secure) -> None:
        self.within("secure.blocking.us", s.blocking.us, 0, 1_000_000)
        self.within("secure.network.period_us", s.network.period_us, 100, 1_000_000)
        self.within("secure.network.cost_us", s.network.cost_us, 1, s.network.period_us)
        self.harmonic(s)
        for response in responses(s):
            if response.ok:
                continue
            tasks = ", ".join(f"{t.name} {t.cost_us}/{t.period_us}" for t in s.task)
            load = f"{tasks}, network {s.network.cost_us}/{s.network.period_us}, blocking {s.blocking.us}"
            needs = "never settles" if response.us is None else f"needs {response.us}"
            key = "secure.network" if response.name == "network" else self.task_key(s, response.name)
            what = f"cannot be done within {response.limit_us} us beside the rest"
            self.fail(key, f"{what} (us: {needs}; {load})")

    def harmonic(self, s: Secure) -> None:
        """One timer releases all: each period is a whole number of the one above it."""
        above, inside, below = (s.runs(where) for where in ("above", "inside", "below"))
        assert above is not None
        self.multiple("secure.network.period_us", s.network.period_us, f"{above.name}'s", above.period_us)
        if below is not None:
            key = self.task_key(s, below.name, "period_us")
            self.multiple(key, below.period_us, "the network's", s.network.period_us)
        if inside is not None and inside.cost_us > s.network.cost_us:
            what = f"{inside.cost_us} is more than secure.network.cost_us = {s.network.cost_us}"
            self.fail(self.task_key(s, inside.name, "cost_us"), what)

    def multiple(self, key: str, value: int, whose: str, of: int) -> None:
        if value % of:
            self.fail(key, f"{value} is not a multiple of {whose} period, {of}")

    @staticmethod
    def task_key(s: Secure, name: str, member: str = "deadline_us") -> str:
        return f"secure.task[{[t.name for t in s.task].index(name)}].{member}"
