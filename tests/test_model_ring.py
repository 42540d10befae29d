# SPDX-License-Identifier: MIT
"""Random histories of a channel, on every link, against the model: same outcomes, same counters, same bytes.

Two models that face each other are the oracle. The channel under test does the same steps:

    memory    two native endpoints over the buffers of this process: its memory is compared byte for byte
    mixed     a native endpoint and a model over the same two buffers
    process   two native endpoints in two processes, over sealed memfds and a socket pair
"""

from __future__ import annotations

import os
import struct
from collections.abc import Iterator
from typing import ClassVar

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule, run_state_machine_as_test

from ends import Far, Local, Oracle, Remote
from isthmus import ChannelConfig, Endpoint, LinkState, Role, Tag, _native
from isthmus.model import BEAT, Model, pair

End = Local | Oracle | Remote


@st.composite
def configs(draw: st.DrawFn) -> ChannelConfig:
    """Small rings, so that they wrap and fill up; cursors and sequences from just below their wraps."""
    ring = st.sampled_from([4096, 8192, 16384])
    frame_max = draw(st.integers(96, 3000))
    return ChannelConfig(
        ring_normal=draw(ring),
        ring_secure=draw(ring),
        frame_max=frame_max,
        mtu=frame_max - 18,
        tag=draw(st.sampled_from(Tag)),
        first_cursor=draw(st.sampled_from([0, 2**32 - 16, 2**32 - 2048, 2**31 - 1024])),
        first_sequence=draw(st.sampled_from([0, 2**32 - 3, 2**64 - 3, 2**63 - 1])),
        features=0,
    )


