# SPDX-License-Identifier: MIT
"""Channels, many endpoints received from by one call: whose turn it is, against the model of the poll;
what one peer's flood, rubbish or death costs the others.
"""

from __future__ import annotations

import array
import random
import subprocess
import sys
import textwrap
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, suppress
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from isthmus import (
    ChannelConfig,
    Channels,
    Endpoint,
    LinkDown,
    PeerDead,
    Role,
    Tag,
    _native,
    connect,
    listen,
    memory_link,
)
from isthmus.links import begin_epoch
from isthmus.model import CONTROL, HEAD
from isthmus.turns import Turns
from test_endpoint_waiting import SOON

pytestmark = pytest.mark.memory

SMALL = ChannelConfig(ring_normal=16384, ring_secure=4096)
FRAME = bytes(60)
BATCH = 256  # most turns and refused frames of one poll


class Links:
    """Memory links: the far ends send, the near ones are received from."""

    def __init__(self, stack: ExitStack) -> None:
        self.stack = stack
        self.far: list[Endpoint] = []
        self.near: list[Endpoint] = []

    def __call__(self, count: int, config: ChannelConfig = SMALL) -> list[Endpoint]:
        """So many more; their near ends."""
        for _ in range(count):
            far, near = memory_link(config)
            self.far.append(self.stack.enter_context(far))
            self.near.append(self.stack.enter_context(near))
        return self.near[-count:]

    def flood(self, *which: int) -> None:
        for n in which:
            self.far[n].send_batch([FRAME] * 100, 0)

    def of(self, pairs: list[tuple[Endpoint, bytes]]) -> list[int]:
        """Whose the frames are."""
        return [self.near.index(endpoint) for endpoint, _ in pairs]


@pytest.fixture
def links() -> Iterator[Links]:
    with ExitStack() as stack:
        yield Links(stack)


@pytest.fixture
def threads() -> Iterator[ThreadPoolExecutor]:
    with ThreadPoolExecutor(4) as pool:
        yield pool


# ---- whose turn it is --------------------------------------------------------------------------------------


def test_frames_and_whose_they_are(links: Links) -> None:
    near = links(3)
    with Channels(near) as channels:
        links.far[1].send(b"one".ljust(60))
        assert channels.receive(0) == (near[1], b"one".ljust(60))
        links.far[2].send(b"two".ljust(1500))
        links.far[0].send(b"nought".ljust(61))
        got = channels.receive_batch(timeout=0)
        assert dict(got) == {near[2]: b"two".ljust(1500), near[0]: b"nought".ljust(61)}
        assert near[1].age is not None


def test_equals_take_turns_and_the_next_call_goes_on(links: Links) -> None:
    with Channels(links(3), turn=4) as channels:
        links.flood(0, 1, 2)
        assert links.of(channels.receive_batch(10, 0)) == [0] * 4 + [1] * 4 + [2] * 2
        assert links.of(channels.receive_batch(10, 0)) == [0] * 4 + [1] * 4 + [2] * 2


def test_a_flood_costs_the_others_a_turn(links: Links) -> None:
    """However much it has sent, each other one's frame is in the same batch."""
    with Channels(links(64), turn=4) as channels:
        for _ in range(3):
            links.flood(0)
            for far in links.far[1:]:
                far.send(FRAME)
            got = links.of(channels.receive_batch(4 + 63 + 4, 0))
            assert sorted(set(got)) == list(range(64))
            assert got.count(0) == 8


def test_higher_lanes_of_all_come_first(links: Links) -> None:
    bulk, critical = links(2), links(2)
    with Channels(zip(bulk, critical, strict=True)) as channels:
        links.flood(0, 1)
        for n in (3, 2, 3):
            links.far[n].send(FRAME)
        assert links.of(channels.receive_batch(8, 0))[:3] in ([2, 3, 3], [3, 3, 2])
        links.far[2].send(FRAME)  # behind a flood that is not over
        assert links.of(channels.receive_batch(8, 0))[0] == 2


