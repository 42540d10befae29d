# SPDX-License-Identifier: MIT
"""A supervisor that is to be killed: brings the host machine up and keeps restarting its worlds until it
dies.

Arguments: PACKET-KIND NORMAL-PROGRAM SECURE-PROGRAM. Says "up" once on standard output.
"""

from __future__ import annotations

import itertools
import sys
from pathlib import Path

from isthmus.errors import LinkDown
from isthmus.host import HostMachine

if __name__ == "__main__":
    kind, normal, secure = sys.argv[1:]
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
