# SPDX-License-Identifier: MIT
"""What is measured: the bound, the channel, and what people use instead.

A case is one way to move frames between two pinned ends. Its name is the row's `case` and what `--only`
takes.
"""

from __future__ import annotations

from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import Literal

__all__ = [
    "CASES",
    "COST",
    "FRAMES",
    "GIVEN",
    "LATENCY",
    "METRICS",
    "QUICK",
    "RING_BYTES",
    "SCALE",
    "SLOTS",
    "STACK",
    "TAGS",
    "TRANSPORTS",
    "UNITS",
    "VERSIONS",
    "Case",
    "Transport",
    "Version",
    "select",
]

FRAMES = (64, 1500)  # bytes
RING_BYTES = 256 << 10  # each way; every packed ring and every pipe
TAGS = {"none": 0, "crc32c": 1, "siphash": 2}  # as in core/abi.h
SLOTS = 256  # each way; the rings of fixed slots
RECORD_HEADER = 16  # bytes, and the alignment of a record

METRICS = ("rtt_p50", "rtt_p99", "frames", "bits", "cpu")
PINGPONG = ("rtt_p50", "rtt_p99")
LATENCY = ("latency_p50", "latency_p99", "latency_p999")
SCALE = ("frames", "cpu", "size")
COST = ("cost",)
STACK = ("rtt_p50", "rtt_p99", "to_secure", "to_normal")
UNITS = {
    **dict.fromkeys((*PINGPONG, *LATENCY), "us"),
    "frames": "1/s",
    **dict.fromkeys(("bits", "to_secure", "to_normal"), "bit/s"),
    "cpu": "s per million frames",
    "size": "bytes",
    "cost": "ns per frame",
}

Mode = Literal["spin", "adaptive", "sleep"]
Version = Literal["ipv4", "ipv6"]
Transport = Literal["udp", "tcp"]
VERSIONS: tuple[Version, ...] = ("ipv4", "ipv6")
TRANSPORTS: tuple[Transport, ...] = ("udp", "tcp")