#: Channels, lanes of each, frames of a turn; then frames that (channel, lane) is sent, or a call's limit.
History = tuple[int, int, int, list[tuple[int, int, int] | int]]


@st.composite
def histories(draw: st.DrawFn) -> History:
    channels, lanes = draw(st.sampled_from([1, 2, 5])), draw(st.integers(1, 4))
    sends = st.tuples(st.integers(0, channels - 1), st.integers(0, lanes - 1), st.integers(1, 20))
    steps = st.lists(st.one_of(sends, sends, st.sampled_from([1, 3, 64, 256])), max_size=30)
    return channels, lanes, draw(st.sampled_from([1, 3, 8])), draw(steps)


class Model:
    """The same over counts of frames. What is empty is at rest until it is looked at, at the next call."""

    def __init__(self, lanes: int, turn: int) -> None:
        self.turn, self.turns = turn, Turns(lanes)
        self.queue: dict[tuple[int, int], int] = {}

    def receive(self, limit: int) -> list[tuple[int, int]]:
        """(lane, channel) of each frame."""
        got: list[tuple[int, int]] = []
        work = 0
        for who, frames in self.queue.items():
            if frames:
                self.turns.ready(*who)
        while len(got) < limit and work < BATCH:
            turn = self.turns.next()
            if turn is None:
                break
            asked = min(self.turn, limit - len(got))
            found = min(asked, self.queue.get(turn, 0))
            self.queue[turn] = self.queue.get(turn, 0) - found
            if found < asked:
                self.turns.rest(*turn)
            got += [turn] * found
            work += found or 1
        return got


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(history=histories())
def test_every_frame_is_the_models(history: History) -> None:
    count, lanes, turn, steps = history
    model = Model(lanes, turn)
    with ExitStack() as stack:
        links = Links(stack)
        near = links(count * lanes)
        groups = [tuple(near[c * lanes : (c + 1) * lanes]) for c in range(count)]
        channels = stack.enter_context(Channels(groups, turn=turn))
        for step in steps:
            if isinstance(step, int):
                got: list[tuple[int, int]] = []
                with suppress(BlockingIOError):
                    whose = links.of(channels.receive_batch(step, 0))
                    got = [(n % lanes, n // lanes) for n in whose]
                assert got == model.receive(step)
            else:
                c, k, frames = step
                sent = 0
                with suppress(BlockingIOError):
                    sent = links.far[c * lanes + k].send_batch([FRAME] * frames, 0)
                model.queue[k, c] = model.queue.get((k, c), 0) + sent


def test_batches_without_an_object_per_frame(links: Links) -> None:
    bulk, critical = links(3), links(1)
    with Channels([bulk[0], (bulk[1], critical[0]), bulk[2]]) as channels:
        buffer = bytearray(8 * SMALL.frame_max)
        lengths, numbers = (array.array("I", [0] * 8) for _ in range(2))
        for n, far in enumerate(links.far):
            far.send_batch([bytes([n]) * (100 + n)] * 2)
        assert channels.receive_batch_into(buffer, lengths, numbers, 0) == 8
        assert list(numbers) == [65, 65, 0, 0, 1, 1, 2, 2]
        assert [channels[number] for number in numbers[::2]] == [critical[0], *bulk]
        at = 0
        for number, length in zip(numbers, lengths, strict=True):
            n = links.near.index(channels[number])
            assert buffer[at : at + length] == bytes([n]) * (100 + n)
            at += length
        with pytest.raises(BlockingIOError):
            channels.receive_batch_into(buffer, lengths, numbers, 0)


def test_a_batch_stops_where_the_longest_frame_would_not_fit(links: Links) -> None:
    with Channels(links(2)) as channels:
        links.flood(0, 1)
        lengths, numbers = (array.array("I", [0] * 64) for _ in range(2))
        room = SMALL.frame_max + 2 * len(FRAME)
        assert channels.receive_batch_into(bytearray(room), lengths, numbers, 0) == 3
        with pytest.raises(ValueError, match=f"may have {SMALL.frame_max} bytes"):
            channels.receive_batch_into(bytearray(SMALL.frame_max - 1), lengths, numbers, 0)
        for wrong in (bytearray(8), array.array("H", [0] * 8)):
            with pytest.raises(TypeError, match="32-bit"):
                channels.receive_batch_into(bytearray(room), lengths, wrong, 0)
        assert channels.receive_batch_into(bytearray(room), lengths, numbers[:2], 0) == 2


def test_64_channels_and_not_one_more(links: Links) -> None:
    with Channels(links(64)) as channels:
        assert len(channels) == 64
        extra = links(1)[0]
        with pytest.raises(ValueError, match="64 channels"):
            channels.add(extra)
        for n, far in enumerate(links.far[:64]):
            far.send(bytes([n]) * 60)
        got = channels.receive_batch(256, 0)
        assert [frame[0] for _, frame in got] == list(range(64))
        channels.remove(links.near[17])
        assert channels.add(extra) == 17
        assert channels[17] is extra


def test_a_channel_of_all_lanes(links: Links) -> None:
    near = links(5)
    with Channels([tuple(near[:4])]) as channels:
        for far in links.far:
            far.send(FRAME)
        assert links.of(channels.receive_batch(timeout=0)) == [3, 2, 1, 0]
        for lanes in ((), tuple(near)):
            with pytest.raises(ValueError, match="1 to 4 lanes"):
                channels.add(*lanes)


# ---- budgets, rubbish, lies --------------------------------------------------------------------------------


def test_a_spent_budget_is_its_own_channels_and_comes_back(links: Links) -> None:
    interval = 20_000_000
    limited = ChannelConfig(
        ring_normal=16384, ring_secure=4096, budget_interval=interval, budget_tolerance=interval
    )
    links(1, limited)
    links(1)
    with Channels(links.near) as channels:
        links.flood(0, 1)
        first = links.of(channels.receive_batch(100, 0))
        assert first.count(1) >= 90
        assert 1 <= first.count(0) < 10
        before = channels[0].statistics.received
        while channels[1].statistics.received < 100:
            channels.receive(SOON)
        slept = channels[0].statistics.sleeps
        while channels[0].statistics.received < before + 5:  # it waits for its budget, and is not forgotten
            assert links.of([channels.receive(SOON)]) == [0]
        assert channels[0].statistics.sleeps > slept


class Liar:
    """A peer whose buffer is ours to spoil."""

    def __init__(self, stack: ExitStack, tag: Tag = Tag.NONE) -> None:
        config = ChannelConfig(ring_normal=16384, ring_secure=4096, tag=tag)
        self.buffers = [_native.Buffer.private(config.buffer_size(role)) for role in Role]
        bells = _native.bell()
        self.ends = [
            stack.enter_context(
                Endpoint(config, role, self.buffers[role], self.buffers[role.peer], bells[role])
            )
            for role in Role
        ]
        begin_epoch(*self.ends)

    def rubbish(self) -> int:
        """Frames whose tag does not match. How many."""
        count = self.ends[0].send_batch([FRAME] * 100, 0)
        view = self.buffers[Role.NORMAL].view
        size = 16 + 64 + 16  # record head, payload, tag
        for at in range(CONTROL, CONTROL + count * size, 8):
            if (at - CONTROL) % size == 16:
                view[at] ^= 1
        return count


def test_rubbish_costs_the_others_a_turn(links: Links) -> None:
    with ExitStack() as stack:
        liar = Liar(stack, Tag.CRC32C)
        near = links(1)[0]
        channels = stack.enter_context(Channels([liar.ends[1], near], turn=4))
        liar.rubbish()
        links.far[0].send(FRAME)
        assert channels.receive_batch(timeout=0) == [(near, FRAME)]
        seen = liar.ends[1].statistics
        assert seen.verdicts["TAG"] > 0
        with pytest.raises(BlockingIOError):
            channels.receive(0)
        assert not channels.closed


def test_one_that_lies_is_told_of_once_and_is_out(links: Links) -> None:
    with ExitStack() as stack:
        liar = Liar(stack)
        near = links(1)[0]
        channels = stack.enter_context(Channels([liar.ends[1], near]))
        links.far[0].send(FRAME)
        liar.buffers[Role.NORMAL].view[HEAD : HEAD + 4] = (0x7FFFFFF1).to_bytes(4, sys.byteorder)
        assert channels.receive_batch(timeout=0) == [(near, FRAME)]
        with pytest.raises(LinkDown) as told:
            channels.receive(SOON)
        assert told.value.endpoint is liar.ends[1]
        assert told.value.reason == "HEAD_ALIGN"
        assert list(channels) == [near]
        links.far[0].send(FRAME)
        assert channels.receive(SOON) == (near, FRAME)


def test_whatever_one_writes_the_others_lose_nothing(links: Links, seed: int) -> None:
    """A peer that writes anything anywhere in its buffer, and starts anew whenever it was turned out."""
    rng = random.Random(seed)
    sent = [0, 0]
    came = [0, 0]
    with ExitStack() as stack:
        liar = Liar(stack)
        near = links(2)
        channels = stack.enter_context(Channels([near[0], liar.ends[1], near[1]], turn=4))
        view = liar.buffers[Role.NORMAL].view
        for _ in range(2000):
            if liar.ends[1] not in channels:
                begin_epoch(*liar.ends)
                channels.add(liar.ends[1])
            with suppress(BlockingIOError, LinkDown):
                liar.ends[0].send_batch([FRAME] * rng.randrange(1, 9), 0)
            if rng.random() < 0.3:
                at = rng.choice([HEAD, rng.randrange(0, CONTROL, 4), rng.randrange(CONTROL, 4 * CONTROL, 4)])
                view[at : at + 4] = rng.choice([rng.randbytes(4), bytes(4), b"\xff" * 4])
            n = rng.randrange(2)
            links.far[n].send(sent[n].to_bytes(60, "big"), 0)
            sent[n] += 1
            with suppress(BlockingIOError, LinkDown):
                for endpoint, frame in channels.receive_batch(rng.choice([1, 8, 64]), 0):
                    if endpoint is not liar.ends[1]:
                        assert int.from_bytes(frame, "big") == came[near.index(endpoint)]
                        came[near.index(endpoint)] += 1
            assert sum(sent) - sum(came) <= 64
        while came != sent:
            with suppress(LinkDown):
                endpoint, _ = channels.receive(SOON)
                if endpoint is not liar.ends[1]:
                    came[near.index(endpoint)] += 1
        assert liar.ends[1].statistics.verdicts["HEAD_ALIGN"] > 0


# ---- peers that come and go --------------------------------------------------------------------------------


def test_a_dead_peer_is_told_of_after_its_last_frame(links: Links) -> None:
    near = links(2)
    with Channels(near) as channels:
        links.far[0].send(b"the last".ljust(60))
        links.far[0].close()
        assert channels.receive(SOON) == (near[0], b"the last".ljust(60))
        with pytest.raises(PeerDead) as told:
            channels.receive(SOON)
        assert told.value.endpoint is near[0]
        assert list(channels) == [near[1]]
        links.far[1].send(FRAME)
        assert channels.receive(SOON) == (near[1], FRAME)
        links.far[1].close()
        with pytest.raises(PeerDead):
            channels.receive(SOON)
        with pytest.raises(ValueError, match="no endpoint"):
            channels.receive(SOON)


def test_a_new_epoch_is_told_of_before_its_frames(links: Links) -> None:
    near = links(1)
    with Channels(near) as channels:
        with pytest.raises(BlockingIOError):
            channels.receive(0)
        for _ in range(3):
            begin_epoch(links.far[0], near[0])
            with suppress(LinkDown):
                links.far[0].send(FRAME)
            with pytest.raises(LinkDown) as told:
                channels.receive(SOON)
            assert told.value.endpoint is near[0]
            links.far[0].send(FRAME)
            assert channels.receive(SOON) == (near[0], FRAME)
            with suppress(BlockingIOError):
                channels.receive_batch(timeout=0)


PEER = """
    import sys, time, isthmus
    config = isthmus.ChannelConfig(ring_normal=16384, ring_secure=4096)
    with isthmus.connect(sys.argv[1], isthmus.Role.NORMAL, config) as normal:
        normal.send(sys.argv[2].encode().ljust(60))
        while True:
            normal.send(normal.receive())
"""


def test_peers_are_killed_and_come_again(tmp_path: Path) -> None:
    """Three processes; the others' frames pass whatever happens to one."""

    def start(name: str) -> subprocess.Popen[bytes]:
        script = textwrap.dedent(PEER)
        return subprocess.Popen([sys.executable, "-c", script, str(tmp_path / name[0]), name])

    def echoes(endpoint: Endpoint) -> None:
        endpoint.send(FRAME, SOON)
        assert channels.receive(SOON) == (endpoint, FRAME)

    with ExitStack() as stack:
        ends = {n: stack.enter_context(listen(tmp_path / n, Role.SECURE, SMALL)) for n in "abc"}
        channels = stack.enter_context(Channels(ends.values()))
        peers = {n: start(n) for n in ends}

        @stack.callback
        def clean_up() -> None:
            for peer in peers.values():
                peer.kill()
                peer.wait()

        greeted = {
            frame.strip().decode(): endpoint for endpoint, frame in (channels.receive(SOON) for _ in ends)
        }
        assert greeted == ends
        for _ in range(2):
            peers["b"].kill()
            peers["b"].wait()
            with pytest.raises(PeerDead) as told:
                channels.receive(SOON)
            assert told.value.endpoint is ends["b"]
            assert len(channels) == 3
            for n in "ac":
                echoes(ends[n])
            with pytest.raises(TimeoutError):
                channels.receive(0.05)
            peers["b"] = start("b again")
            assert channels.receive(SOON) == (ends["b"], b"b again".ljust(60))
            for n in "abc":
                echoes(ends[n])


def test_one_that_is_turned_away_is_told_of_once(tmp_path: Path) -> None:
    """It goes on looking for a peer that fits; what it finds meanwhile is not told of again."""
    other = ChannelConfig(ring_normal=4096, ring_secure=4096)
    with ExitStack() as stack, ThreadPoolExecutor(1) as pool:
        links = Links(stack)
        path = tmp_path / "a"
        with listen(path, Role.SECURE, SMALL) as first:
            meeting = pool.submit(first.wait_up, SOON)
            seeker = stack.enter_context(connect(path, Role.NORMAL, SMALL))
            meeting.result(SOON)
            channels = stack.enter_context(Channels([seeker, *links(1)]))
        with pytest.raises(PeerDead):
            channels.receive(SOON)
        with listen(path, Role.SECURE, other) as second:
            refused = pool.submit(second.wait_up, 0.3)
            links.far[0].send(FRAME)
            assert channels.receive(SOON) == (links.near[0], FRAME)
            with pytest.raises(TimeoutError):
                channels.receive(0.2)
            assert isinstance(refused.exception(SOON), (TimeoutError, LinkDown))
        assert len(channels) == 2
        with listen(path, Role.SECURE, SMALL) as third:
            sending = pool.submit(third.send, FRAME, SOON)
            assert channels.receive(SOON) == (seeker, FRAME)
            sending.result(SOON)


def test_a_peer_of_other_geometry_is_turned_away_and_the_others_go_on(tmp_path: Path) -> None:
    other = ChannelConfig(ring_normal=4096, ring_secure=4096)
    with ExitStack() as stack:
        ends = [stack.enter_context(listen(tmp_path / n, Role.SECURE, SMALL)) for n in "ab"]
        channels = stack.enter_context(Channels(ends))
        with ThreadPoolExecutor(2) as pool:
            good = pool.submit(connect, tmp_path / "a", Role.NORMAL, SMALL)
            bad = pool.submit(connect, tmp_path / "b", Role.NORMAL, other)
            while not (good.done() and bad.done()):
                with suppress(TimeoutError):
                    channels.receive(0.01)
            assert isinstance(bad.exception(), LinkDown)
            with good.result() as normal:
                normal.send(FRAME)
                assert channels.receive(SOON) == (ends[0], FRAME)
