# SPDX-License-Identifier: MIT
"""What each call of an endpoint takes, gives and raises."""

from __future__ import annotations

import array
import logging
import pickle
import time
from collections.abc import Callable, Iterator
from dataclasses import FrozenInstanceError, replace

import pytest

import isthmus
from isthmus import (
    ChannelConfig,
    ClosedError,
    ConfigError,
    Endpoint,
    IsthmusError,
    LinkDown,
    LinkState,
    PeerDead,
    Role,
    Statistics,
    Tag,
    memory_link,
)

pytestmark = pytest.mark.memory

Ends = tuple[Endpoint, Endpoint]


@pytest.fixture(params=Tag, ids=lambda tag: tag.name)
def ends(request: pytest.FixtureRequest) -> Iterator[Ends]:
    normal, secure = memory_link(ChannelConfig(tag=request.param))
    with normal, secure:
        yield normal, secure


# ---- sending -------------------------------------------------------------------------------------


@pytest.mark.parametrize("make", [bytes, bytearray, memoryview, lambda data: array.array("B", data)])
def test_any_contiguous_buffer_is_a_frame(ends: Ends, make: type) -> None:
    data = bytes(range(200))
    ends[0].send(make(data))
    assert ends[1].receive(0) == data


def test_a_buffer_of_wider_items_is_sent_as_its_bytes(ends: Ends) -> None:
    words = array.array("I", range(100))
    ends[0].send(words)
    assert ends[1].receive(0) == words.tobytes()


@pytest.mark.parametrize("bad", ["text", 7, None, memoryview(bytes(200))[::2]])
def test_what_is_no_contiguous_buffer_is_refused(ends: Ends, bad: object) -> None:
    with pytest.raises((TypeError, BufferError)):
        ends[0].send(bad)  # type: ignore[arg-type]
    assert ends[0].statistics.sent == 0


def test_a_short_frame_arrives_padded_with_zeros(ends: Ends) -> None:
    ends[0].send(b"short")
    assert ends[1].receive(0) == b"short".ljust(60, b"\0")


@pytest.mark.parametrize("length", [0, 1537, 100_000])
def test_a_frame_that_could_never_be_sent(ends: Ends, length: int) -> None:
    for call in (lambda: ends[0].send(bytes(length)), lambda: ends[0].reserve(length)):
        with pytest.raises(ValueError, match="frame"):
            call()
    assert ends[0].statistics.verdicts["TOO_LONG"] == (2 if length else 0)


def test_a_full_ring(ends: Ends) -> None:
    sent = ends[0].send_batch([bytes(1500)] * 300, timeout=0)
    assert 0 < sent < 300  # a batch that ends early says where
    calls: list[Callable[[float], object]] = [
        lambda timeout: ends[0].send(bytes(1500), timeout),
        lambda timeout: ends[0].send_batch([bytes(1500)], timeout),
        lambda timeout: ends[0].reserve(1500, timeout),
    ]
    for call in calls:
        with pytest.raises(BlockingIOError):
            call(0)
        with pytest.raises(TimeoutError):
            call(0.01)
    assert len(ends[1].receive_batch(256)) == sent
    with pytest.raises(BlockingIOError):
        ends[1].receive(0)
    assert ends[0].send_batch([bytes(1500)] * 300, timeout=0) == sent


def test_a_batch_keeps_its_order_and_counts_what_was_sent(ends: Ends) -> None:
    frames = [bytes([n]) * (60 + n) for n in range(30)]
    assert ends[0].send_batch(frames) == 30
    assert ends[0].send_batch(iter(frames)) == 30
    assert ends[0].send_batch([]) == 0
    assert ends[1].receive_batch() == frames + frames


def test_a_bad_frame_in_a_batch_raises_after_those_before_it(ends: Ends) -> None:
    with pytest.raises(ValueError, match="frame"):
        ends[0].send_batch([b"first".ljust(60), b"", b"third"])
    with pytest.raises(TypeError):
        ends[0].send_batch([b"second".ljust(60), None])  # type: ignore[list-item]
    assert ends[1].receive_batch() == [b"first".ljust(60), b"second".ljust(60)]


