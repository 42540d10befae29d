# SPDX-License-Identifier: MIT
"""How long the Secure world keeps an interrupt of Linux's waiting: no longer than the board's formula says.

    here: frames, as many as fit into the ring --> Secure world: as much of its cost as it may
                                                          |
    Linux: a timer that is due every 97 us, and nothing else on that core

The attacker is outside and costs Linux nothing, so that the timer's lateness is the Secure world's doing.
"""

from __future__ import annotations

import contextlib
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from host_tools import raw_frame
from isthmus import Endpoint, LinkState
from isthmus.build.guest import kernel_module
from isthmus.build.packages import debian_kernel
from isthmus.qemu.machine import QemuMachine
from isthmus.trustzone.board import TrustZone, load, longest_without_linux
from smc_calls import Normal, module

pytestmark = pytest.mark.qemu

FILE = "/sys/kernel/debug/isthmus_delay"
US = 100_000  # ten periods of the slowest task
FRAME_US = 5.5  # `frame.echo 60` of boards/qemu-virt.counts.json; an instruction counts as a nanosecond
LINUX_US = 20  # from the exception to the timer's handler
# The attacker has another clock than the machine, and is not silent where it seems so.
ALWAYS = ("channel.silence_ms=0",)
VERSIONS = [3, pytest.param(2, marks=pytest.mark.slow)]


def latest_us(machine: QemuMachine) -> float:
    """Of the timer's interrupts, by the guest's own clock."""
    done = machine.run(f"taskset 1 sh -c 'echo {US} >{FILE}' && cat {FILE}", 240)
    assert done.status == 0, done.errors
    came, latest = (int(word) for word in done.output.split())
    assert came > 0
    return latest / 1000


@contextlib.contextmanager
def session(machine: QemuMachine) -> Iterator[Endpoint]:
    normal = Normal(machine)
    with machine.endpoint() as end:
        result, epoch, *key = normal.call("REGISTER", *normal.claim)
        assert result == 0
        end.begin(epoch, b"".join(word.to_bytes(8, "little") for word in key))
        limit = time.monotonic() + 60
        while end.state is not LinkState.RUN:
            assert time.monotonic() < limit
            end.poll()
            time.sleep(0.01)
        yield end


@contextlib.contextmanager
def flood(end: Endpoint) -> Iterator[None]:
    """The shortest frames of those that are answered, the ring never empty."""
    frames = [raw_frame(1, sequence, 20) for sequence in range(64)]
    over = threading.Event()

    def send() -> None:
        while not over.is_set():
            with contextlib.suppress(TimeoutError, BlockingIOError):
                end.send_batch(frames, 0.001)
            with contextlib.suppress(BlockingIOError):
                end.receive_batch(64, 0)

    sender = threading.Thread(target=send)
    sender.start()
    try:
        yield
    finally:
        over.set()
        sender.join()


def tasks_alone_us(board: TrustZone) -> int:
    """Once each, without network work."""
    costs = sum(task.cost_us for task in board.secure.task if task.runs != "inside")
    return costs + board.secure.blocking.us


def step_us(board: TrustZone) -> float:
    """The longest step, in this flood."""
    return board.secure.budget.step_frames * FRAME_US


@pytest.mark.parametrize("gic", VERSIONS)
def test_an_interrupt_waits_no_longer_than_the_formula_says(gic: int) -> None:
    board = load(changes=(*ALWAYS, f"gic.version={gic}"))
    delay = kernel_module(debian_kernel(), "delay", {"": Path(__file__).parent / "worlds" / "delay"})
    bound = longest_without_linux(board)
    assert bound is not None
    with QemuMachine(board, modules=[module(), delay], counted=True) as machine:
        quiet = latest_us(machine)
        with session(machine) as end, flood(end):
            busy = max(latest_us(machine) for _ in range(3))
        assert machine.console is not None
        critical = machine.console.status(60)["critical"]
    print(f"latest interrupt: {quiet:.1f} us without frames, {busy:.1f} us in a flood, of {bound}")
    assert (critical["missed"], critical["skipped"]) == (0, 0)
    assert quiet <= tasks_alone_us(board) + LINUX_US
    assert bound * 0.55 <= busy <= bound + 2 * step_us(board) + LINUX_US
