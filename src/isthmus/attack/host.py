# SPDX-License-Identifier: MIT
"""Attacks on the host machine: floods against its loop, a pump that was taken over, ways past the border."""

from __future__ import annotations

import random
import socket
import time
from collections.abc import Callable
from typing import Any

from isthmus.attack import frames
from isthmus.attack.catalogue import Outcome, attack, elsewhere
from isthmus.attack.crafted import PAUSE_US, SOURCE_PORT, craft, verdicts
from isthmus.attack.rig import Rig, difference
from isthmus.attack.stage import HEAD, STATE

FLOOD_S, LOOK_S = 0.5, 0.5
STORM_S, STORM_SESSIONS = 1.2, 8  # 10 + 20 + ... + 640 ms
BUDGET: dict[str, Any] = {"frames": 32, "step_frames": 32}  # per period of 1 ms
GROUPS: dict[str, Any] = {"broadcasts_per_second": 100, "broadcast_burst": 10}
FLOW_S = 1.0
EACH = 3  # frames of every shape that scapy crafts
#: Frames that are taken, copied and handed to the stack, sixteen of them in a period.
FLOODED: dict[str, Any] = {
    "frames": 32,
    "step_frames": 16,
    "pump": ("-DFLOOD=1", f"-DFRAME={{{','.join(map(str, frames.raw(bytes(400))))}}}"),
}
HOST: Any = ("host",)


# ---- floods ------------------------------------------------------------------------------------------------


def flood(s: Rig, frame: Callable[[], bytes], accepts: tuple[str, ...]) -> Outcome:
    """As many frames as a program can send for FLOOD_S. Judged by the ledger of the Secure world's work."""
    s.recovers()
    before = s.settled()
    wanted = [frame() for _ in range(64)]
    sent, end = 0, time.monotonic() + FLOOD_S
    while time.monotonic() < end:
        for one in wanted:
            sent += s.send(one) == "OK"
    recovered = s.recovers()
    after = s.settled()
    moved, work = difference(before, after), after["work"]
    missed = after["critical"]["missed"] - before["critical"]["missed"]
    wrong = []
    if work["over"]:
        wrong.append(f"{work['frames_max']} frames in a period")
    if set(moved) - set(accepts):
        wrong.append(f"counted {sorted(set(moved) - set(accepts))}")
    wrong += [f"{missed} deadlines missed"] if missed else []
    wrong += ["no echo came again"] if recovered is None else []
    return Outcome(
        not wrong,
        "; ".join(wrong) or f"{sent} frames sent in {FLOOD_S:g} s, waited {work['exhausted']} times",
        moved,
        missed,
        work["frames_max"],
        work["frames_bound"],
        recovered,
    )


@attack("dos-05", "ring kept full", machines=HOST, off="budget", **BUDGET)
def ring_kept_full(s: Rig, dice: random.Random) -> Outcome:
    return flood(s, lambda: frames.raw(dice.randbytes(400)), ())


@attack("dos-08", "tiny-frame flood", machines=HOST, off="budget", **BUDGET)
def tiny_frames(s: Rig, dice: random.Random) -> Outcome:
    return flood(s, lambda: frames.raw(dice.randbytes(1)), ())


@attack("dos-10", "flood of frames that are refused", machines=HOST, off="budget", **BUDGET)
def refused_frames(s: Rig, dice: random.Random) -> Outcome:
    def frame() -> bytes:
        return dice.choice(
            [
                frames.ipv4(17, frames.udp(9)),
                frames.ipv4(17, frames.udp(7), fragment=0x2000),
                frames.ipv4(6, frames.tcp(7, 0x3F)),
            ]
        )

    return flood(s, frame, ("FILTER", "FRAGMENT", "HEADER"))


