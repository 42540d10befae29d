# SPDX-License-Identifier: MIT
"""Every state of the life cycle meets every input, in a native endpoint and in the model alike.

The peer is forged: its buffer is written by the test, a word at a time.
"""

from __future__ import annotations

import itertools
import os
import struct
from collections.abc import Callable, Iterator

import pytest

from isthmus import ChannelConfig, Endpoint, LinkDown, LinkState, Role, _native
from isthmus.model import (
    BEAT,
    CONDITIONS,
    DIGEST,
    EPOCH,
    FEATURES,
    HEAD,
    MAGIC,
    MTU,
    STATE,
    STEPS,
    TAIL,
    VERSION,
    Model,
)

pytestmark = pytest.mark.memory

OURS, THEIRS = 0x1122334455667788, 0x1122334455667789  # epochs
CONFIG = ChannelConfig(ring_normal=4096, ring_secure=4096, frame_max=1518, first_cursor=2**32 - 64)


class Scene:
    """A native endpoint and a model, each with a buffer of its own, before the same forged peer."""

    def __init__(self, config: ChannelConfig = CONFIG, role: Role = Role.NORMAL) -> None:
        self.config, self.role = config, role
        self.peer = _native.Buffer.private(config.buffer_size(role.peer))
        self.own = _native.Buffer.private(config.buffer_size(role))
        bell, self.other_bell = _native.bell()
        self.native = Endpoint(config, role, self.own, self.peer, bell, 0)
        self.model = Model(config, role, bytearray(self.own.size), self.peer.view)
        # What an honest peer would publish.
        Model(config, role.peer, self.peer.view, self.own.view).begin(OURS)
        self.word(STATE, 0)

    def word(self, offset: int, value: int) -> None:
        struct.pack_into("<I", self.peer.view, offset, value)

    def peer_state(
        self, state: int, magic: int = MAGIC, version: int = VERSION, role: int | None = None
    ) -> None:
        shown = self.role.peer if role is None else role
        self.word(STATE, magic << 16 | version << 8 | shown << 4 | state)

    def poll(self) -> None:
        self.native.poll()
        self.model.poll()

    def enter(self, state: LinkState) -> None:
        """Takes both into a state by the way that leads there."""
        if state is LinkState.RESET:
            return
        self.native.begin(OURS)
        self.model.begin(OURS)
        way = {LinkState.READY: (1,), LinkState.RUN: (1, 2), LinkState.DEAD: (1, 2, 15)}.get(state, ())
        for shown in way:
            self.peer_state(shown)
            self.poll()
        assert self.native.state is self.model.state is state

    def agree(self) -> None:
        """Same state, reason, counters, and the same bytes published."""
        assert self.native.state is self.model.state
        assert self.native.reason == self.model.reason
        counted = {name: n for name, n in self.native.statistics.verdicts.items() if n}
        assert {n: c for n, c in counted.items() if n not in ("DOWN", "FULL")} == {
            n: c for n, c in self.model.counts.items() if c
        }
        assert self.own.view[:BEAT] == self.model.own[:BEAT]
        assert self.own.view[BEAT + 4 :] == self.model.own[BEAT + 4 :]

    def close(self) -> None:
        self.native.close()
        os.close(self.other_bell)


@pytest.fixture
def scene() -> Iterator[Scene]:
    made = Scene()
    yield made
    made.close()


def shown(*args: int, **fields: int) -> Callable[[Scene], None]:
    return lambda scene: scene.peer_state(*args, **fields)


def unfit(offset: int, value: int) -> Callable[[Scene], None]:
    def forge(scene: Scene) -> None:
        scene.peer_state(LinkState.INIT)
        scene.word(offset, value)

    return forge


#: Every way in which a peer can show itself, by the model's conditions.
INPUTS: dict[str, tuple[str, Callable[[Scene], None]]] = {
    "nothing": ("absent", lambda scene: scene.word(STATE, 0)),
    "reset": ("absent", shown(LinkState.RESET)),
    "init": ("init", shown(LinkState.INIT)),
    "ready": ("ready", shown(LinkState.READY)),
    "run": ("run", shown(LinkState.RUN)),
    "dead": ("dead", shown(LinkState.DEAD)),
    "other-epoch-low": ("unfit", unfit(EPOCH, 1)),
    "other-epoch-high": ("unfit", unfit(EPOCH + 4, 1)),
    "other-geometry-low": ("unfit", unfit(DIGEST, 1)),
    "other-geometry-high": ("unfit", unfit(DIGEST + 4, 1)),
    "other-mtu": ("unfit", unfit(MTU, 1501)),
    "no-magic": ("garbled", shown(LinkState.INIT, magic=0x4954)),
    "other-version": ("garbled", shown(LinkState.INIT, version=2)),
    "same-role": ("garbled", shown(LinkState.INIT, role=Role.NORMAL)),
    "no-role": ("garbled", shown(LinkState.INIT, role=2)),
    **{f"no-state-{n}": ("garbled", shown(n)) for n in range(5, 16)},
}
REASONS = {
    "other-epoch-low": "PEER_EPOCH",
    "other-epoch-high": "PEER_EPOCH",
    "other-geometry-low": "PEER_GEOMETRY",
    "other-geometry-high": "PEER_GEOMETRY",
    "other-mtu": "PEER_MTU",
    "no-magic": "PEER_MAGIC",
    "other-version": "PEER_VERSION",
    "same-role": "PEER_ROLE",
    "no-role": "PEER_ROLE",
}


