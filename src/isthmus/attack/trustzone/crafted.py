# SPDX-License-Identifier: MIT
"""What scapy crafts, sent by a program in Linux: the driver that carries it is the honest one."""

from __future__ import annotations

import random
from typing import Any

from isthmus.attack.catalogue import Outcome, attack
from isthmus.attack.crafted import PAUSE_US, SOURCE_PORT, craft, verdicts
from isthmus.attack.trustzone.rig import Rig
from isthmus.build.python import INTERPRETER

QEMU: Any = ("qemu",)
EACH = 3  # frames of every shape
FILE = "/run/crafted"


@attack("pkt-81", "hostile frames of every shape, crafted with scapy", "U", machines=QEMU, off="filter")
def crafted(s: Rig, dice: random.Random) -> Outcome:
    """Each is refused with the verdict that the board's rules have for it, or they let it pass to the stack,
    which is there afterwards: every frame is accounted for."""
    made = craft(s.board, dice.getrandbits(32), EACH)
    rounds = -(-s.us // (len(made) * PAUSE_US))
    refused = {name: n * rounds for name, n in verdicts(made).items()}
    sent = len(made) * rounds
    passing = sent - sum(refused.values())
    lines = "\n".join(c.frame.hex() for c in made)
    name = s.board.normal.interface
    program = f"{INTERPRETER} -I -S /programs/send.py {name} {FILE} {rounds} {PAUSE_US} {SOURCE_PORT}"

    def act() -> str:
        before = s.counters()["OK"]
        taken = int(s.shell(f"# send.py\n{program}"))
        passed = s.counters()["OK"] - before
        if taken != sent:
            return f"Linux took {taken} of {sent} frames"
        return "" if passed >= passing else f"{passed} of {passing} frames were let pass"

    s.machine  # noqa: B018 - the file is Linux's, which has to run
    s.shell(f"# {FILE}\ncat >{FILE} <<'.'\n{lines}\n.")
    found = s.watch(act, exactly=refused)
    shapes = len({c.shape for c in made})
    found.detail = f"{sent} frames of {shapes} shapes, {passing} let pass by a rule: {found.detail}"
    return found
