# SPDX-License-Identifier: MIT
"""Linux's IP stack to the Secure world's on the host machine: `stack_ends.py channel|tap|echo
lwip|WORLD key=value...`. A program of its own, never imported.

    channel   as the board has it: interface, frame pump, channel, Secure world
    tap       the same stack with its interface directly on a TAP, MTU 1500, a frame a segment
    echo      no stack: a process answers pings on the TAP by itself, and nothing else
    WORLD     a Secure world with FreeRTOS+TCP that was built elsewhere

Prints the line of JSON of the other runners: round trips of ping, back to back, and TCP each way.
"""

from __future__ import annotations

import ctypes
import json
import os
import signal
import sys
from pathlib import Path
from statistics import quantiles

from isthmus.bench.program import tap_echo
from isthmus.check.program import Failed, answer
from isthmus.check.throughput import PORT
from isthmus.errors import IsthmusError
from isthmus.host import HostMachine, World

ECHOES = 2000
MISSING, BROKEN = 2, 3
PR_SET_PDEATHSIG = 1


def run(kind: str, world: str, milliseconds: int) -> dict[str, object]:
    found: dict[str, object] = {}
    programs: dict[World, Path] = {} if world == "lwip" else {"secure": Path(world)}
    if kind == "echo":
        programs["secure"] = tap_echo()
    with HostMachine(plain=kind != "channel", programs=programs) as machine:
        address = machine.board.secure.address
        for count in (ECHOES // 10, ECHOES):  # the first ones find the addresses and warm the way
            pinged = answer(machine, "ping", address, count, 0, limit=20.0)
        us = [ns / 1000 for ns in pinged["rtt_ns"]]
        if len(us) < ECHOES:
            raise Failed(f"{ECHOES - len(us)} of {ECHOES} pings were not answered")
        percents = quantiles(us, n=100)
        found |= {"rtt_p50": percents[49], "rtt_p99": percents[98], "samples": len(us)}
        for direction, metric in () if kind == "echo" else (("to", "to_secure"), ("from", "to_normal")):
            limit = milliseconds / 1000 + 12
            got = answer(machine, "stream", direction, address, PORT, milliseconds, limit=limit)
            found[metric] = got["bytes"] * 8 / got["seconds"]
    return found


def main(argv: list[str]) -> int:
    ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
    settings = {key: int(value) for key, value in (a.split("=", 1) for a in argv[3:])}
    os.sched_setaffinity(0, {settings["cpu0"], settings["cpu1"]})
    try:
        found = run(argv[1], argv[2], max(100, settings["flood_us"] // 1000))
    except (Failed, IsthmusError) as error:
        sys.stderr.write(f"{argv[1]}: {error}\n")
        return BROKEN if isinstance(error, Failed) else MISSING
    sys.stdout.write(json.dumps({"case": argv[1], **found}) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv))
