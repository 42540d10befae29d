# SPDX-License-Identifier: MIT
"""The critical tasks and their application, beside the worst that Linux may send; and what becomes of them
when something breaks.

    Linux: a flood, and setpoints by UDP
      |
    runtime --- control          above the network work: every ms
            --- setpoints        inside it: answers each datagram
            --- supervision      below it: every 10 ms

The machine's time counts instructions: a deadline sees the work done, not how busy this computer is.
"""

from __future__ import annotations

import struct
import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from isthmus.host import HostMachine
from isthmus.qemu.linked import LinkedMachine
from isthmus.resources import tree
from isthmus.trustzone.board import decode

PORT = 7700
DATAGRAMS, EVERY_US = 100, 3000
LEVEL = 1 << 16
STEP_NS = 10_000  # less than a step of the network work with several frames, more than one with none
TASKS = ["control", "setpoints", "supervision"]
HEAD = 0x080  # IST_CTL_HEAD

# In the guest: setpoints at their pace, each answered or not; round trips in microseconds.
SETPOINTS = f"""
import json, socket, struct, sys, time
s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
s.connect((sys.argv[1], {PORT}))
s.settimeout(0.05)
first, trips, modes = int(time.monotonic() * 1000), [], []
for n in range({DATAGRAMS}):
    begun = time.monotonic_ns()
    s.send(struct.pack("!4sII", b"ISP1", first + n, {LEVEL}))
    try:
        told = struct.unpack("!4sIII", s.recv(100))
    except TimeoutError:
        continue
    trips.append((time.monotonic_ns() - begun) // 1000)
    assert told[1] == first + n, told
    modes.append(told[3])
    time.sleep(max(0, {EVERY_US} / 1e6 - (time.monotonic_ns() - begun) / 1e9))
print(json.dumps({{"trips": trips, "modes": modes}}))
"""


def app(machine: LinkedMachine | HostMachine) -> dict[str, Any]:
    return dict(machine.status("secure")["app"])


def tasks(machine: LinkedMachine | HostMachine) -> dict[str, dict[str, Any]]:
    return {t["name"]: t for t in machine.status("secure")["critical"]["tasks"]}


def eventually(what: Callable[[], bool], limit: float = 20.0) -> None:
    end = time.monotonic() + limit
    while not what():
        assert time.monotonic() < end, f"did not happen within {limit:g} s"
        time.sleep(0.02)


# ---- on the TrustZone machine --------------------------------------------------------------------


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LinkedMachine]:
    program = tmp_path_factory.mktemp("guest") / "setpoints.py"
    program.write_text(SETPOINTS)
    with LinkedMachine(files={"programs/setpoints.py": program}, counted=True) as machine:
        yield machine


def responses_below(machine: LinkedMachine) -> list[int]:
    """ns from release to end, of each period of the task below since the last call."""
    return [ns for line in machine.ends() for ns in line["below"][1::2]]


def setpoints(machine: LinkedMachine) -> dict[str, Any]:
    return machine.ask("setpoints", machine.board.secure.address, limit=20.0)