def test_a_batch_of_one_buffer_is_sent_in_order(ends: Ends) -> None:
    frames = [bytes([n]) * (60 + n) for n in range(30)]
    lengths = array.array("I", map(len, frames))
    assert ends[0].send_batch_from(b"".join(frames), lengths) == 30
    assert ends[0].send_batch_from(memoryview(b"".join(frames)), memoryview(lengths)[:3]) == 3
    assert ends[1].receive_batch() == frames + frames[:3]


@pytest.mark.parametrize("bad", [0, 101, 2**32 - 1, 1600])
def test_a_bad_length_in_a_buffer_raises_after_the_frames_before_it(ends: Ends, bad: int) -> None:
    frame = bytes(range(60))
    with pytest.raises(ValueError, match="frame"):
        ends[0].send_batch_from(frame + bytes(2000 if bad == 1600 else 100), array.array("I", [60, bad, 60]))
    assert ends[1].receive_batch() == [frame]


def test_a_batch_of_one_buffer_that_ends_early_says_where(ends: Ends) -> None:
    buffer, lengths = bytes(1500 * 300), array.array("I", [1500] * 300)
    sent = ends[0].send_batch_from(buffer, lengths, timeout=0)
    assert 0 < sent < 300
    with pytest.raises(BlockingIOError):
        ends[0].send_batch_from(buffer, lengths, 0)
    with pytest.raises(TimeoutError):
        ends[0].send_batch_from(buffer, lengths, 0.01)
    assert len(ends[1].receive_batch(256)) == sent


# ---- writing in place ----------------------------------------------------------------------------


def test_a_reservation_is_sent_at_the_end(ends: Ends) -> None:
    with ends[0].reserve(100) as view:
        view[:] = bytes(range(100))
        with pytest.raises(BlockingIOError):
            ends[1].receive(0)
    assert ends[1].receive(0) == bytes(range(100))
    with pytest.raises(ValueError, match="released"):
        view[0] = 1


def test_a_reservation_may_send_less(ends: Ends) -> None:
    reservation = ends[0].reserve(1000)
    with reservation as view:
        view[:70] = b"x" * 70
        reservation.length = 70
    assert ends[1].receive(0) == b"x" * 70
    for bad in (0, 1001):
        other = ends[0].reserve(1000)
        with pytest.raises(ValueError, match="length"):
            other.length = bad
        other.cancel()
        other.cancel()


@pytest.mark.parametrize("tag", Tag)
def test_what_a_reservation_does_not_send_cannot_be_read(tag: Tag) -> None:
    """Its peer maps the whole buffer."""
    config = ChannelConfig(tag=tag)
    buffers = [isthmus._native.Buffer.private(config.buffer_size(role)) for role in Role]
    bells = isthmus._native.bell()
    ends = [Endpoint(config, role, buffers[role], buffers[role.peer], bells[role]) for role in Role]
    with ends[0], ends[1]:
        isthmus.links.begin_epoch(*ends)
        reservation = ends[0].reserve(1000)
        with reservation as view:
            view[:70] = b"x" * 70
            view[70:] = b"secret".ljust(930, b"t")
            reservation.length = 70
        assert ends[1].receive(0) == b"x" * 70
        assert bytes(buffers[0].view).find(b"tt") == -1


def test_an_exception_cancels_a_reservation(ends: Ends) -> None:
    with pytest.raises(KeyError), ends[0].reserve(100):
        raise KeyError
    ends[0].send(b"next")
    assert ends[1].receive(0).startswith(b"next")
    assert ends[0].statistics.sent == 1


def test_a_reservation_is_over_once(ends: Ends) -> None:
    reservation = ends[0].reserve(100)
    reservation.commit()
    for call in (reservation.commit, lambda: reservation.view, lambda: memoryview(reservation)):  # type: ignore[arg-type]
        with pytest.raises((ValueError, BufferError)):
            call()


def test_a_view_that_is_still_held_stops_the_frame(ends: Ends) -> None:
    """Whoever holds it could change what the peer reads: the sending half stays taken until it is gone."""
    reservation = ends[0].reserve(100)
    held = reservation.view[10:20]
    with pytest.raises(BufferError):
        reservation.commit()
    with pytest.raises(isthmus.ConcurrentUseError):
        ends[0].send(b"beside it")
    held.release()
    ends[0].send(b"after it")
    assert ends[1].receive(0).startswith(b"after it")


