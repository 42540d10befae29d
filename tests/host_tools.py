# SPDX-License-Identifier: MIT
"""What the machines' tests share: raw sequenced frames; for the host machine programs for both worlds and an
account of what is left."""

from __future__ import annotations

import errno
import os
import socket
import struct
import subprocess
import sys
import time
import zlib
from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Self

import pytest

from isthmus.build import build_program
from isthmus.host import HostMachine, control, supervisor
from isthmus.host.control import Message
from isthmus.resources import tree
from machines import Machine

ETHERTYPE = 0x88B5
GONE = (errno.ENXIO, errno.ENODEV, errno.ENETDOWN)
NORMAL_MAC = bytes.fromhex("024953000001")
SECURE_MAC = bytes.fromhex("024953000002")
WORLDS = Path(__file__).parent / "worlds"


def echo_world() -> Path:
    """A Secure world without an IP stack: it answers every frame with its addresses swapped."""
    core, host = tree() / "core", tree() / "host"
    sources = [*sorted(core.glob("*.c")), host / "link.c", host / "world.c", WORLDS / "echo.c"]
    return build_program("echo-world", sources, [core, host], ["-std=c11", "-O2"])


def hear(link: socket.socket, kind: int) -> tuple[Message, list[int]]:
    """A world's next message of that type, and the descriptors with it; others are passed over."""
    while True:
        data, fds, _ = control.receive(link)
        assert data, "the program hung up"
        message = Message.decode(data)
        if message.type == kind:
            return message, fds


def eventually(what: Callable[[], bool], seconds: float = 60.0) -> bool:
    """Whether it becomes true in time."""
    end = time.monotonic() + seconds
    while not what():
        if time.monotonic() > end:
            return False
        time.sleep(0.005)
    return True


def no_timer_helps(patch: pytest.MonkeyPatch) -> None:
    """A supervisor that waits before it tries again, or until something is overdue, then waits for hours."""
    for name in ("BACKOFF_FIRST_S", "BACKOFF_MAX_S", "HELLO_LIMIT_S", "ATTACH_LIMIT_S"):
        patch.setattr(supervisor, name, 10_000.0)


@contextmanager
def connection_flood(machine: HostMachine | Machine, count: int = 60) -> Iterator[None]:
    """So many connections to the echo, asked for at once and not waited for; none outlives the block."""
    with ExitStack() as stack:
        for _ in range(count):
            s = stack.enter_context(machine.socket(socket.AF_INET, socket.SOCK_STREAM))
            s.setblocking(False)
            s.connect_ex((machine.board.secure.address, 7))
        yield


# ---- raw sequenced frames ----------------------------------------------------------------------------


def raw_frame(incarnation: int, sequence: int, size: int) -> bytes:
    """As worlds/secure/apps/raw.h has it: identity, length, a pattern that follows from both, CRC-32."""
    head = struct.pack(">QQI", incarnation, sequence, size)
    pattern = bytes((incarnation + sequence + i) & 0xFF for i in range(size))
    body = head + pattern
    frame = (
        SECURE_MAC + NORMAL_MAC + struct.pack(">H", ETHERTYPE) + body + struct.pack(">I", zlib.crc32(body))
    )
    return frame.ljust(60, b"\0")


def raw_identity(frame: bytes) -> tuple[int, int] | None:
    """Incarnation and sequence of a frame that is whole; None for any other."""
    if len(frame) < 14 + 24:
        return None
    incarnation, sequence, size = struct.unpack_from(">QQI", frame, 14)
    if len(frame) != max(60, 14 + 24 + size):
        return None
    sent = raw_frame(incarnation, sequence, size)
    return (incarnation, sequence) if frame[14:] == sent[14:] else None