@pytest.mark.qemu
def test_no_deadline_is_missed_and_every_datagram_answered_in_a_flood(running: LinkedMachine) -> None:
    """TCP and frames of 60 bytes as fast as they go, and the setpoints between them. Half of the round trips,
    Linux's part in them too, are shorter than the task's deadline."""
    board = running.board
    inside = board.secure.runs("inside")
    assert inside is not None
    own = (board.normal.interface, board.normal.mac, board.secure.mac)
    responses_below(running)
    running.run("usleep 100000")
    calm, before = responses_below(running), tasks(running)
    with (
        running.program("stream", "flood", board.secure.address, 5001, 0) as flood,
        running.program("raw", *own, 7) as raw,
    ):
        running.run("usleep 20000")
        answered = setpoints(running)
        flooded = responses_below(running)
        assert raw.answer(limit=20.0)["passed"]
        assert flood.answer(limit=20.0)["bytes"] > 0
    after = tasks(running)
    assert list(after) == TASKS
    assert len(answered["trips"]) == DATAGRAMS
    assert after["setpoints"]["periods"] - before["setpoints"]["periods"] == DATAGRAMS
    for name, task in after.items():
        assert task["periods"] > before[name]["periods"]
        assert (task["missed"], task["skipped"], task["overruns"]) == (0, 0, 0), task
        assert task["response_us_max"] <= task["deadline_us"], task
        assert task["cost_us_max"] >= task["cost_us"] * 9 // 10, f"{name} does not use what it may"
    assert max(flooded) > max(calm) + STEP_NS, "the network work did not pre-empt the task below"
    trips = sorted(answered["trips"])
    assert trips[len(trips) // 2] <= inside.deadline_us, trips
    print(f"round trips: median {trips[len(trips) // 2]}, worst {trips[-1]} us of {inside.deadline_us}")


@pytest.mark.qemu
def test_the_actuator_follows_and_lets_go(running: LinkedMachine) -> None:
    """Active while fresh setpoints come over a link in RUN; safe when they stop."""
    answered = setpoints(running)
    assert answered["modes"][-1] == 1
    running.run("usleep 100000")
    state = app(running)["state"]
    assert (state["mode"], state["why_safe"]) == ("safe", "quiet")
    assert state["setpoint"] == LEVEL
    (flow,) = app(running)["flows"]
    assert flow["age_us"] >= 100_000
    assert flow["frames"] >= DATAGRAMS


@pytest.mark.qemu
def test_a_change_of_the_link_is_told(running: LinkedMachine) -> None:
    name = running.board.normal.interface
    before = app(running)
    assert before["link"] == "RUN"
    assert running.run("rmmod isthmus").status == 0
    running.run("usleep 20000")
    gone = app(running)
    assert gone["link"] != "RUN"
    assert gone["state"]["links"] > before["state"]["links"]
    assert running.run(f"insmod /modules/isthmus.ko && ip link show {name}").status == 0
    running.wait_up()
    assert app(running)["link"] == "RUN"


@pytest.mark.qemu
def test_an_overrun_asks_for_the_safe_state_once(running: LinkedMachine) -> None:
    assert running.console is not None
    before, spent = app(running), tasks(running)
    running.console.inject("overrun")
    running.run("usleep 30000")
    after, now = app(running), tasks(running)
    assert after["safe"]["OVERRUN"] - before["safe"]["OVERRUN"] == 1
    assert after["state"]["safe_asked"] - before["state"]["safe_asked"] == 1
    assert after["state"]["mode"] == "safe"
    assert now["control"]["overruns"] - spent["control"]["overruns"] == 1
    assert now["control"]["cost_us_max"] > now["control"]["cost_us"]
    assert now["supervision"]["overruns"] == spent["supervision"]["overruns"]


@pytest.mark.qemu
def test_a_peer_that_breaks_the_protocol_asks_for_the_safe_state(running: LinkedMachine) -> None:
    """Written into the Normal world's buffer from outside, as its kernel could."""
    before, spent = app(running), tasks(running)
    head = running.buffer("normal")[HEAD : HEAD + 4]
    for _ in range(50):  # the driver writes its head, too
        head[:] = struct.pack("<I", (int.from_bytes(head, "little") + 0x40000000 + 1) & 0xFFFFFFFF)
        running.run("usleep 5000")
        if app(running)["safe"]["DEAD"] > before["safe"]["DEAD"]:
            break
    after = app(running)
    assert after["safe"]["DEAD"] == before["safe"]["DEAD"] + 1
    assert after["state"]["safe_asked"] == before["state"]["safe_asked"] + 1
    running.wait_up()
    assert app(running)["link"] == "RUN"
    for name, task in tasks(running).items():
        assert task["missed"] == spent[name]["missed"], task


@pytest.mark.qemu
def test_the_tasks_go_on_while_channel_and_stack_begin_anew(running: LinkedMachine) -> None:
    assert running.console is not None
    before, level = tasks(running), app(running)["state"]["setpoint"]
    running.console.restart(60.0)
    running.wait_up()
    after = tasks(running)
    for name in ("control", "supervision"):
        assert after[name]["periods"] > before[name]["periods"]
        assert after[name]["missed"] == before[name]["missed"]
    assert app(running)["state"]["setpoint"] == level, "the application's state outlives them"
    assert len(setpoints(running)["trips"]) == DATAGRAMS, "and its port is open again"


@pytest.mark.qemu
def test_a_watchdog_that_is_not_fed_ends_the_secure_world(running: LinkedMachine) -> None:
    """The last one here: the safe state is entered, the Secure world stops, Linux lives on."""
    assert running.console is not None
    running.console.inject("hunger")
    log = running.logs / "secure.log"
    eventually(lambda: "stopped: the watchdog was not fed" in log.read_text(errors="replace"), 60.0)
    assert running.run("true").status == 0


@pytest.mark.qemu
def test_the_network_work_stops_where_its_cost_is_spent() -> None:
    """A board that gives it a tenth of the core, and a flood that asks for more: the task below meets a
    deadline that is its response time to the microsecond."""
    text = (tree() / "boards" / "qemu-virt.toml").read_text()
    for old, new in (("cost_us = 700", "cost_us = 100"), ("deadline_us = 6400", "deadline_us = 820")):
        assert old in text
        text = text.replace(old, new, 1)
    text = text.replace("deadline_us = 1300", "deadline_us = 1900", 1)  # an answer waits for longer now
    with LinkedMachine(decode(text), counted=True) as machine:
        received = machine.status("secure")["received_bytes"]
        with machine.program("stream", "flood", machine.board.secure.address, 5001, 0):
            eventually(lambda: machine.status("secure")["received_bytes"] > received + 1_000_000, 60.0)
        below = tasks(machine)["supervision"]
        print(f"responds within {below['response_us_max']} of {below['deadline_us']} us")
        assert (below["missed"], below["skipped"]) == (0, 0), below
        assert below["response_us_max"] > 700, "the network work never came between"


# ---- on the host ---------------------------------------------------------------------------------


@pytest.fixture
def host() -> Iterator[HostMachine]:
    with HostMachine() as machine:
        yield machine


def send_setpoints(machine: HostMachine, seconds: float) -> list[tuple[int, ...]]:
    """The answers to setpoints at their pace; `seconds` at most."""
    answers: list[tuple[int, ...]] = []
    with machine.socket(2, 2) as s:
        s.settimeout(0.05)
        s.connect((machine.board.secure.address, PORT))
        first, end = int(time.monotonic() * 1000), time.monotonic() + seconds
        while time.monotonic() < end:
            s.send(struct.pack("!4sII", b"ISP1", first + len(answers) + 1, LEVEL))
            try:
                answers.append(struct.unpack("!4sIII", s.recv(100)))
            except TimeoutError:
                first += 1
                continue
            time.sleep(EVERY_US / 1e6)
    return answers


@pytest.mark.host
@pytest.mark.needs("processes")
def test_the_same_application_on_the_host(host: HostMachine) -> None:
    answers = send_setpoints(host, 1.0)
    assert answers
    assert any(answer[3] == 1 for answer in answers), "it never became active"
    found = tasks(host)
    assert list(found) == TASKS
    assert all(task["periods"] > 0 and task["missed"] == 0 for task in found.values()), found
    (flow,) = app(host)["flows"]
    assert flow["frames"] >= len(answers)
    eventually(lambda: app(host)["state"]["mode"] == "safe")
    assert app(host)["state"]["links"] >= 1


@pytest.mark.host
@pytest.mark.needs("processes")
def test_faults_ask_for_the_safe_state_on_the_host(host: HostMachine) -> None:
    host.inject("overrun")
    eventually(lambda: app(host)["safe"]["OVERRUN"] >= 1)
    assert app(host)["state"]["safe_asked"] >= 1
    before = host.pid("secure")
    host.inject("hunger")
    eventually(lambda: any(r.cause == "exit status 3" for r in host.restarts), 30.0)
    host.wait_up(timeout=20)
    assert host.pid("secure") != before
