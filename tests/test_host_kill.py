# SPDX-License-Identifier: MIT
"""Death of either world at random moments: no frame is torn. And all of it as an ordinary user."""

from __future__ import annotations

import os
import random
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from host_tools import RawTraffic, echo_world, eventually, no_timer_helps, nothing_left, reap
from isthmus.host import HostMachine, World
from isthmus.host.pump import frame_pump

pytestmark = [pytest.mark.host, pytest.mark.needs("processes")]

HERE = Path(__file__).parent
NOBODY = 65534


@pytest.fixture(autouse=True)
def at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    no_timer_helps(monkeypatch)


# ---- either world, under traffic ---------------------------------------------------------------------


def campaign(machine: HostMachine, kills: int, seed: int) -> None:
    """Kills random worlds at random moments while raw sequenced frames pass; judges every answer. Each time
    the link is back before any of the supervisor's timers would help it."""
    dice = random.Random(seed)
    longest = 0.0
    with RawTraffic(machine, incarnation=seed + 1) as traffic:
        for i in range(kills):
            for _ in range(dice.randrange(1, 4)):
                traffic.send(dice.randrange(1, 16))
                traffic.collect()
            world: World = dice.choice(("normal", "secure"))
            machine.kill(world)
            traffic.send(dice.randrange(0, 4))
            machine.wait_up(60)
            longest = max(longest, machine.restarts[-1].seconds)
            assert traffic.faults() == (0, 0, 0), f"kill {i} of {world}"
        got = traffic.received
        assert eventually(lambda: traffic.exchange() > 0)
        print(f"{kills} kills: {got} of {traffic.sent} frames came back, longest restart {longest:.4f} s")
        assert traffic.faults() == (0, 0, 0)
        assert got > kills  # frames did pass in between
    assert len([r for r in machine.restarts if r.world]) >= kills


@pytest.mark.parametrize("kind", ["auto", "packet"])
def test_two_hundred_kills_under_traffic(kind: str, seed: int) -> None:
    with HostMachine(packet=kind, programs={"secure": echo_world()}) as machine:  # type: ignore[arg-type]
        campaign(machine, 200, seed)


@pytest.mark.slow
@pytest.mark.timeout(3600)
@pytest.mark.parametrize("kind", ["auto", "packet"])
def test_ten_thousand_kills_under_traffic(kind: str, seed: int) -> None:
    with HostMachine(packet=kind, programs={"secure": echo_world()}) as machine:  # type: ignore[arg-type]
        campaign(machine, 10_000, seed)


def test_kills_with_lwip(seed: int) -> None:
    """The same against the real Secure world, which judges what reaches it as well."""
    with HostMachine() as machine:
        campaign(machine, 40, seed)
        raw = machine.status("secure")["apps"]["raw"]
        assert raw["ok"] > 0
        assert raw["torn"] == raw["stale"] == 0


# ---- as an ordinary user -----------------------------------------------------------------------------


@pytest.mark.skipif(os.geteuid() != 0, reason="host: the suite runs as an ordinary user already")
def test_as_an_ordinary_user(seed: int) -> None:
    """Without any right: veth and AF_PACKET where /dev/net/tun is root's, and nothing left behind."""
    home = Path("/tmp") / f"isthmus-test-{os.getpid()}"  # pytest's own folders are closed to others
    home.mkdir(mode=0o755)
    try:
        programs = [str(shutil.copy(program, home)) for program in (frame_pump(), echo_world())]
        os.chown(home, NOBODY, NOBODY)
        user = ["setpriv", f"--reuid={NOBODY}", f"--regid={NOBODY}", "--clear-groups"]
        environment = {"HOME": str(home), "PATH": os.environ["PATH"]}
        reachable = subprocess.run(
            [*user, sys.executable, "-c", "import isthmus"], env=environment, check=False
        )
        if reachable.returncode:
            pytest.skip("host: an ordinary user cannot read this checkout")
        argv = [*user, sys.executable, str(HERE / "worlds" / "supervisor.py"), "auto", *programs]
        nothing_left(lambda: reap(5, signal.SIGKILL, 1.2, seed, argv, cwd=home, env=environment), home)
        said = subprocess.run(
            [*user, sys.executable, str(HERE / "worlds" / "visit.py"), *programs],
            env=environment,
            cwd=home,
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
        assert said.returncode == 0, said.stderr
        assert said.stdout == "uid 0 inside\nlink RUN\nrestarted\n"
    finally:
        shutil.rmtree(home)
