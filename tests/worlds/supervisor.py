# SPDX-License-Identifier: MIT
"""A supervisor that is to be killed: brings a machine up and keeps restarting its worlds until it dies.

Arguments: PACKET-KIND NORMAL-PROGRAM SECURE-PROGRAM, or "qemu". Says "up" once on standard output.
"""

from __future__ import annotations

import itertools
import sys
from pathlib import Path

from isthmus.errors import LinkDown
from isthmus.host import HostMachine
from isthmus.qemu.linked import LinkedMachine


def emulated() -> None:
    with LinkedMachine() as machine:
        assert machine.console is not None
        print("up", flush=True)
        while True:
            machine.console.restart(60)
            machine.wait_up(30)


def host(kind: str, normal: str, secure: str) -> None:
    programs = {"normal": Path(normal), "secure": Path(secure)}
    with HostMachine(packet=kind, programs=programs) as machine:  # type: ignore[arg-type]
        machine.popen(["sleep", "1000"])
        print("up", flush=True)
        for world in itertools.cycle(("normal", "secure")):
            try:
                machine.kill(world)  # type: ignore[arg-type]
                machine.wait_up(30)
            except LinkDown:
                continue


if __name__ == "__main__":
    if sys.argv[1] == "qemu":
        emulated()
    else:
        host(*sys.argv[1:])