def test_the_inputs_are_all_there_are() -> None:
    assert {condition for condition, _ in INPUTS.values()} == set(CONDITIONS)


@pytest.mark.parametrize(("state", "given"), list(itertools.product(LinkState, INPUTS)))
def test_what_the_peer_shows(scene: Scene, state: LinkState, given: str) -> None:
    scene.enter(state)
    condition, forge = INPUTS[given]
    forge(scene)
    scene.poll()
    if state is not LinkState.INIT and condition == "unfit":
        condition = "init"  # the identity was checked before; what is written over it now does not count
    if state is not LinkState.INIT and given == "nothing":
        condition = "garbled"  # memory is blank before a session only
    expected, reason = STEPS.get((state, condition), (state, ""))
    assert scene.native.state is expected
    if state is LinkState.INIT and given not in ("dead",):
        reason = REASONS.get(given, "STATE_WORD" if given.startswith("no-state") else "")
    elif state is LinkState.DEAD:
        reason = "STATE_WORD"  # it stays what it was
    assert scene.native.reason == reason
    scene.agree()


@pytest.mark.parametrize("state", LinkState)
def test_begin_leads_to_init_from_anywhere(scene: Scene, state: LinkState) -> None:
    scene.enter(state)
    scene.native.begin(THEIRS, bytes(range(16)))
    scene.model.begin(THEIRS, bytes(range(16)))
    assert scene.native.state is LinkState.INIT
    assert scene.native.epoch == THEIRS
    scene.agree()


@pytest.mark.parametrize("state", LinkState)
def test_end_leads_to_reset_and_keeps_dead(scene: Scene, state: LinkState) -> None:
    scene.enter(state)
    scene.native.end()
    scene.model.end()
    assert scene.native.state is (LinkState.DEAD if state is LinkState.DEAD else LinkState.RESET)
    scene.agree()


@pytest.mark.parametrize("state", LinkState)
def test_frames_pass_in_run_only(scene: Scene, state: LinkState) -> None:
    scene.enter(state)
    none = LinkDown if state in (LinkState.RESET, LinkState.DEAD) else BlockingIOError
    with pytest.raises(none):
        scene.native.receive(0)
    if state is LinkState.RUN:
        scene.native.send(bytes(64), 0)
    else:
        with pytest.raises(none):
            scene.native.send(bytes(64), 0)
    assert scene.native.statistics.sent == (state is LinkState.RUN)


CURSORS = {
    "head-misaligned": (HEAD, 8, "HEAD_ALIGN"),
    "head-backwards": (HEAD, -16, "HEAD_RANGE"),
    "head-past-the-ring": (HEAD, 4096 + 16, "HEAD_RANGE"),
    "tail-misaligned": (TAIL, 8, "TAIL_ALIGN"),
    "tail-backwards": (TAIL, -16, "TAIL_RANGE"),
    "tail-past-what-was-sent": (TAIL, 4096, "TAIL_RANGE"),
}


@pytest.mark.parametrize("cursor", CURSORS)
@pytest.mark.parametrize("shows", [LinkState.RUN, LinkState.INIT])
def test_an_impossible_cursor(scene: Scene, cursor: str, shows: LinkState) -> None:
    """It kills the session, unless the peer is seen in the middle of clearing its words for a new one."""
    scene.enter(LinkState.RUN)
    offset, distance, verdict = CURSORS[cursor]
    scene.peer_state(shows)
    scene.word(offset, (CONFIG.first_cursor + distance) & 0xFFFFFFFF)
    for _ in range(2 * (offset == TAIL)):  # what fits
        scene.native.send(bytes(1500), 0)
        scene.model.send(bytes(1500))
    with pytest.raises(LinkDown) as caught:
        scene.native.receive(0) if offset == HEAD else scene.native.send(bytes(1500), 0)
    scene.model.receive() if offset == HEAD else scene.model.send(bytes(1500))
    dead = shows is LinkState.RUN
    assert scene.native.state is (LinkState.DEAD if dead else LinkState.RESET)
    assert caught.value.reason == (verdict if dead else "PEER_LEFT")
    scene.agree()


def test_a_missing_feature_is_refused() -> None:
    config = ChannelConfig(features=1, required=1)
    scene = Scene(config)
    scene.word(FEATURES, 0)
    scene.enter(LinkState.INIT)
    scene.peer_state(LinkState.INIT)
    scene.poll()
    assert scene.native.reason == "PEER_FEATURES"
    scene.agree()
    scene.close()


def test_a_silent_peer_ends_the_session() -> None:
    config = ChannelConfig(ring_normal=4096, ring_secure=4096, silence=20_000_000)
    scene = Scene(config)
    scene.enter(LinkState.RUN)
    with pytest.raises(LinkDown) as caught:
        scene.native.receive(5)
    assert caught.value.reason == "PEER_SILENT"
    assert scene.model.poll(0) is LinkState.RUN
    for now in range(5, 21, 5):
        assert scene.model.poll(now * 1_000_000) is LinkState.RUN
    assert scene.model.poll(20_000_001) is LinkState.RESET
    assert scene.model.reason == "PEER_SILENT"
    scene.close()
