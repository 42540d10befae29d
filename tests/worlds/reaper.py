# SPDX-License-Identifier: MIT
"""Kills a supervisor at random moments and says what remains.

Arguments: SEED ROUNDS SIGNAL LONGEST-S COMMAND... . Every descendant of a killed supervisor becomes this
process's child (PR_SET_CHILD_SUBREAPER), so "no process is left" is "there is no child to wait for": nothing
is guessed from names. One line per round: the moment, and the pids that were still there after LIMIT_S.
"""

from __future__ import annotations

import ctypes
import os
import random
import signal
import subprocess
import sys
import time

PR_SET_CHILD_SUBREAPER = 36
LIMIT_S = 15.0


def children() -> list[int]:
    with open(f"/proc/self/task/{os.getpid()}/children") as file:
        return [int(pid) for pid in file.read().split()]


def wait_for_all() -> list[int]:
    """Reaps until nothing is left; whoever is still there when time is up."""
    end = time.monotonic() + LIMIT_S
    while time.monotonic() < end:
        try:
            pid, _ = os.waitpid(-1, os.WNOHANG)
        except ChildProcessError:
            return []
        if pid == 0:
            time.sleep(0.005)
    return children()


def main(seed: int, rounds: int, number: int, longest: float, argv: list[str]) -> int:
    ctypes.CDLL(None).prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)
    dice = random.Random(seed)
    bad = 0
    for i in range(rounds):
        after = dice.uniform(0, longest)
        process = subprocess.Popen(argv, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
        time.sleep(after)
        process.send_signal(number)
        begun = time.monotonic()
        left = wait_for_all()
        said = process.stderr.read() if process.stderr and not left else ""
        took = time.monotonic() - begun
        print(f"{i}: after {after:.4f} s, clean {took:.3f} s later, left {left}, said {said!r}", flush=True)
        if left or "isthmus/cli/app.py" in said or "isthmus/host/" in said:  # a traceback of ours
            bad += 1
            for pid in left:
                os.kill(pid, signal.SIGKILL)
            wait_for_all()
    return 1 if bad else 0


if __name__ == "__main__":
    sys.exit(main(int(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3]), float(sys.argv[4]), sys.argv[5:]))