def test_a_forgotten_reservation_frees_the_half(ends: Ends) -> None:
    ends[0].reserve(100)
    ends[0].reserve(100).view[:] = bytes(100)
    view = ends[0].reserve(100).view
    del view
    ends[0].send(b"frame")
    assert ends[1].receive(0).startswith(b"frame")


def test_an_open_reservation_holds_the_session_and_outlives_the_endpoint(ends: Ends) -> None:
    reservation = ends[0].reserve(100)
    with pytest.raises(isthmus.ConcurrentUseError):
        ends[0].begin(7)
    ends[0].close()
    reservation.view[:] = bytes(100)  # memory that is still there
    with pytest.raises(ClosedError):
        reservation.commit()


def test_the_session_may_end_under_a_reservation(ends: Ends) -> None:
    reservation = ends[0].reserve(100)
    ends[0].end()
    with pytest.raises(LinkDown):
        reservation.commit()
    assert ends[0].statistics.sent == 0


# ---- receiving -----------------------------------------------------------------------------------


def test_receive_into_a_part_of_a_buffer(ends: Ends) -> None:
    ends[0].send(bytes(range(100)))
    buffer = bytearray(300)
    assert ends[1].receive_into(memoryview(buffer)[50:200]) == 100
    assert buffer == bytes(50) + bytes(range(100)) + bytes(150)


def test_a_frame_that_does_not_fit_stays_next(ends: Ends) -> None:
    ends[0].send(bytes(range(100)))
    small, lengths = bytearray(99), array.array("I", [0])
    with pytest.raises(ValueError, match="100 bytes"):
        ends[1].receive_into(small)
    with pytest.raises(ValueError, match="100 bytes"):
        ends[1].receive_batch_into(small, lengths)
    assert ends[1].receive(0) == bytes(range(100))


@pytest.mark.parametrize("bad", [b"read only", "text"])
def test_a_buffer_to_receive_into_must_be_writable(ends: Ends, bad: object) -> None:
    with pytest.raises((TypeError, BufferError)):
        ends[1].receive_into(bad)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    "bad", [array.array("H", [0] * 8), array.array("Q", [0] * 8), bytearray(16), array.array("I")]
)
def test_lengths_are_32_bit_integers(ends: Ends, bad: bytearray) -> None:
    with pytest.raises(TypeError, match="32-bit"):
        ends[1].receive_batch_into(bytearray(2000), bad)
    with pytest.raises(TypeError, match="32-bit"):
        ends[0].send_batch_from(bytearray(2000), bad)


def test_a_batch_without_an_object_per_frame(ends: Ends) -> None:
    frames = [bytes([n]) * (60 + n) for n in range(20)]
    ends[0].send_batch(frames)
    buffer, lengths = bytearray(5000), array.array("I", [0] * 8)
    assert ends[1].receive_batch_into(buffer, lengths) == 8  # as many as there are lengths
    assert bytes(buffer[: sum(lengths)]) == b"".join(frames[:8])
    assert list(lengths) == [len(f) for f in frames[:8]]
    assert ends[1].receive_batch_into(memoryview(buffer)[:140], lengths) == 2  # as many as fit
    assert len(ends[1].receive_batch()) == 10


@pytest.mark.parametrize("limit", [0, -1, 257])
def test_a_batch_has_a_limit(ends: Ends, limit: int) -> None:
    with pytest.raises(ValueError, match="limit"):
        ends[1].receive_batch(limit)


# ---- time ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("bad", [-1, float("nan"), -0.001])
def test_a_timeout_is_not_negative(ends: Ends, bad: float) -> None:
    for call in (lambda: ends[0].send(bytes(64), bad), lambda: ends[1].receive(bad)):
        with pytest.raises(ValueError, match="timeout"):
            call()


def test_a_timeout_is_kept(ends: Ends) -> None:
    before = time.monotonic()
    for call in (lambda: ends[1].receive(0.05), lambda: ends[1].receive_batch(timeout=0.05)):
        with pytest.raises(TimeoutError):
            call()
    assert time.monotonic() - before >= 0.1


def test_endless_timeouts_are_taken(ends: Ends) -> None:
    for endless in (None, float("inf"), 1e30):
        ends[0].send(bytes(64), endless)
        assert ends[1].receive(endless) == bytes(64)