@dataclass(frozen=True, slots=True)
class Case:
    """One way to move frames. `runner` is the case's name in its runner (C program or Python ends)."""

    name: str
    peer: str
    runner: str
    mode: Mode = "spin"
    api: Literal["c", "python"] = "c"
    checks: bool = False
    tag: Literal["none", "crc32c", "siphash"] = "none"
    batch: int = 32  # frames per publication, or per call from Python
    buffers: bool = False  # from Python: a batch lies in one buffer, and no frame is an object
    kernel: bool = False  # frames pass through the kernel, whose threads may run in the ends' place
    company: bool = False  # threads that are no ends run in their place: the network's, or the peer's own
    ends: Literal["", "udp", "packet", "tap"] = ""  # descriptors that the runner must be given
    huge: bool = False  # needs huge pages
    sized: bool = True  # carries frames of the size asked for
    metrics: tuple[str, ...] = METRICS
    channels: int = 0  # many of them, each with two lanes and small rings, and
    busy: int = 0  # how many of them have traffic
    stack: bool = False  # Linux's IP stack to the Secure world's
    given: bool = False  # in a Secure world that was built elsewhere, with FreeRTOS+TCP
    threads: bool = False  # can also run inside one process
    loop: str = ""  # one thread alone: which of defences.py's loops

    def slots(self, frame: int) -> int | None:
        """Frames of `frame` bytes that fit each way; None where the kernel decides."""
        if self.peer not in ("bound", "isthmus") or not self.sized or self.channels or self.loop:
            return None
        if self.name in ("ideal.slots", "ideal.slotseq"):
            return SLOTS
        trailer = 0 if self.tag == "none" else RECORD_HEADER
        return int(RING_BYTES // (RECORD_HEADER + -(-frame // RECORD_HEADER) * RECORD_HEADER + trailer))


def bound(name: str, sized: bool = True) -> Case:
    return Case(name, "bound", name, sized=sized, threads=True, metrics=METRICS if sized else PINGPONG)


def latency(name: str, peer: str = "isthmus") -> Case:
    """Of 64 bytes on the critical lane, from when they were due; 120,000 of them in each round."""
    return Case(name, peer, name, sized=False, batch=1, checks=peer == "isthmus", metrics=LATENCY)


def scale(channels: int, busy: int = 0) -> Case:
    """Frames of 64 bytes over so many channels at once, all of them busy or only the first ones."""
    return Case(
        f"scale.{channels}" + (f".{busy}_busy" if busy else ""),
        "isthmus",
        "scale",
        sized=False,
        checks=True,
        channels=channels,
        busy=busy or channels,
        metrics=SCALE,
    )


def stack(name: str, peer: str, runner: str, given: bool = False, metrics: tuple[str, ...] = STACK) -> Case:
    return Case(
        name,
        peer,
        runner,
        mode="adaptive",
        sized=False,
        batch=1,
        checks=peer == "isthmus",
        kernel=True,
        company=True,
        metrics=metrics,
        stack=True,
        given=given,
    )


def defence(
    name: str,
    loop: str = "channel",
    tag: Literal["none", "crc32c", "siphash"] = "none",
    checks: bool = True,
    sized: bool = True,
) -> Case:
    """What a frame costs one thread: sent and received, or judged by an allow-list."""
    peer = "isthmus" if checks else "bound"
    return Case(name, peer, loop, checks=checks, tag=tag, sized=sized, metrics=COST, loop=loop)


def channel(name: str, mode: Mode = "spin", tag: Literal["none", "crc32c", "siphash"] = "none") -> Case:
    return Case(name, "isthmus", "isthmus", mode=mode, checks=True, tag=tag, threads=True)


def network(name: str, ends: Literal["udp", "packet", "tap"]) -> Case:
    return Case(name, name, name, batch=1, kernel=True, company=True, ends=ends)


CASES: tuple[Case, ...] = (
    bound("cacheline", sized=False),
    bound("ideal.packed"),
    bound("ideal.slots"),
    bound("ideal.slotseq"),
    channel("isthmus"),
    channel("isthmus.crc32c", tag="crc32c"),
    channel("isthmus.siphash", tag="siphash"),
    channel("isthmus.adaptive", mode="adaptive"),
    channel("isthmus.sleep", mode="sleep"),
    network("udp-veth", "udp"),
    network("af_packet", "packet"),
    network("tap", "tap"),
    Case("dpdk-rte_ring", "dpdk-rte_ring", "dpdk-rte_ring", huge=True),
    Case("dpdk-net_memif", "dpdk-net_memif", "dpdk-net_memif"),
    Case("zmq-ipc", "zmq-ipc", "zmq-ipc", mode="sleep", batch=1, kernel=True, company=True),
    Case("unix-seqpacket", "unix-seqpacket", "unix-seqpacket", batch=1, kernel=True),
    Case("unix-seqpacket.sleep", "unix-seqpacket", "unix-seqpacket", mode="sleep", batch=1, kernel=True),
    Case("pipe.sleep", "pipe", "pipe", mode="sleep", batch=1, kernel=True),
    latency("latency.timer", "bound"),
    latency("latency.idle"),
    latency("latency.loaded"),
    *(scale(n) for n in (1, 2, 4, 8, 16, 32, 64)),
    scale(64, busy=1),
    defence("defences.unchecked", "channel.unchecked", checks=False),
    defence("defences.checks"),
    defence("defences.crc32c", tag="crc32c"),
    defence("defences.siphash", tag="siphash"),
    *(defence(f"filter.{ip}.{l4}", f"filter.{ip}.{l4}", sized=False) for ip in VERSIONS for l4 in TRANSPORTS),
    stack("lwip.channel", "isthmus", "channel"),
    stack("lwip.tap", "tap", "tap"),
    stack("tap.echo", "tap", "echo", metrics=PINGPONG),
    Case("python.isthmus", "isthmus", "channel", api="python", checks=True, batch=1),
    Case("python.isthmus.batch", "isthmus", "channel", api="python", checks=True, batch=32),
    Case("python.isthmus.buffers", "isthmus", "channel", api="python", checks=True, batch=32, buffers=True),
    Case("python.isthmus.sleep", "isthmus", "channel", mode="sleep", api="python", checks=True, batch=1),
    Case("python.shared_memory", "shared_memory", "shared-memory", api="python", batch=1),
    Case("python.iceoryx2", "iceoryx2", "iceoryx2", api="python", batch=1),
    Case("python.mp-pipe", "mp-pipe", "mp-pipe", mode="sleep", api="python", batch=1, kernel=True),
    Case("python.mp-pipe.spin", "mp-pipe", "mp-pipe", api="python", batch=1, kernel=True),
    Case("python.pyzmq", "pyzmq", "pyzmq", mode="sleep", api="python", batch=1, kernel=True, company=True),
    Case("python.pyzmq.spin", "pyzmq", "pyzmq", api="python", batch=1, kernel=True, company=True),
)
# Without what only the curve over the number of channels needs.
QUICK = tuple(c for c in CASES if c.name not in {f"scale.{n}" for n in (2, 4, 8, 16, 32)})
# Beside lwIP's in the same rounds, where such a world is there.
GIVEN: tuple[Case, ...] = (
    stack("freertos.channel", "isthmus", "channel", given=True),
    stack("freertos.tap", "tap", "tap", given=True),
)


def select(patterns: str, cases: tuple[Case, ...] = (*CASES, *GIVEN)) -> tuple[Case, ...]:
    """The cases that comma-separated names or shell patterns mean, in the table's order.

    Raises ValueError with the first one that means nothing.
    """
    chosen: set[str] = set()
    for pattern in (p.strip() for p in patterns.split(",")):
        found = {c.name for c in cases if fnmatchcase(c.name, pattern)}
        if not found:
            raise ValueError(f"no case {pattern!r}; there are {', '.join(c.name for c in cases)}")
        chosen |= found
    return tuple(c for c in cases if c.name in chosen)
