# SPDX-License-Identifier: MIT
"""Whom the Secure world restarts, and how often: a Linux that never sends a heartbeat is given `boot_ms`, and
restarts at once are limited by `burst`, however often it deserves them.

Counted time: an idle Linux's seconds pass in no time.
"""

from __future__ import annotations

import time

import pytest

from isthmus.qemu.machine import QemuMachine
from isthmus.trustzone.board import load

pytestmark = pytest.mark.qemu

BOOT_MS, BURST = 5000, 1
LONG_MS = 3_600_000
POLICY = (
    f"restart.boot_ms={BOOT_MS}", f"restart.burst={BURST}", f"restart.interval_ms={LONG_MS}"
)  # fmt: skip


def said(machine: QemuMachine, what: str) -> int:
    """How many lines of the Secure world's say so."""
    return (machine.logs / "secure.log").read_text(errors="replace").splitlines().count(f"isthmus: {what}")


def test_a_linux_that_never_speaks_is_restarted_until_its_restarts_are_used_up() -> None:
    with QemuMachine(load(changes=POLICY), counted=True) as machine:  # without the driver
        assert machine.console is not None
        assert machine.console.status(240)["normal"]["starts"] == 1, "not before its time"
        end = time.monotonic() + 240
        while not said(machine, "Linux silent, restarts used up"):
            assert time.monotonic() < end
            time.sleep(0.1)
        assert said(machine, "Linux silent") == BURST
        last = machine.boot_id
        machine.run(f"usleep {3 * BOOT_MS * 1000}", 240)
        assert machine.boot_id == last, "it is left alone now"
        status = machine.console.status(240)
        assert status["normal"] == {"state": "running", "starts": 1 + BURST, "silent": BURST}
        assert (status["critical"]["missed"], status["critical"]["skipped"]) == (0, 0)