@pytest.mark.parametrize(
    "call", ["send", "send_batch", "send_batch_from", "receive", "receive_into", "receive_batch", "reserve"]
)
def test_arguments_are_checked(ends: Ends, call: str) -> None:
    with pytest.raises(TypeError):
        getattr(ends[0], call)(b"", 0, 0, 0, 0)
    with pytest.raises(TypeError):
        getattr(ends[0], call)(unknown=1)
    with pytest.raises(TypeError):
        getattr(ends[0], call)(bytearray(60), timeout="soon")


# ---- what an endpoint says about itself ----------------------------------------------------------


def test_statistics_are_a_frozen_snapshot(ends: Ends) -> None:
    ends[0].send_batch([bytes(100)] * 3)
    ends[1].receive_batch()
    sent, received = ends[0].statistics, ends[1].statistics
    assert isinstance(sent, Statistics)
    assert (sent.sent, sent.sent_bytes, received.received, received.received_bytes) == (3, 300, 3, 300)
    assert (received.lost, received.refused, received.state, received.reason) == (0, 0, LinkState.RUN, "")
    assert received.verdicts["OK"] == 3
    with pytest.raises(FrozenInstanceError):
        sent.sent = 4  # type: ignore[misc]


def test_age_of_the_last_frame(ends: Ends) -> None:
    ages = [ends[1].age]
    for pause in (0.05, 0):
        ends[0].send(bytes(64))
        ends[1].receive()
        time.sleep(pause)
        ages.append(ends[1].statistics.age)
    never, old, fresh = ages
    assert never is None
    assert old is not None
    assert fresh is not None
    assert old >= 0.04
    assert fresh < old


def test_both_ends_share_an_epoch(ends: Ends) -> None:
    assert ends[0].epoch == ends[1].epoch != 0
    assert (ends[0].role, ends[1].role) == (Role.NORMAL, Role.SECURE)
    assert repr(ends[0]) == "<Endpoint NORMAL RUN>"


def test_a_frame_with_a_wrong_tag_is_counted_and_skipped() -> None:
    """The peer's fault: no exception, the next good frame is delivered."""
    config = ChannelConfig(tag=Tag.CRC32C)
    buffers = [isthmus._native.Buffer.private(config.buffer_size(role)) for role in Role]
    bells = isthmus._native.bell()
    normal, secure = (Endpoint(config, role, buffers[role], buffers[role.peer], bells[role]) for role in Role)
    with normal, secure:
        isthmus.links.begin_epoch(normal, secure)
        normal.send(b"damaged".ljust(60))
        buffers[0].view[0x200 + 20] ^= 1
        normal.send(b"good".ljust(60))
        assert secure.receive(0) == b"good".ljust(60)
        statistics = secure.statistics
        assert (statistics.verdicts["TAG"], statistics.refused, statistics.lost) == (1, 1, 1)


def test_lengths_that_are_overwritten_meanwhile_lead_nowhere() -> None:
    """What was written for the caller is his: here the frames themselves overwrite it."""
    config = ChannelConfig(frame_max=1536, ring_normal=65536)
    frame = b"\xff" * 100
    normal, secure = memory_link(config)
    with normal, secure:
        for _ in range(60):
            normal.send(frame)
        room = bytearray(8 + 4096)
        lengths = memoryview(room)[200:1224].cast("I")
        assert secure.receive_batch_into(room, lengths) == len(room) // 100
        assert bytes(room[1300:4000]) == b"\xff" * 2700


# ---- configuration -------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("wrong", "verdict"),
    [
        ({"ring_normal": 5000}, "BAD_RING"),
        ({"ring_secure": 2048}, "BAD_RING"),
        ({"ring_secure": 2**31}, "BAD_RING"),
        ({"frame_max": 59, "mtu": 46}, "BAD_FRAME"),
        ({"frame_max": 65553}, "BAD_FRAME"),
        ({"ring_normal": 4096, "frame_max": 4096}, "FRAME_RING"),
        ({"mtu": 45}, "BAD_MTU"),
        ({"mtu": 1519}, "BAD_MTU"),
        ({"tag": 3}, "BAD_TAG"),
        ({"features": 4}, "BAD_FEATURES"),
        ({"features": 2}, "BAD_FEATURES"),
        ({"features": 0, "required": 1}, "BAD_FEATURES"),
        ({"first_cursor": 8}, "BAD_CURSOR"),
        ({"ring_normal": -1}, "ring_normal"),
        ({"mtu": 2**32}, "mtu"),
        ({"first_sequence": 2**64}, "first_sequence"),
    ],
)
def test_a_configuration_that_cannot_be(wrong: dict[str, int], verdict: str) -> None:
    with pytest.raises(ConfigError, match=verdict):
        replace(ChannelConfig(), **wrong)  # type: ignore[arg-type]


