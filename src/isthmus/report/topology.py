# SPDX-License-Identifier: MIT
"""What the report's drawing of a machine says, all of it from the board file."""

from __future__ import annotations

from dataclasses import dataclass

from isthmus.board import Board
from isthmus.trustzone.board import Region, TrustZone

__all__ = ["Block", "Stretch", "Topology", "topology"]


@dataclass(frozen=True)
class Block:
    """A box with a title and a line below it."""

    title: str
    detail: str


@dataclass(frozen=True)
class Stretch:
    """A stretch of physical addresses. `owner` is a colour: normal, secure, shared or monitor."""

    what: str
    owner: str
    region: Region

    @property
    def size(self) -> str:
        for shift, unit in ((20, "MiB"), (10, "KiB")):
            if self.region.size >> shift:
                return f"{self.region.size >> shift:,} {unit}"
        return f"{self.region.size} bytes"


@dataclass(frozen=True)
class Topology:
    """Two worlds, what lies between them, what stands above both, and what it hears from the Normal world and
    gives to each."""

    normal: str
    secure: str
    normal_blocks: list[Block]
    secure_blocks: list[Block]
    buffers: tuple[Block, Block]  # the Normal world's, the Secure world's
    arbiter: Block
    from_normal: str
    to_normal: str
    to_secure: str
    memory: list[Stretch]


def topology(board: Board, interface: str, stack: str) -> Topology:
    """`interface`: how frames reach Linux's stack; `stack`: the Secure world's, by name."""
    return _trustzone(board, stack) if isinstance(board, TrustZone) else _host(board, interface, stack)


def _worlds(board: Board, normal_end: Block, stack: str) -> tuple[list[Block], list[Block]]:
    task = board.secure.task[0]
    cost = f"cost {task.cost_us:,} µs, deadline {task.deadline_us:,} µs"
    return (
        [
            Block("Programs", "ping, HTTP, TCP and UDP clients"),
            Block("Linux's IP stack", f"{board.normal.interface}  {board.normal.address}"),
            normal_end,
        ],
        [
            Block(f"Control task, every {task.period_us:,} µs", cost),
            Block(f"{stack} and its applications", f"{board.secure.address}: echo, HTTP, iperf"),
            Block("Guard", "load once, check, copy, count; to a budget"),
        ],
    )


def _kib(size: int) -> str:
    return f"{size >> 10:,} KiB"


def _trustzone(board: TrustZone, stack: str) -> Topology:
    normal, secure = _worlds(board, Block("Driver isthmus.ko", board.normal.mac), stack)
    buffers = {role: board.buffer_region(role) for role in ("normal", "secure")}
    m, d = board.memory, board.device
    memory = [
        Stretch("Interrupt controller", "shared", d.gic_distributor),
        Stretch("Secure console", "secure", d.console),
        Stretch("Monitor's RAM", "monitor", m.monitor),
        Stretch("Secure RAM", "secure", m.secure),
        Stretch("Linux's RAM", "normal", m.normal),
        Stretch("Shared window", "shared", m.window),
    ]
    core = "core" if len(board.core.normal) == 1 else "cores"
    cores = ", ".join(map(str, board.core.normal))
    return Topology(
        f"Normal world: Linux on {core} {cores}",
        f"Secure world: critical OS on core {board.core.secure}",
        normal,
        secure,
        (
            Block("Normal world's buffer", f"{buffers['normal'].base:#x}, {_kib(buffers['normal'].size)}"),
            Block("Secure world's buffer", f"{buffers['secure'].base:#x}, {_kib(buffers['secure'].size)}"),
        ),
        Block(
            "Monitor at EL3, in Trusted Firmware-A",
            "switches worlds, seals each session; "
            f"at most {board.monitor.doorbells_per_second:,} doorbells a second",
        ),
        "doorbell: SMC",
        f"doorbell: interrupt {board.interrupt.doorbell}",
        f"secure timer: interrupt {board.interrupt.timer}",
        sorted(memory, key=lambda s: s.region.base),
    )


def _host(board: Board, interface: str, stack: str) -> Topology:
    normal, secure = _worlds(board, Block("Frame pump", f"a process; {interface} interface"), stack)
    sizes = [_kib(board.buffer_bytes(role)) for role in ("normal", "secure")]
    return Topology(
        "Normal world: a process and Linux's stack",
        "Secure world: a process",
        normal,
        secure,
        (
            Block("Normal world's buffer", f"sealed memory, {sizes[0]}, and a doorbell"),
            Block("Secure world's buffer", f"sealed memory, {sizes[1]}, and a doorbell"),
        ),
        Block("Supervisor", "starts and restarts each world; no frame and no doorbell goes through it"),
        "its buffer, its end",
        "peer's buffer, epoch, key",
        "peer's buffer, epoch, key",
        [],
    )
