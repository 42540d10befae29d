# SPDX-License-Identifier: MIT
"""The host machine under attack: frames from a packet socket in the Normal world, and the pump's memory in
the hands of an attacker who has taken it over. Somebody who means well asks for echoes before and after.
"""

from __future__ import annotations

import math
import os
import socket
import struct
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from pathlib import Path
from statistics import median
from typing import Any

import msgspec

from isthmus import _native
from isthmus.attack.catalogue import Outcome
from isthmus.attack.defences import without_defence
from isthmus.attack.lane import with_lane
from isthmus.board import Board
from isthmus.build import secure_world
from isthmus.host import HostMachine
from isthmus.host.pump import frame_pump
from isthmus.lanes import Lane

__all__ = ["LANE", "LANE_RULES", "Rig"]

ANSWERS = ("OK", "EMPTY", "DOWN", "FULL")  # not refusals
SETTLE_S, RECOVER_S = 1.0, 20.0  # an echo behind a flood takes seconds on a busy computer
ECHO_PORT = 7
NATIVE = Path(__file__).parent / "native"
LANE = Lane("critical", frames=16)
LANE_RULES = ("setpoints", "arp", "arp-request")  # without ARP no datagram finds its way


class Rig:
    """A host machine; `without` one of DEFENCES in its Secure world. `settings`: of the board's budget and
    recovery, "exposed": whether attacks on the border meet a stand-in that has no defences, "lane": whether
    the setpoints have their own lane, "pump": flags of a hostile one (native/hostile_pump.c). `world`: its
    Secure world, built elsewhere; only our own can be without a defence."""

    def __init__(
        self, board: Board, without: str | None, settings: Mapping[str, Any], world: Path | None = None
    ) -> None:
        wanted = dict(settings)
        self.exposed = bool(wanted.pop("exposed", False))
        pump = tuple(wanted.pop("pump", ()))
        if wanted.pop("lane", False):
            board = with_lane(board, LANE, LANE_RULES)
        recovery = board.recovery
        if "quarantine_ms" in wanted:
            recovery = msgspec.structs.replace(recovery, quarantine_ms=wanted.pop("quarantine_ms"))
        budget = msgspec.structs.replace(board.secure.budget, **wanted)
        secure = msgspec.structs.replace(board.secure, budget=budget)
        self.remark = "the world with lwIP" if world is not None and without is not None else ""
        programs: dict[Any, Path] = {} if world is None else {"secure": world}
        if without is not None:
            programs["secure"] = secure_world(lambda unit: without_defence(unit, without))
        if pump:
            programs["normal"] = frame_pump(NATIVE / "hostile_pump.c", pump)
        # On a busy machine a world may be silent for long; that is no part of any attack here.
        channel = msgspec.structs.replace(board.channel, silence_ms=0)
        self.board = msgspec.structs.replace(board, channel=channel, secure=secure, recovery=recovery)
        self.machine = HostMachine(self.board, programs=programs)
        self.machine.start()
        self.link = self.machine.socket(socket.AF_PACKET, socket.SOCK_RAW)
        self.link.bind((self.board.normal.interface, 0))
        self.well = self.machine.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.well.connect((self.board.secure.address, ECHO_PORT))
        self.well.settimeout(0.2)

    def close(self) -> None:
        self.link.close()
        self.well.close()
        self.machine.close()

    def interrupt(self) -> None:
        self.machine.close()

    # ---- what an attacker does

    def send(self, frame: bytes, meta: tuple[int, int, int, int] = (0, 0, 0, 0)) -> str:
        """One frame from the Normal world's interface, past its IP stack."""
        try:
            self.link.send(frame)
        except OSError:  # the interface's queue is full
            return "FULL"
        return "OK"

    def poke(self, offset: int, change: Callable[[int], int]) -> None:
        """Changes a word of the Normal world's buffer through the pump's own mapping. PermissionError where
        the kernel lets nobody do that."""
        pid = self.machine.pid("normal")
        maps = Path(f"/proc/{pid}/maps").read_text().splitlines()
        base = next(int(line.split("-")[0], 16) for line in maps if "rw-s" in line and "memfd:" in line)
        memory = os.open(f"/proc/{pid}/mem", os.O_RDWR)
        try:
            (word,) = struct.unpack("<I", os.pread(memory, 4, base + offset))
            os.pwrite(memory, struct.pack("<I", change(word) & 0xFFFFFFFF), base + offset)
        finally:
            os.close(memory)

    # ---- what is seen

    def status(self) -> dict[str, Any]:
        return self.machine.status("secure")

    def counters(self) -> dict[str, int]:
        counters: dict[str, int] = self.status()["counters"]
        return counters

    def settled(self) -> dict[str, Any]:
        """The status, once no counter moves."""
        deadline = time.monotonic() + SETTLE_S
        last = self.status()
        while time.monotonic() < deadline:
            time.sleep(0.02)
            now = self.status()
            if now["counters"] == last["counters"]:
                return now
            last = now
        return last

    def judged(self, since: Mapping[str, Any], frames: int) -> None:
        """Waits until so many frames, at least, were judged since then."""
        deadline = time.monotonic() + SETTLE_S
        while time.monotonic() < deadline:
            now = self.status()
            taken = now["counters"]["OK"] - since["counters"]["OK"]
            if taken + sum(difference(since, now).values()) >= frames:
                return
            time.sleep(0.001)

    def recovers(self) -> float | None:
        """Seconds until an echo comes back; None if none does."""
        begun = time.monotonic()
        while time.monotonic() < begun + RECOVER_S:
            try:
                wanted = os.urandom(16)
                self.well.send(wanted)
                while self.well.recv(100) != wanted:
                    pass
            except OSError:
                continue
            return round(time.monotonic() - begun, 4)
        return None

    def round_trip(self, seconds: float = 0.2) -> float:
        """Microseconds to an echo, the median of all that can be asked for in so long."""
        times, end = [], time.monotonic() + seconds
        while time.monotonic() < end:
            with suppress(OSError):
                begun = time.monotonic()
                self.well.send(os.urandom(16))
                self.well.recv(100)
                times.append((time.monotonic() - begun) * 1e6)
        return median(times) if times else math.inf

    def expect(
        self,
        verdict: str | Mapping[str, int],
        act: Callable[[], Any],
        *,
        once: bool = True,
        fresh_session: bool = False,
    ) -> Outcome:
        """Does `act` and holds the Secure world to it.

        Exactly one counter of refusals moves, `once` by one; or those that are given, each by its number. No
        deadline is missed by us; echoes come again.
        `fresh_session`: the session ends for it, or else it goes on.
        """
        self.recovers()
        before, epoch = self.settled(), self.machine.epoch
        act()
        recovered = self.recovers()
        after = self.settled()
        moved = difference(before, after)
        missed = after["critical"]["missed"] - before["critical"]["missed"]
        wrong = []
        wanted = verdict if isinstance(verdict, Mapping) else {verdict: 1 if once else moved.get(verdict)}
        if moved != wanted:
            wrong.append(f"counted {moved or 'nothing'}, not {verdict}")
        if fresh_session != (self.machine.epoch != epoch):
            wrong.append("a new session" if not fresh_session else "the session went on")
        wrong += [f"{missed} deadlines missed"] if missed else []
        wrong += ["no echo came again"] if recovered is None else []
        work = after["work"]
        detail = "; ".join(wrong) or ", ".join(wanted)
        return Outcome(not wrong, detail, moved, missed, work["frames_max"], work["frames_bound"], recovered)


def difference(before: Mapping[str, Any], after: Mapping[str, Any]) -> dict[str, int]:
    """The counters of refusals that moved. Waiting for a budget refuses nothing."""
    then, now = before["counters"], after["counters"]
    names = [name for name, _ in _native.VERDICTS if name not in (*ANSWERS, "BUDGET")]
    ended = {"PEER_LEFT", "PEER_EPOCH", "PEER_DEAD"}  # what follows an end of the session
    return {n: now[n] - then[n] for n in names if now[n] != then[n] and n not in ended}
