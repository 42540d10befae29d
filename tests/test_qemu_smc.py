# SPDX-License-Identifier: MIT
"""The monitor answers whatever Linux's kernel can ask: every function id of its owner's ranges with any
arguments, from every core at once, as SPEC says; no register changes that is not named, nor anything else.

tests/worlds/smc_fuzz makes the calls and judges them, in the guest; a seed replays them.
"""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from isthmus.build import firmware
from isthmus.build.guest import kernel_module
from isthmus.build.packages import debian_kernel
from isthmus.qemu.machine import QemuMachine
from isthmus.resources import tree
from isthmus.trustzone.board import load
from smc_calls import Normal
from smc_numbers import values

pytestmark = pytest.mark.qemu

FILE = "/sys/kernel/debug/isthmus_smc_fuzz"
WORLDS = Path(__file__).parent / "worlds"


def attacked(*changes: str) -> QemuMachine:
    """Its time counts instructions, so that a missed deadline is one that a call has cost."""
    kernel = debian_kernel()
    fuzz = kernel_module(kernel, "smc_fuzz", {"": WORLDS / "smc_fuzz", "core": tree() / "core"})
    call = kernel_module(kernel, "smc", {"": WORLDS / "smc"})
    return QemuMachine(load(changes=changes), modules=[fuzz, call], counted=True)


#: Linux on one core and on two, of which the Secure world shares the first, or has one of its own.
CORES: dict[str, tuple[str, ...]] = {
    "one core": (),
    "two cores": ("core.normal=[0, 1]",),
    "two cores, GICv2": ("core.normal=[0, 1]", "gic.version=2"),
    "own core": ("core.normal=[1, 2]",),
    "own core, polled": ("core.normal=[1, 2]", "core.doorbell=poll"),
}


@pytest.fixture(
    scope="module",
    params=[c if c in ("one core", "two cores") else pytest.param(c, marks=pytest.mark.slow) for c in CORES],
)
def machine(request: pytest.FixtureRequest) -> Iterator[QemuMachine]:
    with attacked(*CORES[request.param]) as machine:
        yield machine


def state_of(machine: QemuMachine) -> dict[str, Any]:
    """What the Secure world says of itself, but for what grows with time."""
    assert machine.console is not None
    status = machine.console.status(60)
    critical = status["critical"]
    return {
        **{k: status.get(k) for k in ("state", "epoch", "counters", "sent", "received_bytes", "lost")},
        "missed": critical["missed"],
    }


def campaign(machine: QemuMachine, seed: int, tuples: int, ending: bool = False) -> None:
    """So many tuples on each core, in the session that there is; or on one core while sessions end."""
    normal = Normal(machine)
    before = state_of(machine)
    numbers = " ".join(f"{n:#x}" for n in (seed, tuples, *normal.claim[1:], ending))
    done = machine.run(f"echo {numbers} >{FILE} && cat {FILE}", timeout=60 + tuples / 1000)
    assert done.status == 0, done.errors
    calls, wrong, busy, began, *first = done.output.split(maxsplit=4)
    assert int(calls) == tuples * (1 if ending else len(machine.board.core.normal))
    assert int(wrong) == 0, f"{wrong} wrong answers; the first: {' '.join(first)}"
    if ending:
        assert int(busy) > 0, "nobody tried"
        assert int(began) <= int(busy) // 4, "a session began while another one ended"
    else:
        assert state_of(machine) == before


@pytest.mark.parametrize(
    "tuples", [pytest.param(1_700, id="10^4"), pytest.param(170_000, id="10^6", marks=pytest.mark.slow)]
)
def test_every_call_gets_its_answer_and_changes_nothing(machine: QemuMachine, seed: int, tuples: int) -> None:
    """Each core of Linux's makes so many calls without a session, and again in one: of the first two machines
    together there are three."""
    normal = Normal(machine)
    normal.detach()
    campaign(machine, seed, tuples)
    epoch = normal.call("REGISTER", *normal.claim)[1]
    machine.run("usleep 50000")
    campaign(machine, seed + 100, tuples)
    assert normal.call("STATUS", 0)[1:3] == [values()["IST_SESSION_SEALED"], epoch]
    normal.detach()


def test_while_a_session_ends_there_is_no_other(machine: QemuMachine, seed: int) -> None:
    """REGISTER gets BUSY until the Secure world has confirmed the end; no call changes that."""
    missed = state_of(machine)["missed"]
    campaign(machine, seed, 1_700, ending=True)
    normal = Normal(machine)
    normal.detach()
    assert state_of(machine)["missed"] == missed
    assert normal.result("REGISTER", *normal.claim) == "OK"
    normal.detach()


#: Of the monitor's sources: the file, what it says, what is said instead, and what is then wrong.
DEFECTS = {
    "a register of its own leaks": (
        "dispatcher.c", "    default:\n        SMC_RET1(handle, SMC_UNK);",
        "    default:\n        SMC_RET2(handle, SMC_UNK, 7);", "a register that is not named has changed",
    ),
    "any epoch detaches": (
        "session.c",
        "SEALED || epoch != s->epoch)\n        return IST_SMC_DENIED;\n    session_end",
        "SEALED)\n        return IST_SMC_DENIED;\n    session_end", "result",
    ),
    "a claim's last number is not looked at": (
        "session.c", " && c->peer_size == BOARD_SECURE_BUFFER_SIZE", "", "result",
    ),
}  # fmt: skip


@pytest.mark.slow
@pytest.mark.parametrize("name", DEFECTS)
def test_a_monitor_that_errs_is_found(
    name: str, seed: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file, was, becomes, what = DEFECTS[name]
    defective(tmp_path, monkeypatch, file, was, becomes)
    with attacked() as machine:
        Normal(machine).call("REGISTER", *Normal(machine).claim)
        with pytest.raises(AssertionError, match=f"wrong answers; the first: tuple [0-9]+ of core 0, {what}"):
            campaign(machine, seed, 20_000)


@pytest.mark.slow
def test_a_monitor_that_does_not_wait_for_the_end_is_found(
    seed: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    was = "    if (s->state == IST_SESSION_ENDING)\n        return IST_SMC_BUSY;\n"
    defective(tmp_path, monkeypatch, "session.c", was, "")
    with attacked() as machine, pytest.raises(AssertionError, match="nobody tried"):
        campaign(machine, seed, 1_700, ending=True)


def defective(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, file: str, was: str, becomes: str) -> None:
    """Machines are built with this change of the monitor's sources from now on."""
    for part in ("core", "worlds"):
        shutil.copytree(tree() / part, tmp_path / part)
    source = tmp_path / "worlds" / "monitor" / "tfa" / file
    text = source.read_text()
    assert text.count(was) == 1, f"{file} no longer says {was!r}"
    source.write_text(text.replace(was, becomes))
    monkeypatch.setattr(firmware, "tree", lambda: tmp_path)
