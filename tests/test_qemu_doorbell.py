# SPDX-License-Identifier: MIT
"""Doorbells over the board's rate enter nothing, and none of their frames is lost.

The rate of this board is one doorbell a second: all others are latched, and what they announced is found at
the Secure world's next period.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

import pytest

from isthmus import resources
from isthmus.qemu.linked import LinkedMachine
from isthmus.trustzone.board import decode

pytestmark = pytest.mark.qemu

PINGS = 100


@pytest.fixture(scope="module")
def machine() -> Iterator[LinkedMachine]:
    text = (resources.tree() / "boards" / "qemu-virt.toml").read_text()
    for key, value in (("doorbells_per_second", 1), ("doorbell_burst", 1)):
        text, changed = re.subn(rf"^{key} = \d+", f"{key} = {value}", text, flags=re.MULTILINE)
        assert changed == 1, key
    with LinkedMachine(decode(text), counted=True) as machine:
        yield machine


def test_latched_doorbells_lose_no_frame(machine: LinkedMachine) -> None:
    before = machine.status("normal")
    done = machine.run(f"ping -c {PINGS} -i 0.01 -q {machine.board.secure.address}", 60)
    after = machine.status("normal")
    assert f"{PINGS} packets received, 0% packet loss" in done.output, done
    rung, latched = (after[name] - before[name] for name in ("doorbells", "latched"))
    assert rung >= PINGS
    assert rung - latched <= 5, f"{rung} rung in about a second, {latched} of them latched"


def test_they_wait_for_the_next_period_and_no_longer(machine: LinkedMachine) -> None:
    done = machine.run(f"ping -c {PINGS} -i 0.0103 -q {machine.board.secure.address}", 60)
    found = re.search(r"min/avg/max = ([\d.]+)/([\d.]+)/([\d.]+) ms", done.output)
    assert found is not None, done
    least, _, most = (float(value) for value in found.groups())
    period_ms = machine.board.secure.network.period_us / 1000
    assert least < period_ms
    assert most <= 2 * period_ms, "each is answered in the period after it"