@attack("dos-14", "ARP and broadcast storm", machines=HOST, off={"broadcasts_per_second": 0}, **GROUPS)
def broadcast_storm(s: Rig, dice: random.Random) -> Outcome:
    """What reaches the stack is what the frames to groups may cost."""
    s.recovers()
    before, begun = s.settled(), time.monotonic()
    sent = 0
    for _ in range(12):  # as many as the interface's queue holds: what it drops has not reached the stack
        sent += sum(s.send(frames.arp()) == "OK" for _ in range(250))
        s.judged(before, sent)
    recovered = s.recovers()
    after, took = s.settled(), time.monotonic() - begun
    refused = difference(before, after)
    missed = after["critical"]["missed"] - before["critical"]["missed"]
    reached = sent - refused.get("BROADCAST", 0)
    bound = int(100 * took) + 11
    good = reached <= bound and not missed and recovered is not None and not set(refused) - {"BROADCAST"}
    detail = f"{reached} of {sent} broadcasts reached the stack, at most {bound}"
    return Outcome(good, detail, refused, missed, reached, bound, recovered)


# ---- crafted -----------------------------------------------------------------------------------------------


@attack("pkt-81", "hostile frames of every shape, crafted with scapy", "U", machines=HOST, off="filter")
def crafted(s: Rig, dice: random.Random) -> Outcome:
    """Each is refused with the verdict that the board's rules have for it, or they let it pass."""
    made = craft(s.board, dice.getrandbits(32), EACH)

    def act() -> None:
        for one in made:
            s.send(one.frame)
            time.sleep(PAUSE_US / 1e6)

    with s.machine.socket(socket.AF_INET, socket.SOCK_DGRAM) as answers:
        answers.bind(("", SOURCE_PORT))
        found = s.expect(verdicts(made), act)
    found.detail = f"{len(made)} frames of {len({c.shape for c in made})} shapes: {found.detail}"
    return found


# ---- lanes and doorbells: the pump taken over, which attacks beside its work -------------------------------


def setpoints(s: Rig) -> tuple[int, int]:
    """100 datagrams a second for FLOW_S: how many were sent, how many the critical application got."""

    def arrived() -> int:
        flows = s.status()["app"]["flows"]
        return int(next(f["frames"] for f in flows if f["name"] == "setpoints"))

    before, sent = arrived(), 0
    with s.machine.socket(socket.AF_INET, socket.SOCK_DGRAM) as flow:
        flow.connect((s.board.secure.address, 7700))
        end = time.monotonic() + FLOW_S
        while time.monotonic() < end:
            sent += flow.send(b"1.0") > 0
            time.sleep(0.01)
    time.sleep(0.05)
    return sent, arrived() - before


@attack(
    "dos-19",
    "bulk lane kept full beside a critical flow",
    machines=HOST,
    off={"lane": False},
    lane=True,
    **FLOODED,
)
def bulk_flood(s: Rig, dice: random.Random) -> Outcome:
    """The pump keeps the bulk ring full. A flow of 100 datagrams a second, in its own lane, loses nothing."""
    before = s.status()
    sent, arrived = setpoints(s)
    after = s.status()
    work = after["work"]
    missed = after["critical"]["missed"] - before["critical"]["missed"]
    good = arrived == sent > 0 and not missed and not work["over"] and work["exhausted"] > 0
    detail = f"{arrived} of {sent} setpoints arrived; the bulk lane waited {work['exhausted']} times"
    return Outcome(
        good, detail, difference(before, after), missed, work["frames_max"], work["frames_bound"], 0.0
    )


def bells(s: Rig) -> Outcome:
    """A wake-up is worth a frame, or it is the last one of its period."""
    s.recovers()
    before = s.status()
    time.sleep(FLOW_S)
    after = s.status()
    moved = {name: after["doorbells"][name] - count for name, count in before["doorbells"].items()}
    periods = after["critical"]["periods"] - before["critical"]["periods"]
    frames = after["counters"]["OK"] - before["counters"]["OK"]
    missed = after["critical"]["missed"] - before["critical"]["missed"]
    most = periods + frames + 2
    recovered = s.recovers()
    vain = after["doorbells"]["spurious_max"]
    good = vain == 1 and moved["wakes"] <= most and not missed and recovered is not None
    detail = f"{moved['rings']} rings, {moved['wakes']} wake-ups, {vain} for nothing in a period at most"
    return Outcome(good, detail, difference(before, after), missed, moved["wakes"], most, recovered)


