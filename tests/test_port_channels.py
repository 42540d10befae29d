# SPDX-License-Identifier: MIT
"""Many channels and one poll (worlds/secure/port/channels.h): its order, frame by frame, against a model;
what a flood in one channel costs the others; what a peer does that rings for nothing, or not at all."""

from __future__ import annotations

from collections import deque
from pathlib import Path

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from core_programs import ROOT, SANITIZED, Defect, build, compiler, run
from isthmus.turns import Turns

PERIOD = 1_000_000
PORT = ROOT / "worlds/secure/port"
FLAGS = (*SANITIZED, f"-I{PORT}")
BULK, CRITICAL = 0, 1
MANY = 1 << 20  # bytes of a poll that has enough of them

Step = tuple[str | int, ...]
Served = tuple[int, int, int]  # channel, lane, bytes
#: Channels, lanes, frames and bytes of a turn, budget, linger, steps.
History = tuple[int, int, tuple[int, int], int, int, list[Step]]


@pytest.fixture(scope="module")
def program(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return build(tmp_path_factory, "channels", *FLAGS)


class Answer:
    """What the program said to its steps: of each poll what it served and how it ended, of each send how many
    frames found room.
    """

    def __init__(self, said: str) -> None:
        self.sent: list[int] = []
        self.polls: list[tuple[list[Served], str, int]] = []
        served: list[Served] = []
        for line in said.splitlines():
            words = line.split()
            if words[0] == "+":
                self.sent.append(int(words[1]))
            elif words[0] == "=":
                self.polls.append((served, words[1], int(words[2])))
                served = []
            else:
                served.append((int(words[0]), int(words[1]), int(words[2])))


def go(
    program: Path,
    steps: list[Step],
    channels: int,
    lanes: int = 1,
    turn: tuple[int, int] = (1, MANY),
    budget: int = 0,
    linger: int = 0,
) -> Answer:
    text = "\n".join(" ".join(map(str, step)) for step in steps)
    return Answer(run(program, *map(str, (channels, lanes, *turn, budget, linger)), stdin=text + "\n"))


# ---- the model ---------------------------------------------------------------------------------------------


class Model:
    """The same in plain Python, over queues of lengths."""

    def __init__(self, channels: int, lanes: int, turn: tuple[int, int], budget: int, linger: int) -> None:
        self.turn, self.linger = turn, linger
        self.now, self.aged = 0, 0  # periods
        self.warm: set[tuple[int, int]] = set()
        self.everybody = [(k, c) for k in range(lanes) for c in range(channels)]
        self.queue: dict[tuple[int, int], deque[int]] = {who: deque() for who in self.everybody}
        self.armed: set[tuple[int, int]] = set()
        self.allowed = PERIOD // -(-PERIOD // budget) if budget else 0
        self.left: dict[tuple[int, int], int] = {}
        self.turns = Turns(lanes)
        self.period()

    def period(self) -> None:
        self.now += 1
        self.left = {who: self.allowed for who in self.everybody if self.allowed and who[0] == BULK}
        for k, c in self.everybody:
            self.turns.ready(k, c)

    def sends(self, c: int, k: int, frames: int, length: int, rings: bool) -> None:
        self.queue[k, c].extend([length] * frames)
        if frames and (k, c) in self.armed:
            self.armed.discard((k, c))
            if rings:
                self.turns.ready(k, c)

    def serve(self, who: tuple[int, int], frames: int, room: int) -> tuple[list[int], str]:
        got: list[int] = []
        while len(got) < frames:
            if not self.queue[who]:
                return got, "EMPTY"
            if self.left.get(who, 1) == 0:
                return got, "BUDGET"
            if who in self.left:
                self.left[who] -= 1
            got.append(self.queue[who].popleft())
            room -= got[-1]
            if room <= 0:
                break
        return got, "OK"

    def poll(self, frames: int, room: int) -> tuple[list[Served], str, int]:
        served: list[Served] = []
        spent = 0
        if self.now - self.aged >= self.linger:
            self.warm, self.aged = set(), self.now
        while spent < frames and room > 0:
            turn = self.turns.next()
            if turn is None:
                return served, "EMPTY", len(served)
            k, c = turn
            got, why = self.serve(turn, min(frames - spent, self.turn[0]), min(room, self.turn[1]))
            if got and self.linger > 0:
                self.warm.add(turn)
            if why != "OK" and not (why == "EMPTY" and turn in self.warm and not self.turns.below(k)):
                self.turns.rest(k, c)
                if why == "EMPTY" and self.linger >= 0:
                    self.armed.add(turn)
            served += [(c, k, length) for length in got]
            spent += len(got) or 1
            room -= sum(got)
        return served, "OK", len(served)


@st.composite
def histories(draw: st.DrawFn) -> History:
    channels, lanes = draw(st.sampled_from([1, 2, 3, 5, 63, 64])), draw(st.integers(1, 4))
    who = (st.integers(0, channels - 1), st.integers(0, lanes - 1))
    length = st.sampled_from([60, 61, 200, 512])
    step = st.one_of(
        st.tuples(st.just("send"), *who, st.integers(0, 60), length),
        st.tuples(st.just("send"), *who, st.integers(1, 9), length),
        st.tuples(st.just("mute"), *who, st.integers(0, 9), length),
        st.tuples(st.just("ring"), *who),
        st.tuples(st.just("period")),
        st.tuples(st.just("poll"), st.sampled_from([1, 2, 7, 300]), st.sampled_from([1, 600, 5000, MANY])),
    )
    turn = draw(st.sampled_from([1, 3, 32])), draw(st.sampled_from([1, 1000, MANY]))
    budget, linger = draw(st.sampled_from([0, 1, 7])), draw(st.sampled_from([-1, 0, 0, 1, 2]))
    return channels, lanes, turn, budget, linger, draw(st.lists(step, max_size=60))


def agree(program: Path, history: History) -> None:
    channels, lanes, turn, budget, linger, steps = history
    answer = go(program, steps, channels, lanes, turn, budget, linger)
    model = Model(channels, lanes, turn, budget, linger)
    sent, polls = iter(answer.sent), iter(answer.polls)
    for step in steps:
        match step:
            case ["send" | "mute" as how, int(c), int(k), int(), int(length)]:
                model.sends(c, k, next(sent), length, how == "send")
            case ["ring", int(c), int(k)]:
                model.turns.ready(k, c)
            case ["period"]:
                model.period()
            case ["poll", int(frames), int(room)]:
                assert next(polls) == model.poll(frames, room)
            case _:
                pytest.fail(f"no such step: {step}")


#: Something of everything, for three channels with two lanes.
STEPS: list[Step] = [
    ("poll", 300, MANY), ("send", 0, 0, 20, 60), ("send", 1, 0, 6, 200), ("send", 2, 1, 3, 200),
    ("poll", 3, MANY), ("ring", 0, 1), ("ring", 2, 1), ("poll", 4, MANY), ("poll", 300, MANY),
    ("send", 1, 1, 2, 60), ("poll", 5, MANY), ("poll", 300, MANY), ("period",), ("poll", 300, MANY),
    ("send", 0, 1, 5, 60), ("poll", 2, MANY), ("poll", 300, MANY),
]  # fmt: skip
#: One channel that is warm, one that is not; neither is to be taken for the other.
WARM: list[Step] = [
    ("poll", 300, MANY), ("send", 0, 0, 1, 60), ("poll", 300, MANY), ("ring", 1, 0), ("poll", 5, MANY),
    ("mute", 1, 0, 1, 60), ("poll", 5, MANY), ("mute", 0, 0, 3, 60), ("poll", 9, 100), ("poll", 9, 60),
    ("period",), ("poll", 5, MANY), ("period",), ("mute", 0, 0, 1, 60), ("poll", 5, MANY),
    ("mute", 0, 0, 1, 60), ("poll", 5, MANY), ("period",), ("poll", 5, MANY),
]  # fmt: skip
#: A critical lane that is warm, and bulk behind it.
HOLDING: list[Step] = [("poll", 300, MANY), ("send", 0, 1, 1, 60), ("send", 1, 0, 9, 60), ("poll", 20, MANY)]
#: Polls that end by the bytes of the poll, by those of a turn, and by neither.
BYTES: list[Step] = [
    ("poll", 300, MANY), ("send", 0, 0, 40, 60), ("poll", 300, 100), ("poll", 300, 240), ("poll", 300, 1000),
    ("send", 1, 0, 9, 60), ("poll", 300, 61), ("poll", 300, MANY),
]  # fmt: skip


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(history=histories())
@example(history=(64, 2, (1, MANY), 0, 0, [("poll", 300, MANY), ("send", 63, 1, 5, 60), ("poll", 300, MANY)]))
@example(history=(3, 2, (2, 150), 7, 0, STEPS))
@example(history=(3, 2, (2, 150), 7, 1, STEPS))
@example(history=(3, 2, (2, 150), 7, -1, STEPS))
@example(history=(2, 2, (2, 150), 0, 1, HOLDING))
@example(history=(2, 1, (2, 150), 0, 2, WARM))
@example(history=(2, 1, (9, 150), 0, 0, BYTES))
def test_every_turn_is_the_models(program: Path, history: History) -> None:
    agree(program, history)


#: Each makes one rule of the poll void; the model notices.
DEFECTS = {
    "the circle starts anew": ("s->first[k] = (c + 1u) % CHANNELS_MAX;", "s->first[k] = 0;"),
    "lower lanes first": ("ist_u32 k = s->lanes - 1u;\n\n    while", "ist_u32 k = 0;\n\n    while"),
    "a spent budget stays ready": ("if (l->last != IST_V_OK && (", "if (l->last == IST_V_EMPTY && ("),
    "turns without an end": ("frames < s->turn_frames ? frames : s->turn_frames", "frames"),
    "bytes without an end": ("*bytes < s->turn_bytes ? *bytes : s->turn_bytes", "*bytes"),
    "nobody is armed": ("ist_arm(ep, 1)", "ep == 0"),
    "what is warm is armed": ("(s->warm[lane] & bit) != 0 && ", "bit == 0 && "),
    "what is warm holds up the rest": (" && lower == 0", ""),
    "armed where the caller does": ("if (s->caller_arms)", "if (0)"),
    "nothing gets cold": ("s->warm[k] = 0;", ";"),
    "an empty turn is free": ("spent += one != 0 ? one : 1u", "spent += one"),
}


@pytest.mark.parametrize("name", DEFECTS)
def test_the_model_notices(name: str, tmp_path: Path, tmp_path_factory: pytest.TempPathFactory) -> None:
    defect = Defect("channels.h", *DEFECTS[name])
    text = (PORT / defect.file).read_text()
    assert text.count(defect.was) == 1, f"{defect.file} no longer says {defect.was!r}"
    (tmp_path / defect.file).write_text(text.replace(defect.was, defect.becomes))
    broken = build(tmp_path_factory, "channels", *FLAGS, instead=tmp_path / defect.file)
    lingers = {"what is warm is armed": 1, "what is warm holds up the rest": 1, "nothing gets cold": 1}
    linger = lingers.get(name, -1 if name == "armed where the caller does" else 0)
    history = (3, 2, (2, 150), 7, linger, HOLDING if "holds" in name else STEPS)
    agree(build(tmp_path_factory, "channels", *FLAGS), history)
    with pytest.raises((AssertionError, pytest.fail.Exception)):
        agree(broken, history)


# ---- what it is for ----------------------------------------------------------------------------------------


def flood(channel: int, lane: int = BULK) -> Step:
    return ("send", channel, lane, 60, 60)


def test_channels_that_all_flood_get_the_same(program: Path) -> None:
    """Of any poll each gets its share to a turn, and who comes first changes."""
    for channels in (2, 7, 64):
        steps: list[Step] = [("poll", 300, MANY)]
        for _ in range(8):
            steps += [*(flood(c) for c in range(channels)), ("poll", 4 * channels + 3, MANY)]
        answer = go(program, steps, channels, turn=(4, MANY))
        firsts = set()
        total = [0] * channels
        for served, _, work in answer.polls[1:]:
            assert work == 4 * channels + 3
            share = [sum(c == one for c, _, _ in served) for one in range(channels)]
            assert max(share) - min(share) <= 4
            firsts.add(served[0][0])
            total = [a + b for a, b in zip(total, share, strict=True)]
        assert len(firsts) > 1
        assert max(total) - min(total) <= 4


def test_a_flood_costs_each_other_channel_one_turn(program: Path) -> None:
    """The quiet channel's frame is the flood's turn behind, however much the flood has sent."""
    steps: list[Step] = [("poll", 300, MANY)]
    for quiet in range(1, 64):
        steps += [flood(0), ("send", quiet, BULK, 1, 60), ("poll", 9, MANY)]
    for served, _, _ in go(program, steps, 64, turn=(8, MANY)).polls[1:]:
        assert [c for c, _, _ in served].index(next(c for c, _, _ in served if c)) <= 8


def test_critical_lanes_of_all_channels_come_before_bulk(program: Path) -> None:
    steps: list[Step] = [("poll", 300, MANY)]
    steps += [flood(c) for c in range(64)]
    steps += [("send", c, CRITICAL, 2, 60) for c in (63, 0, 31)]
    steps += [("poll", 10, MANY)]
    served = go(program, steps, 64, lanes=2, turn=(8, MANY)).polls[-1][0]
    assert [(c, k) for c, k, _ in served[:6]] == [(c, CRITICAL) for c in (0, 0, 31, 31, 63, 63)]
    assert all(k == BULK for _, k, _ in served[6:])


def test_a_critical_lane_that_is_warm_but_empty_holds_nothing_up(program: Path) -> None:
    """It is looked at once more, and then asked to ring: bulk has the rest of the poll."""
    steps: list[Step] = [("poll", 300, MANY), ("send", 0, CRITICAL, 1, 60), flood(1), ("poll", 20, MANY)]
    served = go(program, steps, 2, lanes=2, turn=(8, MANY), linger=1).polls[-1][0]
    assert [(c, k) for c, k, _ in served[:9]] == [(0, CRITICAL)] + [(1, BULK)] * 8
    steps[2:2] = [("poll", 9, MANY)]  # warm by now, and found empty before the flood begins
    served = go(program, steps, 2, lanes=2, turn=(8, MANY), linger=1).polls[-1][0]
    assert [(c, k) for c, k, _ in served[:8]] == [(1, BULK)] * 8


def test_who_looks_by_itself_is_not_rung(program: Path) -> None:
    """Nothing is armed: the peer pays for no doorbell, and what it sent is found by the look."""
    steps: list[Step] = [("poll", 300, MANY), ("send", 1, BULK, 3, 60), ("poll", 300, MANY)]
    steps += [("ring", 1, BULK), ("poll", 300, MANY)]
    _, before, after = go(program, steps, 2, linger=-1).polls
    assert before == ([], "EMPTY", 0)
    assert after == ([(1, BULK, 60)] * 3, "EMPTY", 3)


def test_a_doorbell_is_heard_between_two_turns(program: Path) -> None:
    """A critical frame waits for the turn in hand, not for the poll."""
    steps: list[Step] = [("poll", 300, MANY), flood(0), ("late", 1, CRITICAL, 1, 60), ("poll", 9, MANY)]
    served = go(program, steps, 2, lanes=2, turn=(4, MANY)).polls[-1][0]
    assert [(c, k) for c, k, _ in served] == [(0, BULK)] * 4 + [(1, CRITICAL)] + [(0, BULK)] * 4


def test_a_peer_that_waits_for_room_is_told(program: Path) -> None:
    """Once, and nobody else."""
    bells: list[Step] = [("bell", 0, BULK), ("bell", 1, BULK), ("bell", 0, BULK)]
    steps: list[Step] = [("poll", 300, MANY), flood(0), flood(1), ("wait", 0, BULK), *bells]
    answer = go(program, [*steps, ("poll", 300, MANY), *bells], 2)
    assert answer.sent[2:] == [0, 0, 0, 1, 0, 0]


def test_channels_with_all_lanes_wait_for_nothing(program: Path) -> None:
    """A period looks at every lane that there is and marks nothing else."""
    steps: list[Step] = [("period",), ("poll", 300, MANY), ("period",), ("bell", 0, BULK), ("bell", 1, BULK)]
    answer = go(program, steps, 2, lanes=4, linger=1)
    assert answer.sent == [0, 0]
    assert answer.polls == [([], "EMPTY", 0)]


def test_a_spent_budget_is_its_own_channels(program: Path) -> None:
    """A flooding channel gets its frames of the period and is then left alone, ring as it may; another gets
    all of its own.
    """
    steps: list[Step] = [("poll", 300, MANY), flood(0), ("send", 1, BULK, 5, 60), ("poll", 300, MANY)]
    steps += [step for _ in range(9) for step in (("ring", 0, BULK), ("send", 0, BULK, 1, 60))]
    steps += [("send", 1, BULK, 1, 60), ("poll", 300, MANY), ("period",), ("poll", 300, MANY)]
    _, first, again, after = (
        [c for c, _, _ in served] for served, _, _ in go(program, steps, 2, turn=(1, MANY), budget=8).polls
    )
    assert (first.count(0), first.count(1)) == (8, 5)
    assert again == [1]
    assert after == [0] * 8


def test_ringing_for_nothing_uses_up_a_poll_and_no_more(program: Path) -> None:
    steps: list[Step] = [("poll", 300, MANY), *(("ring", c, BULK) for c in range(63))]
    steps += [("send", 63, BULK, 1, 60), ("poll", 64, MANY)]
    assert go(program, steps, 64).polls[-1][0] == [(63, BULK, 60)]
    steps[-1] = ("poll", 63, MANY)
    assert go(program, steps, 64).polls[-1] == ([], "OK", 0)


def test_a_peer_that_never_rings_is_heard_in_the_next_period(program: Path) -> None:
    steps: list[Step] = [("poll", 300, MANY), ("mute", 5, BULK, 3, 60), ("poll", 300, MANY)]
    steps += [("period",), ("poll", 300, MANY)]
    _, before, after = go(program, steps, 64).polls
    assert before == ([], "EMPTY", 0)
    assert after == ([(5, BULK, 60)] * 3, "EMPTY", 3)


def test_no_bit_beyond_the_last_channel_counts(program: Path) -> None:
    assert go(program, [("ring", 9, BULK), ("poll", 300, MANY)], 3).polls == [([], "EMPTY", 0)]


def test_the_poll_needs_no_library(tmp_path: Path) -> None:
    """It runs where there is none: freestanding, beside the core."""
    source = tmp_path / "use.c"
    source.write_text(
        '#include "channels.h"\n'
        "int serve(struct channels *s, const struct netport_hooks *hooks, ist_u32 *work);\n"
        "int serve(struct channels *s, const struct netport_hooks *hooks, ist_u32 *work)\n"
        "{ channels_period(s); return (int)channels_poll(s, hooks, 0, 0, 1, 32, 1u << 20, work); }\n"
    )
    flags = ("-std=c11", "-Os", "-ffreestanding", "-nostdinc", "-Wall", "-Wextra", "-Wconversion", "-Werror")
    compiler("gcc", *flags, f"-I{ROOT}/core", f"-I{PORT}", "-c", str(source), "-o", str(tmp_path / "use.o"))
