# SPDX-License-Identifier: MIT
"""A peer that breaks the rules, at random: the native endpoint and the model judge every lie alike.

Both stand before one forged buffer. An honest peer writes frames into it; then words of it are changed. No
lie raises anything but LinkDown, none makes a call run on, and what is delivered is what was written.
"""

from __future__ import annotations

import os
import struct
from contextlib import suppress

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule, run_state_machine_as_test

from isthmus import ChannelConfig, Endpoint, LinkDown, LinkState, Role, Tag, _native
from isthmus.model import BEAT, CONTROL, HEAD, STATE, TAIL, WAKE_RX, WAKE_TX, Model

pytestmark = pytest.mark.memory

RUBBISH = 64  # bad frames after which a call that may not wait gives up


class LyingAboutFrames(RuleBasedStateMachine):
    """One victim, its model, and a peer whose records lie."""

    @initialize(
        tag=st.sampled_from(Tag),
        cursor=st.sampled_from([0, 2**32 - 256]),
        sequence=st.sampled_from([0, 2**32 - 2, 2**64 - 2]),
        role=st.sampled_from(Role),
    )
    def start(self, tag: Tag, cursor: int, sequence: int, role: Role) -> None:
        self.config = config = ChannelConfig(
            ring_normal=4096,
            ring_secure=4096,
            frame_max=1518,
            tag=tag,
            first_cursor=cursor,
            first_sequence=sequence,
            features=0,
        )
        self.role = role
        self.peer = _native.Buffer.private(config.buffer_size(role.peer))
        self.own = _native.Buffer.private(config.buffer_size(role))
        bell, self.other_bell = _native.bell()
        self.native = Endpoint(config, role, self.own, self.peer, bell, 0)
        self.model = Model(config, role, bytearray(self.own.size), self.peer.view)
        self.honest = Model(config, role.peer, self.peer.view, self.own.view)
        self.epoch = 0
        self.anew()

    def teardown(self) -> None:
        if hasattr(self, "native"):
            self.native.close()
            os.close(self.other_bell)

    @rule()
    def anew(self) -> None:
        """The monitor ends it and starts a new epoch; nothing that was done before may hinder it."""
        self.epoch += 1
        for end in (self.native, self.model, self.honest):
            end.begin(self.epoch, self.epoch.to_bytes(16, "big"))
        for _ in range(3):
            for end in (self.native, self.model, self.honest):
                end.poll()
        assert self.native.state is self.model.state is LinkState.RUN
        self.hear_of_it()

    def hear_of_it(self) -> None:
        """Either half is told once that the session before ended, if it does not know."""
        with suppress(LinkDown, BlockingIOError):
            self.native.receive(0)
        with suppress(LinkDown):
            self.native.reserve(60, 0).cancel()
        self.native.reserve(60, 0).cancel()
        self.model.cancel(60)

    @rule(length=st.integers(1, 1518), data=st.data())
    def honest_frame(self, length: int, data: st.DataObject) -> None:
        self.honest.send(data.draw(st.binary(min_size=length, max_size=length)))

    def dishonest_frame(self, offset: int, value: int) -> None:
        """A frame with one word of its header forged."""
        at = CONTROL + self.honest.head % 4096
        if self.honest.send(bytes(range(64))) == "OK":
            self.forge(at + offset, value)

    @rule(length=st.sampled_from([0, 59, 60, 61, 1518, 1519, 4096, 2**31, 2**32 - 1]))
    def lie_about_length(self, length: int) -> None:
        self.dishonest_frame(0, length)

    @rule(ahead=st.sampled_from([-(2**31), -2, -1, 0, 1, 2, 2**31 - 1]))
    def lie_about_sequence(self, ahead: int) -> None:
        self.dishonest_frame(4, self.honest.sequence + ahead)

    @rule(beyond=st.integers(-1, 2))
    def jump_to_the_edge(self, beyond: int) -> None:
        """The furthest sequence that can be explained by frames that were lost or refused, or just beyond."""
        self.dishonest_frame(4, self.model.expected + self.model.slack + beyond)

    @rule(flags=st.one_of(st.sampled_from([1, 2, 4, 8, 16, 1 << 16]), st.integers(0, 2**32 - 1)))
    def lie_about_flags(self, flags: int) -> None:
        self.dishonest_frame(8, flags)

    @rule(words=st.integers(0, 2**32 - 1))
    def lie_about_checksums(self, words: int) -> None:
        self.dishonest_frame(12, words)

    @rule(at=st.integers(16, 79), bit=st.integers(0, 7))
    def damage_the_payload(self, at: int, bit: int) -> None:
        where = CONTROL + self.honest.head % 4096 + at
        if self.honest.send(bytes(range(64))) == "OK":
            self.peer.view[where] ^= 1 << bit

    @rule(seed=st.integers(0, 255))
    def fill_with_rubbish(self, seed: int) -> None:
        """A full ring of the smallest records, each of them bad."""
        self.forge(HEAD, self.model.tail + 4096)
        for n in range(51):
            at = CONTROL + (self.model.tail + 80 * n) % 4096
            self.forge(at, 60)
            self.forge(at + 4, self.model.expected - 1 - seed)

    def forge(self, offset: int, value: int) -> None:
        struct.pack_into("<I", self.peer.view, offset, value & 0xFFFFFFFF)

    @rule()
    def receive(self) -> None:
        """A call that may not wait, and the model's idea of it."""
        try:
            outcome: bytes | str | None = self.native.receive(0)
        except BlockingIOError:
            outcome = None
        except LinkDown:
            outcome = "down"
        assert outcome == self.expected_frame()

    def expected_frame(self) -> bytes | str | None:
        model, refused = self.model, 0
        while refused < RUBBISH:
            verdict, frame = model.receive()
            if verdict == "OK":
                return frame
            if verdict in ("EMPTY", "DOWN") or model.state is not LinkState.RUN:
                model.poll()
                return None if model.state is LinkState.RUN else "down"
            refused += 1
        return None

    @rule()
    def send(self) -> None:
        try:
            self.native.send(bytes(500), 0)
            outcome = "OK"
        except BlockingIOError:
            outcome = "FULL"
        except LinkDown:
            outcome = "down"
        expected = self.model.send(bytes(500))
        if expected != "OK":
            self.model.poll()
            expected = expected if self.model.state is LinkState.RUN else "down"
        assert outcome == expected

    @invariant()
    def they_agree(self) -> None:
        if not hasattr(self, "native"):
            return
        counted = {n: c for n, c in self.native.statistics.verdicts.items() if c}
        for by_looks in ("DOWN", "FULL"):
            counted.pop(by_looks, None)
        assert counted == {n: c for n, c in self.model.counts.items() if c}
        assert self.own.view[:BEAT] == self.model.own[:BEAT]
        assert self.own.view[BEAT + 4 :] == self.model.own[BEAT + 4 :]