@attack("dos-01", "doorbell flood", machines=HOST, off="one-shot doorbell", pump=("-DRINGS=2000",))
def bell_flood(s: Rig, dice: random.Random) -> Outcome:
    return bells(s)


@attack(
    "dos-02",
    "doorbell with an empty ring",
    machines=HOST,
    off="one-shot doorbell",
    pump=("-DRINGS=400", "-DAPART_NS=20000"),
)
def empty_bells(s: Rig, dice: random.Random) -> Outcome:
    return bells(s)


# ---- the pump taken over -----------------------------------------------------------------------------------


def taken_over(s: Rig, verdict: str, offset: int, change: Callable[[int], int]) -> Outcome:
    """The Secure world looks once a period: it must see the lie before the pump says the truth again."""

    def act() -> None:
        before = s.counters()[verdict]
        s.poke(offset, change)
        end = time.monotonic() + LOOK_S
        while s.counters()[verdict] == before and time.monotonic() < end:
            time.sleep(0.005)

    return s.expect(verdict, act, fresh_session=True)


@attack("mem-30", "head runs past tail + capacity", machines=HOST, off="head range")
def head_past_the_ring(s: Rig, dice: random.Random) -> Outcome:
    beyond = s.board.normal.ring_bytes + 16 * dice.randrange(1, 1 << 20)
    return taken_over(s, "HEAD_RANGE", HEAD, lambda word: word + beyond)


@attack("mem-31", "head moves backwards", machines=HOST, off="head range")
def head_backwards(s: Rig, dice: random.Random) -> Outcome:
    back = 16 * dice.randrange(1 << 16, 1 << 20)
    return taken_over(s, "HEAD_RANGE", HEAD, lambda word: word - back)


@attack("mem-39", "magic flipped", machines=HOST, off="magic")
def magic_flipped(s: Rig, dice: random.Random) -> Outcome:
    return taken_over(s, "STATE_WORD", STATE, lambda word: word ^ 1 << 20)


@attack(
    "life-72",
    "a storm of violations and sessions",
    machines=HOST,
    off={"quarantine_ms": 0},
    quarantine_ms=10,
)
def session_storm(s: Rig, dice: random.Random) -> Outcome:
    """Breaks each session as soon as it stands. With 10 ms, then twice as much each time, at most eight begin
    in STORM_S."""
    before = s.status()
    epochs, end = set(), time.monotonic() + STORM_S
    while time.monotonic() < end:
        if s.machine.up and s.machine.epoch not in epochs:
            epochs.add(s.machine.epoch)
            s.poke(HEAD, lambda word: word + 16 * dice.randrange(1 << 20, 1 << 24))
        time.sleep(0.001)
    recovered = s.recovers()
    after = s.status()
    missed = after["critical"]["missed"] - before["critical"]["missed"]
    good = len(epochs) <= STORM_SESSIONS and not missed and recovered is not None
    detail = f"{len(epochs)} sessions in {STORM_S:g} s"
    return Outcome(good, detail, difference(before, after), missed, len(epochs), STORM_SESSIONS, recovered)


elsewhere("host", "shown by tests/test_host_kill.py under traffic", {"life-55": "kill -9 of a peer"}, "F")
elsewhere(
    "host",
    "needs the attacker's hands between two loads: run on --machine memory",
    {
        "mem-34": "length above the frame's buffer",
        "mem-36": "length flips between check and use",
        "mem-37": "payload flips during the copy",
        "pkt-46": "replay",
    },
)
elsewhere("host", "shown by tests/test_links.py, test_host_life.py", {"host-76": "wake-up theft"}, "U")