class History(RuleBasedStateMachine):
    """What may happen to a channel whose ends keep the protocol."""

    def open(self, config: ChannelConfig) -> tuple[End, End]:
        raise NotImplementedError

    @initialize(config=configs())
    def start(self, config: ChannelConfig) -> None:
        self.config = config
        self.ends = self.open(config)
        self.oracle = tuple(Oracle(model) for model in pair(config))
        self.epoch = 1
        self.serial = 0
        self.restart()

    def teardown(self) -> None:
        for end in getattr(self, "ends", ()):
            end.close()

    def both(self, role: Role, operation: str, *args: object) -> object:
        """Does it, checks that the oracle agrees on the outcome, and returns that."""
        outcome = getattr(self.ends[role], operation)(*args)
        assert outcome == getattr(self.oracle[role], operation)(*args)
        return outcome

    def frame(self, length: int) -> bytes:
        """Unlike every other frame."""
        self.serial += 1
        pattern = struct.pack("<I", self.serial * 2654435761 & 0xFFFFFFFF)
        return (pattern * (length // 4 + 1))[:length]

    roles = st.sampled_from(Role)
    lengths = st.integers(1, 3001)

    @rule(role=roles, length=lengths)
    def send(self, role: Role, length: int) -> None:
        self.both(role, "send", self.frame(min(length, self.config.frame_max + 1)))

    @rule(role=roles, lengths=st.lists(lengths, max_size=40))
    def send_batch(self, role: Role, lengths: list[int]) -> None:
        self.both(role, "send_batch", [self.frame(min(n, self.config.frame_max)) for n in lengths])

    @rule(role=roles, length=lengths, spare=st.integers(0, 100), commit=st.booleans())
    def write_in_place(self, role: Role, length: int, spare: int, commit: bool) -> None:
        self.both(role, "write_in_place", self.frame(min(length, self.config.frame_max)), spare, commit)

    @rule(role=roles)
    def receive(self, role: Role) -> None:
        self.both(role, "receive")

    @rule(role=roles, room=st.integers(1, 3000))
    def receive_into(self, role: Role, room: int) -> None:
        self.both(role, "receive_into", room)

    @rule(role=roles, limit=st.integers(1, 256))
    def receive_batch(self, role: Role, limit: int) -> None:
        self.both(role, "receive_batch", limit)

    @rule(role=roles, room=st.integers(1, 9000), limit=st.integers(1, 20))
    def receive_batch_into(self, role: Role, room: int, limit: int) -> None:
        self.both(role, "receive_batch_into", room, limit)

    @rule()
    def restart(self) -> None:
        """A new epoch for both, whatever was under way."""
        self.epoch += 1
        for role in Role:
            self.both(role, "begin", self.epoch, self.epoch.to_bytes(16, "big"))
        self.shake_hands()

    @rule(role=roles)
    def leave(self, role: Role) -> None:
        """One end leaves; the other notices, once it has read what there was."""
        self.both(role, "end")
        while self.oracle[role.peer].peek() is not None:
            self.both(role.peer, "receive")
        for end in (role, role.peer):
            told = self.ends[end].settle()
            assert told or isinstance(self.ends[end], Oracle)
            self.oracle[end].settle()
            assert self.ends[end].state() == self.oracle[end].state() == LinkState.RESET
        self.restart()

    def shake_hands(self) -> None:
        for _ in range(3):
            for role in Role:
                self.ends[role].poll()
                self.oracle[role].poll()
        for role in Role:
            self.ends[role].settle()
            assert self.ends[role].state() == self.oracle[role].state() == LinkState.RUN

    @invariant()
    def counters_agree(self) -> None:
        for role in Role:
            if hasattr(self, "ends"):
                assert self.ends[role].counts() == self.oracle[role].counts()


def without_beat(buffer: memoryview) -> bytes:
    """A buffer, less the one word that counts how often somebody looked."""
    return bytes(buffer[:BEAT]) + bytes(buffer[BEAT + 4 :])


class OverMemory(History):
    """Two native endpoints in this process."""

    def open(self, config: ChannelConfig) -> tuple[End, End]:
        self.buffers = [_native.Buffer.private(config.buffer_size(role)) for role in Role]
        bells, buffers = _native.bell(), self.buffers
        normal, secure = (
            Endpoint(config, role, buffers[role], buffers[role.peer], bells[role], 0) for role in Role
        )
        return Local(normal), Local(secure)

    @invariant()
    def memory_agrees(self) -> None:
        for role in Role:
            if hasattr(self, "ends"):
                ours, theirs = self.buffers[role].view, self.oracle[role].model.own
                assert without_beat(ours) == without_beat(theirs)


class Mixed(History):
    """A native endpoint that faces a model."""

    native: ClassVar[Role] = Role.NORMAL

    def open(self, config: ChannelConfig) -> tuple[End, End]:
        buffers = [_native.Buffer.private(config.buffer_size(role)) for role in Role]
        bell, self.other_bell = _native.bell()
        role = self.native
        endpoint = Local(Endpoint(config, role, buffers[role], buffers[role.peer], bell, 0))
        model = Oracle(Model(config, role.peer, buffers[role.peer].view, buffers[role].view))
        return (endpoint, model) if role is Role.NORMAL else (model, endpoint)

    def teardown(self) -> None:
        super().teardown()
        if hasattr(self, "other_bell"):
            os.close(self.other_bell)


class MixedSecure(Mixed):
    """The same with the native endpoint in the Secure world."""

    native = Role.SECURE


class OverProcesses(History):
    """Two native endpoints in two processes."""

    far: ClassVar[Far]

    def open(self, config: ChannelConfig) -> tuple[End, End]:
        return self.far.join(config, Role.NORMAL)


@pytest.fixture(scope="module")
def far() -> Iterator[Far]:
    process = Far()
    OverProcesses.far = process
    yield process
    process.close()


@pytest.mark.memory
@pytest.mark.parametrize("machine", [OverMemory, Mixed, MixedSecure])
def test_history_in_one_process(machine: type[History]) -> None:
    run_state_machine_as_test(machine, settings=settings(max_examples=60, stateful_step_count=40))


def test_history_between_processes(far: Far) -> None:
    run_state_machine_as_test(OverProcesses, settings=settings(max_examples=30, stateful_step_count=30))


@pytest.mark.slow
@pytest.mark.parametrize("machine", [OverMemory, Mixed, MixedSecure, OverProcesses])
def test_long_history(machine: type[History], far: Far) -> None:
    run_state_machine_as_test(machine, settings=settings(max_examples=500, stateful_step_count=120))
