# SPDX-License-Identifier: MIT
"""What Linux reaches of the Secure world on the TrustZone machine: nothing; an open way is seen."""

from __future__ import annotations

import re
from collections.abc import Iterator

import pytest

from isthmus import resources
from isthmus.check import reach
from isthmus.check.rows import Row
from isthmus.qemu.linked import LinkedMachine
from isthmus.trustzone.board import Region, decode, load


@pytest.fixture(scope="module")
def machine() -> Iterator[LinkedMachine]:
    with LinkedMachine(files=reach.files(), counted=True) as machine:
        yield machine


def rows(machine: LinkedMachine) -> dict[str, Row]:
    return {row.id: row for row in reach.isolation(machine)}


@pytest.mark.qemu
def test_every_way_is_closed_and_named(machine: LinkedMachine) -> None:
    found = rows(machine)
    assert [row for row in found.values() if not row.ok] == []
    for row in found.values():
        assert "first word, last word of the firmware's memory, the Secure world's memory" in row.detail
        for register in reach.registers(machine.board):
            assert register.whose in row.detail
            assert register.what in row.detail
        for place in reach.places(machine.board):
            assert place in row.detail
    assert " 0 missed" in found["isolation.write"].detail


@pytest.mark.qemu
def test_memory_that_is_linuxs_is_an_open_way(
    machine: LinkedMachine, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The last page of the window is in no buffer: a write there does no harm."""
    window = machine.board.memory.window
    monkeypatch.setattr(reach, "places", lambda board: {"the window": Region(window.end - 4096, 4096)})
    for row in rows(machine).values():
        assert (row.ok, row.value) == (False, 2)
        assert row.detail.startswith("open: first word, last word of the window;")


@pytest.mark.qemu
def test_an_interrupt_that_is_linuxs_is_an_open_way(
    machine: LinkedMachine, monkeypatch: pytest.MonkeyPatch
) -> None:
    board = machine.board
    frame = board.gic_private.base + reach.FRAME
    own = reach.Register("its own", "enable", frame + reach.SET_ENABLE, 4, 1 << reach.OWN, 1 << reach.OWN)
    monkeypatch.setattr(reach, "registers", lambda board: [own])
    for row in rows(machine).values():
        assert (row.ok, row.value) == (False, 1)
        assert row.detail.startswith("open: enable of its own;")


def test_a_probe_that_shows_nothing_proves_nothing() -> None:
    row = reach.judged("isolation.read", {("a", "word"): True}, {("b", "bit"): True}, works=False)
    assert (row.ok, row.value) == (False, 0)
    assert "shows nothing" in row.detail


def test_what_a_board_does_not_have_is_not_tried() -> None:
    text = (resources.tree() / "boards" / "qemu-virt.toml").read_text()
    without = re.sub(r"\[device\.(flash|power)\][^\[]*", "", text)
    missing = set(reach.places(load())) - set(reach.places(decode(without)))
    assert missing == {"the firmware's flash", "the power controller"}
