# SPDX-License-Identifier: MIT
"""Ctrl-C while a command starts: quiet, exit status 130. Until main() runs, Python would answer with a
traceback; hence next to nothing is loaded until then. Moments are counted in what Python itself reports
(imports, files, code that it runs), not in time."""

from __future__ import annotations

import random
import subprocess
import sys
import textwrap
from concurrent.futures import ThreadPoolExecutor

import pytest

LOADED = "import sys; had = set(sys.modules); from isthmus.cli import main; print(*set(sys.modules) - had)"

# A SIGINT to itself at the so many-th event of main(); without one, how many there are.
AT_EVENT = textwrap.dedent("""
    import os, sys, isthmus.cli
    at, seen, counting = int(sys.argv.pop(1)), 0, True
    def hook(event, arguments):
        global seen, counting
        if counting:
            seen += 1
            if seen == at:
                counting = False
                os.kill(os.getpid(), 2)
    sys.addaudithook(hook)
    status = isthmus.cli.main()
    counting = False
    if not at:
        print(seen)
    sys.exit(status)
""")


def test_nothing_is_loaded_before_ctrl_c_is_caught() -> None:
    done = subprocess.run([sys.executable, "-c", LOADED], capture_output=True, text=True, check=True)
    assert set(done.stdout.split()) <= {"__future__", "isthmus", "isthmus.cli"}


def interrupted(at: int, *words: str) -> subprocess.CompletedProcess[str]:
    argv = [sys.executable, "-c", AT_EVENT, str(at), *words]
    return subprocess.run(argv, capture_output=True, text=True, check=False)


@pytest.mark.parametrize("words", [("board", "check"), ("check", "--help")], ids=" ".join)
def test_ctrl_c_at_any_moment_of_its_start(words: tuple[str, ...], seed: int) -> None:
    events = int(interrupted(0, *words).stdout.split()[-1])
    assert events > 1000  # what it loads, mostly
    moments = [1, events, *random.Random(seed).sample(range(2, events), 8)]
    with ThreadPoolExecutor(2) as pool:
        for at, done in zip(moments, pool.map(lambda at: interrupted(at, *words), moments), strict=True):
            assert (done.returncode, done.stderr) == (130, ""), f"event {at} of {events}"
