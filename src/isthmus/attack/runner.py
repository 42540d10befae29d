# SPDX-License-Identifier: MIT
"""Runs attacks on the memory machine: each in a child of its own, its defence on and, as control, off."""

from __future__ import annotations

import faulthandler
import os
import pickle
import random
import select
import signal
import time
from dataclasses import replace
from typing import Any

from isthmus.attack.catalogue import Attack, Defence, Outcome, Row
from isthmus.attack.defences import stage_library
from isthmus.attack.stage import Settings, Stage
from isthmus.errors import IsthmusError

__all__ = ["LIMIT_S", "on_memory", "row"]

LIMIT_S = 60.0  # an attack that takes longer has stopped the Secure end: it is not contained


def on_memory(attack: Attack, defence: Defence, seed: int) -> Row:
    """One row. Raises EnvironmentProblem where a test build cannot be made."""
    assert attack.run is not None
    assert attack.control is not None
    off = attack.control if defence == "off" else None
    library = stage_library(off.without if off else None)
    settings = replace(Settings(**attack.settings), **(off.settings if off else {}))

    def run() -> Outcome:
        return attack.run(Stage(library, settings), random.Random(f"{seed} {attack.id}"))  # type: ignore[misc]

    return row(attack, defence, seed, _in_a_child(run))


def row(attack: Attack, defence: Defence, seed: int, outcome: Outcome | None) -> Row:
    """The row of an outcome; None: the attack does not apply to this machine."""
    o = outcome if outcome is not None else Outcome(False, attack.elsewhere)
    return Row(
        id=attack.id,
        name=attack.name,
        kind=attack.kind,
        attacker=attack.attacker,
        defence=defence,
        applies=outcome is not None,
        contained=o.contained if outcome is not None else None,
        missed_deadlines=o.missed if outcome is not None else None,
        counters=o.counters,
        work_max=o.work_max,
        work_bound=o.work_bound,
        recovered_s=o.recovered_s,
        flow_sent=o.flow_sent,
        flow_lost=o.flow_lost,
        seed=seed,
        replayable=attack.replayable,
        detail=o.detail,
    )


def _in_a_child(run: Any) -> Outcome:
    """What `run` returns in a forked child. A child that dies or does not end was not contained."""
    ours, theirs = os.pipe()
    child = os.fork()
    if child == 0:
        _child(run, theirs)
    os.close(theirs)
    try:
        said = _read(ours, child)
    finally:
        os.close(ours)
        _, status = os.waitpid(child, 0)
    if said is None:
        return Outcome(False, f"it did not end within {LIMIT_S:g} s")
    if not said:
        code = os.waitstatus_to_exitcode(status)
        name = signal.Signals(-code).name if code < 0 else f"status {code}"
        return Outcome(False, f"the process under attack died of {name}")
    result = pickle.loads(said)
    if isinstance(result, str):
        raise IsthmusError(result)
    assert isinstance(result, Outcome)
    return result


def _child(run: Any, out: int) -> None:
    """Never returns. What goes wrong in the attack itself travels as a string."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    faulthandler.disable()
    null = os.open(os.devnull, os.O_WRONLY)
    os.dup2(null, 2)  # allocators complain of what an attack did to them
    try:
        result: Outcome | str = run()
    except Exception as problem:
        result = f"{type(problem).__name__}: {problem}"
    with os.fdopen(out, "wb") as pipe:
        pipe.write(pickle.dumps(result))
    os._exit(0)


def _read(pipe: int, child: int) -> bytes | None:
    """Until end of file; None after LIMIT_S, and the child is killed. On an exception, too."""
    said, deadline = b"", time.monotonic() + LIMIT_S
    try:
        while (left := deadline - time.monotonic()) > 0:
            if not select.select([pipe], [], [], left)[0]:
                break
            part = os.read(pipe, 65536)
            if not part:
                return said
            said += part
    except BaseException:
        os.kill(child, signal.SIGKILL)
        raise
    os.kill(child, signal.SIGKILL)
    return None
