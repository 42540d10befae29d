# SPDX-License-Identifier: MIT
"""The critical application computes in FP registers where the board says so, and nothing uses them elsewhere.

The registers themselves, and what traps, are in tests/test_qemu_registers.py.
"""

from __future__ import annotations

import re
import subprocess
import time
from pathlib import Path
from typing import Any, Literal

import msgspec
import pytest

from isthmus.build import payload as building
from isthmus.build.payload import CROSS, payload
from isthmus.build.program import Unit, build_program
from isthmus.qemu.linked import LinkedMachine
from isthmus.trustzone.board import TrustZone, load

pytestmark = pytest.mark.qemu

APPLICATION = Path(__file__).parent / "worlds" / "fp" / "actuator.c"
USES_FP = re.compile(r"\t\S+\t(?:[^\t]*[ ,{\[])?[qdsvbh]\d+[.,}]")


def board(fp: Literal["none", "switched"]) -> TrustZone:
    found = load()
    return msgspec.structs.replace(found, secure=msgspec.structs.replace(found.secure, fp=fp))


def uses(fp: Literal["none", "switched"]) -> int:
    command = [f"{CROSS}objdump", "-d", "--no-show-raw-insn", str(payload(board(fp)))]
    return len(USES_FP.findall(subprocess.run(command, capture_output=True, text=True, check=True).stdout))


def test_no_instruction_of_the_secure_world_uses_fp_unless_the_board_says_so() -> None:
    assert uses("none") == 0
    assert uses("switched") > 0


def with_application(name: str, sources: Any, includes: Any, **rest: Any) -> Path:
    """build_program(), with the test's application in the example's place."""
    rest["more"] = [
        Unit(
            [APPLICATION if p.name == APPLICATION.name else p for p in u.sources],
            u.includes,
            u.cflags,
            u.system,
        )
        for u in rest["more"]
    ]
    return build_program(name, sources, includes, **rest)


def test_every_task_keeps_its_fp_registers_beside_traffic(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(building, "build_program", with_application)
    with LinkedMachine(board("switched")) as machine:
        assert machine.console is not None
        end = time.monotonic() + 60
        while True:
            assert machine.run(f"ping -q -c 5 {machine.board.secure.address}").status == 0
            seen = machine.console.status()["app"]["state"]
            assert seen["above_wrong"] == 0
            assert seen["below_wrong"] == 0
            if seen["above_looks"] > 1000 and seen["below_looks"] > 1000 and seen["halves"] > 100:
                break
            assert time.monotonic() < end, seen
