# SPDX-License-Identifier: MIT
"""The stage of attacks on the TrustZone machine: what an attacker in Linux's kernel does, and what is seen.

act()                                       what is looked at, from before it to 200 periods after it
  orders to hostile.ko  ---> Linux  ---+       the Secure world's status, over its own serial line
  somebody's setpoints  ---> Linux  ---+       the control task's record, period by period
                                       |       the answers to the setpoints
                                    monitor, Secure world
"""

from __future__ import annotations

import base64
import struct
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import msgspec

from isthmus.attack.catalogue import Evidence, Outcome, Untried
from isthmus.attack.lane import with_lane
from isthmus.attack.trustzone.machine import AttackedMachine, of_the_monitor
from isthmus.attack.trustzone.race import Course, Driver, Target
from isthmus.attack.trustzone.seen import arrived, difference, evidence, late, out_of_touch, over, returned
from isthmus.build.python import INTERPRETER
from isthmus.errors import ClosedError, EnvironmentProblem, LinkDown, RestartedError
from isthmus.lanes import Lane
from isthmus.trustzone.board import TrustZone

__all__ = ["PERIODS", "Rig"]

PERIODS = 200  # of the control task, at least, that an attack is watched for
PERIOD_US = 1000
ENOUGH = 50  # times that, for what ends by itself
RETURN_PERIODS = 2  # from a setpoint, sent once the link is back, to its answer
LANE = Lane("critical", ring_bytes=131072, frames=64, bytes=131072)
LANE_RULES = ("setpoints", "arp")  # what answers the Secure world's requests; broadcasts are bulk
FLOW_US = 10_000  # between two of the setpoints
PATIENCE_S = 60.0  # for an answer, on a computer that is busy
LAST_WORDS_S = 20.0  # for one that may never come, since what is asked for may end everything
SILENT_S = 10.0  # for the secure console, where Linux is lost already
PATIENCE = 300  # setpoints, until one is answered: 3 s of the machine's time; a driver may need 2 s
_DIRECTORY = "/sys/kernel/debug/isthmus_hostile"
_LOG = "/run/flow.log"
_HOLD = f": >{_LOG}.hold; usleep {2 * FLOW_US}"  # until the last one sent has arrived


class Stopped(Exception):
    """The Secure world does not answer any more, or the whole machine is gone."""