class LyingAboutEverything(LyingAboutFrames):
    """Control words too."""

    @rule(far=st.one_of(st.sampled_from([8, 16, 64, 4096, 4112, -16, 2**31]), st.integers(0, 2**32 - 1)))
    def lie_about_head(self, far: int) -> None:
        self.forge(HEAD, self.model.peer_head + far)

    @rule(far=st.one_of(st.sampled_from([8, 16, 64, 4096, -16, 2**31]), st.integers(0, 2**32 - 1)))
    def lie_about_tail(self, far: int) -> None:
        self.forge(TAIL, self.model.peer_tail + far)

    @rule(word=st.integers(0, 2**32 - 1), offset=st.sampled_from([STATE, WAKE_RX, WAKE_TX]))
    def lie_about_anything(self, word: int, offset: int) -> None:
        self.forge(offset, word)

    @rule(state=st.integers(0, 15))
    def lie_about_state(self, state: int) -> None:
        self.forge(STATE, 0x49530100 | self.role.peer << 4 | state)

    @rule(offset=st.integers(CONTROL, CONTROL + 4095), value=st.integers(0, 255))
    def flip_anything(self, offset: int, value: int) -> None:
        self.peer.view[offset] ^= value


MACHINES = [LyingAboutFrames, LyingAboutEverything]


@pytest.mark.parametrize("machine", MACHINES)
def test_lies(machine: type[LyingAboutFrames]) -> None:
    run_state_machine_as_test(machine, settings=settings(max_examples=100, stateful_step_count=50))


@pytest.mark.slow
@pytest.mark.parametrize("machine", MACHINES)
def test_many_lies(machine: type[LyingAboutFrames]) -> None:
    run_state_machine_as_test(machine, settings=settings(max_examples=2000, stateful_step_count=100))