def test_the_largest_frame_passes() -> None:
    normal, secure = memory_link(ChannelConfig(frame_max=65552, mtu=65534))
    with normal, secure:
        frame = bytes(range(256)) * 256
        normal.send(frame)
        assert secure.receive(0) == frame


@pytest.mark.parametrize(
    ("theirs", "reason"),
    [
        ({"mtu": 1400}, "PEER_MTU"),
        ({"ring_normal": 4096}, "PEER_GEOMETRY"),
        ({"tag": Tag.CRC32C}, "PEER_GEOMETRY"),
    ],
)
def test_ends_that_do_not_fit_say_why(theirs: dict[str, int], reason: str) -> None:
    normal, secure = memory_link(ChannelConfig(), replace(ChannelConfig(), **theirs))  # type: ignore[arg-type]
    with normal, secure:
        for end in (normal, secure):
            assert end.state is LinkState.INIT
            with pytest.raises(LinkDown) as caught:
                end.receive()
            assert caught.value.reason == reason
            with pytest.raises(LinkDown) as caught:
                end.send(bytes(60))
            assert caught.value.reason == reason


# ---- life ----------------------------------------------------------------------------------------


def test_close_is_idempotent_and_final(ends: Ends) -> None:
    normal, _ = ends
    normal.close()
    normal.close()
    assert normal.closed
    calls = (
        lambda: normal.send(bytes(60)),
        lambda: normal.send_batch([bytes(60)]),
        lambda: normal.send_batch_from(bytes(60), array.array("I", [60])),
        lambda: normal.reserve(60),
        normal.receive,
        lambda: normal.receive_into(bytearray(60)),
        normal.receive_batch,
        normal.fileno,
        normal.poll,
        normal.end,
        lambda: normal.begin(1),
        lambda: normal.statistics,
    )
    for call in calls:
        with pytest.raises(ClosedError):
            call()
    assert (normal.state, normal.reason, normal.epoch) == (LinkState.RESET, "", 0)
    assert repr(normal) == "<Endpoint NORMAL closed>"


def test_what_was_sent_before_a_close_is_read_before_the_peer_is_dead(ends: Ends) -> None:
    ends[0].send_batch([bytes([n]) * 60 for n in range(100)])
    ends[0].close()
    assert [ends[1].receive()[0] for _ in range(100)] == list(range(100))
    for call in (ends[1].receive, lambda: ends[1].receive(0), lambda: ends[1].send(bytes(60))):
        with pytest.raises(PeerDead):
            call()


def test_a_new_epoch_on_a_memory_link(ends: Ends) -> None:
    ends[0].send(b"of the old epoch")
    old = ends[0].epoch
    isthmus.links.begin_epoch(*ends)
    assert ends[0].epoch != old
    ends[0].send(b"of the new one")
    for end in ends:
        with pytest.raises(LinkDown):  # before any frame of the new one
            end.receive(0)
    assert ends[1].receive().startswith(b"of the new one")
    with pytest.raises(BlockingIOError):
        ends[1].receive(0)


def test_the_exceptions_tree() -> None:
    assert issubclass(ConfigError, IsthmusError)
    assert issubclass(ConfigError, ValueError)
    assert issubclass(PeerDead, LinkDown)
    assert issubclass(LinkDown, ConnectionError)
    assert issubclass(ClosedError, IsthmusError)
    again = pickle.loads(pickle.dumps(LinkDown("why", "PEER_MTU")))
    assert (str(again), again.reason) == ("why", "PEER_MTU")


def test_nothing_is_printed(
    ends: Ends, capfd: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.DEBUG):
        ends[0].send(bytes(60))
        ends[1].receive()
    assert capfd.readouterr() == ("", "")
    assert all(record.name == "isthmus" for record in caplog.records)


def test_an_endpoint_that_is_forgotten_warns_and_closes() -> None:
    normal, secure = memory_link()
    with pytest.warns(ResourceWarning, match="unclosed"):
        del normal
    with secure, pytest.raises(PeerDead):
        secure.receive()