@dataclass
class RawTraffic:
    """Sends raw frames from the Normal world and judges the answers: each at most once, in order, whole."""

    machine: HostMachine | Machine
    incarnation: int
    sent: int = 0
    received: int = 0
    torn: int = 0
    repeated: int = 0  # seen already, or behind one that was seen: a duplicate, or stale
    alien: int = 0
    last: int = -1
    sizes: Iterable[int] = field(default=(20, 200, 1000, 1400))

    def __post_init__(self) -> None:
        self.socket = self.machine.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(ETHERTYPE))
        self.bind()
        self.socket.setblocking(False)
        self._sizes = list(self.sizes)

    def bind(self) -> None:
        """Again after the interface was away with its driver."""
        self.socket.bind((self.machine.board.normal.interface, ETHERTYPE))

    def send(self, frames: int = 8) -> None:
        for _ in range(frames):
            frame = raw_frame(self.incarnation, self.sent, self._sizes[self.sent % len(self._sizes)])
            try:
                self.socket.send(frame)
            except OSError as problem:  # the frame was never sent: the kernel's queue is full,
                if problem.errno in GONE:  # or the interface is away
                    with suppress(OSError):
                        self.bind()
                return
            self.sent += 1

    def collect(self) -> int:
        """Takes in what has come back; how many."""
        fresh = 0
        while True:
            try:
                frame = self.socket.recv(65536)
            except OSError:  # nothing is there, or the interface is away
                return fresh
            identity = raw_identity(frame)
            if identity is None:
                self.torn += 1
            elif identity[0] != self.incarnation:
                self.alien += 1
            elif identity[1] <= self.last:
                self.repeated += 1
            else:
                self.last = identity[1]
                self.received += 1
                fresh += 1

    def faults(self) -> tuple[int, int, int]:
        return self.torn, self.repeated, self.alien

    def exchange(self) -> int:
        """Sends one; how many have come back since."""
        self.send(1)
        return self.collect()

    def settle(self, seconds: float = 60.0) -> bool:
        """Whether every frame sent has come back in time."""
        return eventually(lambda: self.collect() == 0 and self.received == self.sent, seconds)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.socket.close()


# ---- what is left ------------------------------------------------------------------------------------


def namespaces_of(pid: int) -> set[str]:
    """Inode names of a process's namespaces, as /proc tells them; empty where it may not be asked."""
    found = set()
    for name in ("user", "mnt", "net", "pid", "ipc"):
        try:
            found.add(os.readlink(f"/proc/{pid}/ns/{name}"))
        except OSError:
            return set()
    return found


def interfaces() -> set[str]:
    """Names of the interfaces that this process's network namespace shows."""
    return {name for _, name in socket.if_nameindex()}


def mounts() -> set[str]:
    """What is mounted where, as this process sees it."""
    lines = Path("/proc/self/mountinfo").read_text().splitlines()
    return {" ".join(line.split()[2:5]) for line in lines}


def files_under(*folders: Path) -> set[Path]:
    return {path for folder in folders for path in folder.rglob("*")}


# ---- whoever runs a machine dies ---------------------------------------------------------------------


def reap(rounds: int, number: int, longest: float, seed: int, argv: list[str], **more: object) -> str:
    """Runs worlds/reaper.py, which see; its account."""
    reaper = [
        sys.executable,
        str(WORLDS / "reaper.py"),
        str(seed),
        str(rounds),
        str(int(number)),
        str(longest),
    ]
    done = subprocess.run([*reaper, *argv], capture_output=True, text=True, check=False, **more)  # type: ignore[call-overload]
    print(done.stdout, done.stderr)
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stdout.count("\n") == rounds
    return str(done.stdout)


def nothing_left(action: Callable[[], object], *folders: Path) -> None:
    """Interfaces, mounts and files are the same before and after."""
    before = interfaces(), mounts(), files_under(Path("/dev/shm"), *folders)
    action()
    assert eventually(lambda: interfaces() == before[0])
    assert mounts() == before[1]
    assert {p for p in files_under(Path("/dev/shm"), *folders) - before[2] if "isthmus" in str(p)} == set()


def descendants(pid: int) -> set[int]:
    """Every process below `pid`, itself left out; any of them may end while we look."""
    found, threads = set[int](), list[str]()
    with suppress(OSError):
        threads = os.listdir(f"/proc/{pid}/task")
    for thread in threads:
        with suppress(OSError):
            for child in map(int, Path(f"/proc/{pid}/task/{thread}/children").read_text().split()):
                found |= {child} | descendants(child)
    return found
