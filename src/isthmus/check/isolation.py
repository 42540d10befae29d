# SPDX-License-Identifier: MIT
"""A program in the frame pump's place tries to reach the Secure world's memory and process."""

from __future__ import annotations

import os
import subprocess
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Literal

import msgspec

from isthmus.check.program import Failed, Program, argv
from isthmus.check.rows import Row, missing, row
from isthmus.errors import LinkDown
from isthmus.host import HostMachine

__all__ = ["isolation", "judged"]

LIMIT_S = 10.0


def from_the_normal_world(machine: HostMachine, pid: int, name: str) -> dict[str, Any]:
    """The probe with the pump's user, namespaces and descriptor of the Secure memory. Raises Failed."""
    fd = machine.buffer("secure")
    try:
        with Program(machine, "probe", fd, pid, name, pass_fds=[fd]) as probe:
            return probe.answer(LIMIT_S)
    finally:
        os.close(fd)


def seeing_the_process(machine: HostMachine, pid: int, name: str) -> dict[str, Any]:
    """The probe with the rights of the Normal world's root, where the Secure process has a number.
    Raises Failed.
    """
    pump = machine.pid("normal")
    fds = [os.open(f"/proc/{pump}/ns/{kind}", os.O_RDONLY | os.O_CLOEXEC) for kind in ("user", "net")]
    try:
        done = subprocess.run(
            argv("probe", -1, pid, name, ",".join(map(str, fds))),
            stdin=subprocess.DEVNULL,
            capture_output=True,
            pass_fds=fds,
            timeout=LIMIT_S,
            check=False,
        )
    except subprocess.TimeoutExpired:
        raise Failed(f"probe: no answer within {LIMIT_S:g} s") from None
    finally:
        for fd in fds:
            os.close(fd)
    if done.returncode:
        raise Failed(f"probe: {done.stderr.decode(errors='replace').strip().splitlines()[-1]}")
    return msgspec.json.decode(done.stdout, type=dict[str, Any])


def isolation(machine: HostMachine) -> Iterator[Row]:
    try:
        pid = machine.pid("secure")
        name = Path(f"/proc/{pid}/comm").read_text().strip()
        inside = from_the_normal_world(machine, pid, name)
        beside = seeing_the_process(machine, pid, name)
        if not beside["sees"]:
            raise Failed(f"probe: it does not see process {pid}")
    except (Failed, LinkDown, OSError) as problem:
        yield missing("isolation.read", str(problem))
        yield missing("isolation.write", str(problem))
        return
    yield judged("isolation.read", "read", [inside, beside])
    yield judged("isolation.write", "write", [inside, beside])


def judged(ident: str, kind: Literal["read", "write"], answers: list[dict[str, Any]]) -> Row:
    """A row from the probes' answers. Its value: ways that were open."""
    attempts = [a for answer in answers for a in answer["attempts"] if a["kind"] == kind]
    open_ways = [a["name"] for a in attempts if not a["refused"]]
    how = Counter(a["how"] for a in attempts if a["refused"])
    refusals = ", ".join(f"{n} {name}" for name, n in how.most_common())
    detail = f"{len(attempts) - len(open_ways)} of {len(attempts)} attempts refused ({refusals})"
    if open_ways:
        detail = f"open: {', '.join(open_ways)}; {detail}"
    granted = sorted({step for answer in answers for step in answer["granted"]})
    if kind == "write" and granted and not open_ways:
        detail += f"; the kernel grants {' and '.join(granted)}, but no write after it"
    return row(ident, bool(attempts) and not open_ways, len(open_ways), detail)