class Rig:
    """A machine, booted once for all attacks that want it like this. `without`: names of DEFENCES, joined by
    " + "; settings: "tag", the channel's; "races": whether the emulator drives races; "cores": of Linux's,
    the first one shared; "lane": whether the setpoints have their own, else but in races. `world`: its Secure
    world, built elsewhere, which is of one board and keeps its defences: where these are to change, our own
    stands for it, and `remark` says so. `periods`: how long each attack goes on."""

    def __init__(
        self,
        board: TrustZone,
        without: str | None,
        settings: Mapping[str, Any],
        world: Path | None = None,
        periods: int = PERIODS,
    ) -> None:
        tag = settings.get("tag", board.channel.tag)
        channel = msgspec.structs.replace(board.channel, tag=tag)
        cores = tuple(range(settings["cores"])) if "cores" in settings else board.core.normal
        core = msgspec.structs.replace(board.core, normal=cores)
        self.board = msgspec.structs.replace(board, channel=channel, core=core)
        self.without = without.split(" + ") if without else []
        fits = self.board == board and all(map(of_the_monitor, self.without))
        races = bool(settings.get("races", False))
        # Races are about the loads of one lane; a world built elsewhere is of its own board.
        one = races or "cores" in settings or (fits and world is not None)
        if settings.get("lane", not one):
            self.board = with_lane(self.board, LANE, LANE_RULES)
        self.shares = len(self.board.lanes) == 1 and "lane" not in settings
        self.periods = periods
        self.evidence = Evidence()
        self._world = world if fits else None
        self.remark = "" if fits or world is None else "the world with lwIP"
        self._machine: AttackedMachine | None = None
        self._driven = races
        self._driver: Driver | None = None
        self._failed = self._interrupted = False
        self._frames: list[bytes] = []

    # ---- life

    @property
    def machine(self) -> AttackedMachine:
        """Booted, its link up and the attacker's module in it; booted again after it was lost."""
        if self._interrupted:
            raise ClosedError("interrupted")
        if self._machine is not None and self._failed:
            self.close()
        if self._machine is None:
            self._failed = False
            if self._driven and self._driver is None:
                self._driver = Driver(self.board)
            more = self._driver.arguments if self._driver is not None else ()
            machine = AttackedMachine(self.board, self.without, more=more, payload=self._world)
            self._machine = machine  # before it starts: interrupt() may come in between
            try:
                machine.start(PATIENCE_S * 4)
                self.prepare()
            except BaseException:
                self._failed = True
                raise
        return self._machine

    def prepare(self) -> None:
        """What the attacker, and who means well, need in a Linux that has just started."""
        normal, secure = self.board.normal, self.board.secure
        port = next(flow.port for flow in self.board.flow if flow.name == "setpoints")
        numbers = f"{secure.address} {port} {FLOW_US} {_LOG} {normal.interface}"
        program = f"{INTERPRETER} -I -S /programs/flow.py {numbers}"
        self.shell(
            f"insmod /hostile.ko && arp -i {normal.interface} -s {secure.address} {secure.mac} && "
            f"({program} >/run/flow.out 2>&1 &)"
        )
        if not self.flowing():
            raise EnvironmentProblem("no setpoint is answered, and nobody has attacked yet")

    def ready(self) -> None:
        """A machine that answers setpoints, another one if need be: what is lost afterwards is the attack's
        doing, and what cannot be built or does not come up is no attack's outcome."""
        if self._machine is not None and not self._failed:
            try:
                self._failed = not self.flowing()
            except (ClosedError, TimeoutError, RestartedError):
                self._failed = True
        self.machine  # noqa: B018 - booted

    def close(self) -> None:
        if self._machine is not None:
            self._machine.close()
            self._machine = None
        if self._driver is not None:
            self._driver.close()
            self._driver = None

    def interrupt(self) -> None:
        self._interrupted = True
        if self._machine is not None:
            self._machine.kill()

    # `shares`: the setpoints share the bulk lane, since this world has no other.

    @property
    def us(self) -> int:
        """How long an attack goes on, of the machine's time."""
        return self.periods * PERIOD_US

    # ---- what an attacker does

    def shell(self, script: str, limit: float = PATIENCE_S) -> str:
        """A script in Linux, which must succeed; its output."""
        assert self._machine is not None
        done = self._machine.run(script, limit * max(1.0, self.periods / 1000))
        if done.status:
            self._failed = True
            raise Untried(f"in the guest: {(done.errors or done.output).strip() or done.status}")
        return done.output

    def order(
        self, name: str, *numbers: int, data: bytes = b"", rounds: int = 0, us: int = 0, pause: int = 0,
        limit: float = PATIENCE_S * 4,
    ) -> list[int]:  # fmt: skip
        """An order for hostile.ko; what it answers behind its own three numbers."""
        words = " ".join(f"{n % (1 << 64):#x}" for n in numbers)
        script = f"echo '{name} {rounds} {us} {pause} {words}' >{_DIRECTORY}/order && cat {_DIRECTORY}/order"
        if data:
            script = f"echo {base64.b64encode(data).decode()} | base64 -d >{_DIRECTORY}/data && {script}"
        script = f"# {name}\n{script}"  # by its first line a script is called
        return [int(word, 0) for word in self.shell(script, limit).split()][3:]

    def calls(
        self, tuples: Iterable[tuple[int, ...]], *, rounds: int = 0, us: int = 0, pause: int = 0,
        limit: float = PATIENCE_S * 4,
    ) -> list[tuple[int, ...]]:  # fmt: skip
        """Calls to the monitor: per tuple how often, the last result, how often it changed and was 0."""
        data = b"".join(struct.pack("<8Q", *(n % (1 << 64) for n in t), *[0] * (8 - len(t))) for t in tuples)
        said = self.order("calls", data=data, rounds=rounds, us=us, pause=pause, limit=limit)
        return [tuple(said[i : i + 4]) for i in range(0, len(said), 4)]

    def records(
        self,
        frames: Iterable[bytes],
        *,
        burst: int = 1,
        rounds: int = 1,
        us: int = 0,
        pause: int = 0,
        alter: tuple[int, int, int] = (0, 0, 0),
        lane: int = 0,
        lie: tuple[int, int] = (0, 0),
    ) -> int:
        """Frames as records of the lane's ring, `alter`ed at (offset, mask, value); how many. While the
        Secure world looks at them, the word of its own buffer at `lie`[0] is `lie`[1] more."""
        data, us = b"".join(struct.pack("<H", len(f)) + f for f in frames), us or ENOUGH * self.us
        numbers = (burst, *alter, lane, *lie)
        return self.order("records", *numbers, data=data, rounds=rounds, us=us, pause=pause)[0]

    def races(
        self, frame: bytes, target: Target, ks: Sequence[int], alter: tuple[int, int, int] = (0, 0, 0)
    ) -> list[Course]:
        """Sends the frame once for each k, 2 ms apart and `alter`ed, and drives a race with each."""
        assert self._driver is not None
        self._driver.arm(target, ks)
        self.records([frame], rounds=len(ks), pause=2000, alter=alter)
        self.shell("usleep 3000")
        return self._driver.courses(16 + -(-len(frame) // 16) * 16 + 16)  # header, payload, a tag if any

    def send(self, frame: bytes) -> str:
        """One of the frames that `expect` sends."""
        self._frames.append(frame)
        return "OK"

    def poke(self, offset: int, lie: int, *, mask: int = 0, role: int = 0, hold_us: int = 2000) -> None:
        """A word of a world's buffer becomes (word & ~mask) + lie, and soon again what it was."""
        self.order("word", role, offset, mask, lie, hold_us, rounds=1, us=10_000_000)

    # ---- what is seen

    def status(self) -> dict[str, Any]:
        assert self._machine is not None
        try:
            return self._machine.status("secure")
        except (LinkDown, AssertionError) as problem:
            self._failed = True
            raise Stopped(str(problem)) from None

    def counters(self) -> dict[str, int]:
        found: dict[str, int] = self.status()["counters"]
        return found

    def flowing(self) -> bool:
        """Waits until a setpoint is answered; false: none was. All of the waiting is Linux's: asked again and
        again, a slow emulator would wait for us, too."""
        assert self._machine is not None
        script = f"""# flowing
            for n in $(seq {PATIENCE}); do
                usleep {FLOW_US}
                set -- $(tail -n 1 {_LOG} 2>/dev/null)
                [ $# = 3 ] && [ $2 -ge 0 ] && exit 0
            done
            exit 1"""
        return self._machine.run(script, PATIENCE_S * 4).status == 0

    def watch(
        self,
        act: Callable[[], Any],
        *,
        accepts: Collection[str] | None = (),
        exactly: Mapping[str, int] | None = None,
        session: bool | None = False,
        loses: bool = False,
        answers: bool = True,
    ) -> Outcome:
        """Does `act` and holds the machine to the catalogue's rules.

        `accepts`: the counters that move, each of them (None: any); `exactly`: by how much. `session`:
        whether a new one begins (None: either). `loses`: setpoints may be lost while it goes on, since it
        stops Linux, or writes their lane; `answers`: Linux gets what answers them.
        """
        self.ready()
        try:
            wanted = exactly if exactly is not None else accepts
            return self._watch(act, wanted, exactly, session, loses, answers)
        except Stopped as problem:
            return Outcome(False, f"the Secure world stopped: {problem}")
        except (ClosedError, TimeoutError, RestartedError, LinkDown) as problem:
            self._failed = True
            return Outcome(False, f"{self._lost()}: {problem}")

    def _lost(self) -> str:
        """What has gone with Linux, as the emulator and the secure console say."""
        assert self._machine is not None
        assert self._machine.console is not None
        try:
            self._machine.require()
            period = self._machine.console.status(SILENT_S)["critical"]["periods"]
        except ClosedError:
            return "the whole machine went off"
        except TimeoutError:
            return "Linux was lost, and the Secure world does not answer any more"
        return f"Linux was lost; the Secure world lives, in period {period}"

    def expect(self, verdict: str, act: Callable[[], Any], *, once: bool = True) -> Outcome:
        """Sends the frames of `act` again and again, for 200 periods: each is refused with that verdict."""
        self._frames = []
        act()
        frames, pause = self._frames, 2000
        if any(frame[0] & 1 for frame in frames):
            pause = 10_000  # to groups: within what they may cost
        rounds = self.us // pause
        return self.watch(
            lambda: self.records(frames, burst=len(frames), rounds=rounds, pause=pause),
            exactly={verdict: rounds * len(frames)},
        )

    def _watch(
        self, act: Callable[[], Any], accepts: Collection[str] | None, exactly: Mapping[str, int] | None,
        session: bool | None, loses: bool, answers: bool,
    ) -> Outcome:  # fmt: skip
        machine = self.machine
        list(machine.record())
        list(machine.ends())
        self.shell(f"{_HOLD}; : >{_LOG}")
        before = self.status()
        self.shell(f"rm {_LOG}.hold")
        said = act()
        self._wait(before["critical"]["periods"] + self.periods)
        recovered = self.flowing()
        self._failed = not recovered  # the next attack gets another machine
        self.shell(_HOLD)
        after = self.status()
        log = self.shell(f"cat {_LOG}; rm {_LOG}.hold")
        self.evidence, changes = evidence(before, machine.record(), machine.ends(), log)
        moved = difference(before, after)
        missed = late(before, after)
        wrong = [f"{name} missed {n} deadlines" for name, n in missed.items()]
        wrong += self._counted(moved, accepts, exactly)
        if session is not None and session != (before["epoch"] != after["epoch"]):
            wrong.append("the session went on" if session else "a new session")
        wrong += ["no setpoint was answered again"] if not recovered else []
        beyond = over(after) - over(before)
        wrong += [f"work beyond the bound: {beyond} windows"] if beyond else []
        times = [us for _, us in self.evidence.flow]
        sent, lost = len(times), max(0, len(times) - arrived(after) + arrived(before))
        if before["epoch"] != after["epoch"]:
            lost = times.count(None)
            wrong += returned(times, changes, RETURN_PERIODS * PERIOD_US) if not loses else []
        elif not loses:
            slow = times.count(None) if answers else 0
            wrong += [f"{lost} setpoints lost, {slow} not answered in time"] if lost or slow else []
        wrong += [said] if isinstance(said, str) and said else []
        periods = after["critical"]["periods"] - before["critical"]["periods"]
        passed = f"{periods} periods, {sent} setpoints, {lost} lost"
        back, work = out_of_touch(self.evidence.flow) if recovered else None, after["work"]
        return Outcome(
            not wrong, "; ".join(wrong) or passed, moved, sum(missed.values()), work["frames_max"],
            work["frames_bound"], back, sent, lost, self.evidence,
        )  # fmt: skip

    def _wait(self, periods: int) -> None:
        while (left := periods - self.status()["critical"]["periods"]) > 0:
            self.shell(f"usleep {left * self.status()['critical']['period_us'] + 1000}")

    def _counted(
        self, moved: Mapping[str, int], accepts: Collection[str] | None, exactly: Mapping[str, int] | None
    ) -> list[str]:
        if accepts is None:
            return []
        wanted = dict(exactly) if exactly is not None else None
        if set(moved) != set(accepts) or (wanted is not None and dict(moved) != wanted):
            return [f"counted {dict(moved) or 'nothing'}, not {wanted or ', '.join(accepts) or 'nothing'}"]
        return []
