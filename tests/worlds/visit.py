# SPDX-License-Identifier: MIT
"""Brings the host machine up, looks around, kills both worlds once. Arguments: the programs."""

from __future__ import annotations

import sys
from pathlib import Path

from isthmus.host import HostMachine

if __name__ == "__main__":
    with HostMachine(programs={"normal": Path(sys.argv[1]), "secure": Path(sys.argv[2])}) as machine:
        machine.run(["sh", "-c", "echo uid $(id -u) inside"])
        print("link", machine.status("secure")["state"], flush=True)
        machine.kill("normal")
        machine.wait_up()
        machine.kill("secure")
        machine.wait_up()
        print("restarted")
