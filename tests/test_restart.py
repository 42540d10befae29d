# SPDX-License-Identifier: MIT
"""Linux restarts alone, by every cause: the Secure world misses no deadline and no period, the epoch is a new
one, frames pass again.

The machine counts instructions, so that a deadline is the work's and not this computer's.
"""

from __future__ import annotations

import random
from collections.abc import Iterator

import pytest

from isthmus.errors import ClosedError
from isthmus.qemu.linked import LinkedMachine
from restarts import BOARDS, BOOT_S, WAYS, machine, no_gap, restart

pytestmark = pytest.mark.qemu


@pytest.fixture(scope="module")
def linked() -> Iterator[LinkedMachine]:
    with machine() as started:
        yield started


@pytest.mark.parametrize("way", WAYS)
def test_linux_alone_is_affected(linked: LinkedMachine, way: str) -> None:
    restart(linked, way)
    assert no_gap(linked)[-2:] == ["Linux restarts", "link up"], "the timeline tells it"


def test_linux_cannot_write_what_it_starts_from(linked: LinkedMachine) -> None:
    """Neither data nor a command to the flash: a reset would find it in another mode."""
    base = linked.board.boot.storage.base
    before = linked.run(f"devmem {base:#x}").output
    for value in (0x90, 0xFFFFFFFF):
        assert linked.run(f"devmem {base:#x} 32 {value:#x}").status == 128 + 7, "bus error"
    assert linked.run(f"devmem {base:#x}").output == before


def test_the_secure_world_switches_the_machine_off(linked: LinkedMachine) -> None:
    """The last of this machine."""
    assert linked.console is not None
    linked.console.power_off(BOOT_S)
    with pytest.raises(ClosedError, match="the machine is gone"):
        linked.run("true")


@pytest.mark.slow
@pytest.mark.timeout(3600)
@pytest.mark.parametrize("board", BOARDS)
def test_fifty_in_a_row(board: str, seed: int) -> None:
    """Each cause five times, in any order."""
    ways = [*WAYS] * 5
    random.Random(seed).shuffle(ways)
    with machine(*BOARDS[board]) as m:
        for way in ways:
            restart(m, way)
            no_gap(m)
