# SPDX-License-Identifier: MIT
"""Hostile frames that scapy crafts (craft.py), and what the board's filter is to say to each."""

from __future__ import annotations

import importlib.util
import json
import os
import subprocess
import sys
from collections import Counter
from collections.abc import Iterable
from pathlib import Path
from typing import NamedTuple

from isthmus.board import Board
from isthmus.build import cache
from isthmus.errors import EnvironmentProblem
from isthmus.filter.oracle import FRAME_MIN, judge

__all__ = ["PAUSE_US", "SOURCE_PORT", "Crafted", "craft", "require", "verdicts"]

SOURCE_PORT = 4000  # of what the stack answers; the sender holds it, or Linux would answer for it
PAUSE_US = 1000  # between two frames: groups have their own budget, which is not spent
_PROGRAM = Path(__file__).with_name("craft.py")
_LIMIT_S = 120.0
_IP6 = ("fd77::2", "fd77::1")  # where the board has none, and so no rule


class Crafted(NamedTuple):
    """`verdict`: what the bulk lane makes of the frame; "OK": a rule lets it pass."""

    shape: str
    frame: bytes
    verdict: str


def require() -> None:
    """Raises EnvironmentProblem where scapy is not there."""
    if importlib.util.find_spec("scapy") is None:
        raise EnvironmentProblem("no scapy here to craft hostile frames with: pip install 'isthmus[attack]'")


def craft(board: Board, seed: int, each: int) -> list[Crafted]:
    """So many frames of every shape; the same seed makes the same ones. What a lane beside the bulk lane
    would take is left out: such a frame is the critical flow's. Raises EnvironmentProblem."""
    require()
    ends = board.ends
    own6, peer6 = (ends.own_ip6, ends.peer_ip6) if ends.own_ip6 else _IP6
    addresses = (ends.own_mac, ends.own_ip, own6, ends.peer_mac, ends.peer_ip, peer6)
    command = [sys.executable, "-I", str(_PROGRAM), str(seed), str(each)]
    command += [address.partition("/")[0] for address in addresses]
    place = str(cache.folder("scapy"))  # it keeps lists of makers and services for the next time
    environment = {**os.environ, "XDG_CACHE_HOME": place, "XDG_CONFIG_HOME": place}
    try:
        done = subprocess.run(
            command, env=environment, capture_output=True, text=True, timeout=_LIMIT_S, check=False
        )
    except subprocess.TimeoutExpired:
        raise EnvironmentProblem(f"scapy has crafted no frames within {_LIMIT_S:g} s") from None
    if done.returncode != 0:
        why = (done.stderr.strip() or f"exit status {done.returncode}").splitlines()[-1]
        raise EnvironmentProblem(f"scapy crafts no frames: {why}")
    frames = ((shape, bytes.fromhex(text)) for shape, text in json.loads(done.stdout))
    made = [
        Crafted(shape, frame, judge(board.filter, ends, frame.ljust(FRAME_MIN, b"\0")))  # as it is carried
        for shape, frame in frames
    ]
    return [c for c in made if c.verdict != "LANE"]


def verdicts(made: Iterable[Crafted]) -> dict[str, int]:
    """How many are refused by which name."""
    return dict(Counter(c.verdict for c in made if c.verdict != "OK"))
