# SPDX-License-Identifier: MIT
"""Links between processes: what is handed over, what is refused, and how a link comes back."""

from __future__ import annotations

import ctypes
import fcntl
import logging
import mmap
import os
import select
import signal
import socket
import struct
import subprocess
import sys
import threading
import time
import traceback
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path

import pytest

import isthmus
from isthmus import (
    ChannelConfig,
    ClosedError,
    Endpoint,
    LinkDown,
    LinkState,
    PeerDead,
    Role,
    Tag,
    _native,
    connect,
    join,
    listen,
)

SOON = 10.0
CONFIG = ChannelConfig(ring_normal=16384, ring_secure=16384, tag=Tag.SIPHASH)


def joined(ours: ChannelConfig = CONFIG, theirs: ChannelConfig = CONFIG) -> tuple[Endpoint, Endpoint]:
    """Both ends of a link over a socket pair, from two threads."""
    a, b = socket.socketpair()
    with ThreadPoolExecutor(1) as pool:
        other = pool.submit(join, b, Role.SECURE, theirs, timeout=SOON)
        try:
            normal = join(a, Role.NORMAL, ours, timeout=SOON)
        finally:
            problem = other.exception()
        if problem:
            normal.close()
            raise problem
        return normal, other.result()


@pytest.fixture
def name(request: pytest.FixtureRequest) -> str:
    return f"\0isthmus-{os.getpid()}-{request.node.name}"


# ---- join ------------------------------------------------------------------------------------------


def test_join_over_a_socket_pair() -> None:
    normal, secure = joined()
    with normal, secure:
        assert normal.epoch == secure.epoch != 0
        normal.send(b"to secure".ljust(60))
        secure.send(b"to normal".ljust(60))
        assert secure.receive() == b"to secure".ljust(60)
        assert normal.receive() == b"to normal".ljust(60)


def test_each_link_has_an_epoch_of_its_own() -> None:
    epochs = set()
    for _ in range(3):
        normal, secure = joined()
        with normal, secure:
            epochs.add(normal.epoch)
    assert len(epochs) == 3


@pytest.mark.parametrize(
    ("theirs", "reason"),
    [
        (ChannelConfig(ring_normal=4096, ring_secure=16384, tag=Tag.SIPHASH), "PEER_GEOMETRY"),
        (ChannelConfig(ring_normal=16384, ring_secure=16384, tag=Tag.CRC32C), "PEER_GEOMETRY"),
        (ChannelConfig(ring_normal=16384, ring_secure=16384, tag=Tag.SIPHASH, mtu=1400), "PEER_MTU"),
    ],
)
def test_ends_that_differ_are_refused_by_name_on_both_sides(theirs: ChannelConfig, reason: str) -> None:
    a, b = socket.socketpair()
    with ThreadPoolExecutor(2) as pool:
        futures = [pool.submit(join, a, Role.NORMAL, CONFIG), pool.submit(join, b, Role.SECURE, theirs)]
        for future in futures:
            problem = future.exception(SOON)
            assert isinstance(problem, LinkDown)
            assert problem.reason == reason or isinstance(problem, PeerDead)
        assert any(f.exception().reason == reason for f in futures)  # type: ignore[union-attr]


def test_two_ends_of_the_same_role_are_refused() -> None:
    a, b = socket.socketpair()
    with ThreadPoolExecutor(2) as pool:
        for future in [pool.submit(join, sock, Role.NORMAL, CONFIG) for sock in (a, b)]:
            problem = future.exception(SOON)
            assert isinstance(problem, LinkDown)
            assert problem.reason == "PEER_ROLE"


def test_nobody_there() -> None:
    a, b = socket.socketpair()
    with b, pytest.raises(TimeoutError):
        join(a, Role.NORMAL, CONFIG, timeout=0.05)
    a, b = socket.socketpair()
    b.close()
    with pytest.raises(LinkDown):
        join(a, Role.SECURE, CONFIG)


# ---- what comes from outside is checked ------------------------------------------------------------

HELLO = struct.Struct("=4sHHQQQ16s")


def memfd(size: int, seals: int) -> int:
    fd = os.memfd_create("forged", os.MFD_CLOEXEC | os.MFD_ALLOW_SEALING)
    os.ftruncate(fd, size)
    fcntl.fcntl(fd, fcntl.F_ADD_SEALS, seals)
    return fd


ALL_SEALS = fcntl.F_SEAL_SEAL | fcntl.F_SEAL_SHRINK | fcntl.F_SEAL_GROW | 0x10  # FUTURE_WRITE
SIZE = CONFIG.buffer_size(Role.SECURE)


class Forger:
    """The other end of a join() as Normal, by hand."""

    def __init__(self) -> None:
        self.ours, self.theirs = socket.socketpair()
        self.hello = [b"ISTH", _native.VERSION, Role.SECURE, SIZE, CONFIG.digest(), 1, bytes(16)]
        self.buffer = memfd(SIZE, ALL_SEALS)
        self.bell, self.far_bell = socket.socketpair()

    def result(self, fds: list[int] | None = None, cut: int = HELLO.size) -> BaseException | None:
        """What join() makes of it."""
        given = [self.buffer, self.far_bell.fileno()] if fds is None else fds
        socket.send_fds(self.ours, [HELLO.pack(*self.hello)[:cut]], given)
        before = descriptors()
        problem: BaseException | None = None
        try:
            join(self.theirs, Role.NORMAL, CONFIG, timeout=0.3).close()
        except Exception as error:
            problem = error
            for link in (error, error.__context__):
                if link:
                    traceback.clear_frames(link.__traceback__)  # they hold our own buffer
        assert descriptors() <= before, "descriptors from outside are left open"
        return problem

    def close(self) -> None:
        for sock in (self.ours, self.theirs, self.bell, self.far_bell):
            sock.close()
        os.close(self.buffer)


def descriptors() -> set[int]:
    return {fd for fd in map(int, os.listdir("/proc/self/fd")) if os.path.exists(f"/proc/self/fd/{fd}")}


@pytest.fixture
def forger() -> Iterator[Forger]:
    made = Forger()
    yield made
    made.close()


def test_an_honest_forger_gets_as_far_as_the_handshake(forger: Forger) -> None:
    """Else the refusals below would prove nothing: it is stopped where it would have to write its buffer."""
    assert isinstance(forger.result(), TimeoutError)


@pytest.mark.parametrize(
    ("field", "value", "reason"),
    [
        (0, b"HTTP", "PEER_MAGIC"),
        (1, 2, "PEER_VERSION"),
        (2, Role.NORMAL, "PEER_ROLE"),
        (2, 7, "PEER_ROLE"),
        (3, SIZE + 4096, "PEER_GEOMETRY"),
        (3, 0, "PEER_GEOMETRY"),
        (4, 1, "PEER_GEOMETRY"),
    ],
)
def test_a_bad_hello(forger: Forger, field: int, value: object, reason: str) -> None:
    forger.hello[field] = value
    problem = forger.result()
    assert isinstance(problem, LinkDown)
    assert problem.reason == reason


@pytest.mark.parametrize("cut", [1, HELLO.size - 1])
def test_a_short_hello(forger: Forger, cut: int) -> None:
    assert isinstance(forger.result(cut=cut), LinkDown)


@pytest.mark.parametrize("missing", [0x1, 0x2, 0x4, 0x10])
def test_a_buffer_that_lacks_a_seal(forger: Forger, missing: int) -> None:
    loose = memfd(SIZE, ALL_SEALS & ~missing)
    problem = forger.result([loose, forger.far_bell.fileno()])
    os.close(loose)
    assert isinstance(problem, LinkDown)
    assert "sealed" in str(problem)


@pytest.mark.parametrize("size", [SIZE - 4096, SIZE + 4096, 0])
def test_a_buffer_of_another_size(forger: Forger, size: int) -> None:
    other = memfd(size, ALL_SEALS)
    problem = forger.result([other, forger.far_bell.fileno()])
    os.close(other)
    assert isinstance(problem, LinkDown)
    assert "size" in str(problem)


def test_a_buffer_that_is_no_memfd(forger: Forger, tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_bytes(bytes(SIZE))
    with path.open("rb") as file:
        problem = forger.result([file.fileno(), forger.far_bell.fileno()])
    assert isinstance(problem, LinkDown)
    assert "memfd" in str(problem)


def test_a_bell_that_is_none(forger: Forger) -> None:
    read, write = os.pipe()
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as inet:
        datagrams = socket.socketpair(socket.AF_UNIX, socket.SOCK_DGRAM)
        for fd in (read, inet.fileno(), datagrams[0].fileno(), forger.buffer):
            again = Forger()
            assert isinstance(again.result([again.buffer, fd]), LinkDown)
            again.close()
        for sock in datagrams:
            sock.close()
    os.close(read)
    os.close(write)


@pytest.mark.parametrize("count", [0, 1, 3])
def test_too_few_or_too_many_descriptors(forger: Forger, count: int) -> None:
    fds = [forger.buffer, forger.far_bell.fileno(), forger.bell.fileno()][:count]
    problem = forger.result(fds)
    # A third one is dropped by the kernel before it reaches us.
    assert isinstance(problem, TimeoutError if count == 3 else LinkDown)


# ---- what we hand out cannot be used against us ----------------------------------------------------


def test_our_memfd_is_sealed_for_whoever_holds_it() -> None:
    buffer = _native.Buffer.sealed(SIZE)
    buffer.view[0] = 7  # we can write
    fd = buffer.fileno()
    for path in (f"/proc/self/fd/{fd}", f"/proc/{os.getpid()}/fd/{fd}"):
        reopened = os.open(path, os.O_RDWR)  # a read-only descriptor would not stop this
        with pytest.raises(OSError, match="not permitted"):
            os.write(reopened, b"x")
        with pytest.raises(OSError, match="not permitted"):
            os.pwrite(reopened, b"x", 0)
        for size in (0, SIZE - 4096, SIZE + 4096):
            with pytest.raises(OSError, match="not permitted"):
                os.ftruncate(reopened, size)
        with pytest.raises(OSError, match="not permitted"):
            mmap.mmap(reopened, SIZE, mmap.MAP_SHARED, mmap.PROT_READ | mmap.PROT_WRITE)
        with pytest.raises(OSError, match="not permitted"):
            fcntl.fcntl(reopened, fcntl.F_ADD_SEALS, fcntl.F_SEAL_WRITE)
        mapped = mmap.mmap(reopened, SIZE, mmap.MAP_SHARED, mmap.PROT_READ)
        assert mapped[0] == 7
        assert _mprotect(mapped) == -1  # nor can a mapping be made writable later
        os.close(reopened)


def _mprotect(mapped: mmap.mmap) -> int:
    """mprotect(PROT_READ | PROT_WRITE) on a mapping; -1 where it is refused."""
    with open("/proc/self/maps") as maps:
        start = next(
            int(line.split("-")[0], 16) for line in maps if "isthmus" in line and line.split()[1] == "r--s"
        )
    result: int = ctypes.CDLL(None).mprotect(ctypes.c_void_p(start), SIZE, mmap.PROT_READ | mmap.PROT_WRITE)
    return result


def test_a_peers_buffer_is_mapped_for_reading() -> None:
    ours = _native.Buffer.sealed(SIZE)
    theirs = _native.Buffer.foreign(ours.fileno(), SIZE)
    ours.view[100] = 42
    assert theirs.view[100] == 42
    assert theirs.view.readonly
    with pytest.raises(TypeError):
        theirs.view[100] = 1
    with pytest.raises(ValueError, match="descriptor"):
        theirs.fileno()


# ---- processes that die and come back ----------------------------------------------------------------

PEER = """
import sys, os, isthmus
from isthmus import ChannelConfig, Role, Tag
config = ChannelConfig(ring_normal=16384, ring_secure=16384, tag=Tag.SIPHASH)
endpoint = isthmus.{how}({address!r}, Role.{role}, config)
endpoint.wait_up({soon})
endpoint.send(b"ready".ljust(60))
while True:
    try:
        endpoint.send(endpoint.receive())
    except isthmus.PeerDead:
        endpoint.wait_up({soon})
        endpoint.send(b"ready".ljust(60))
"""


def start(how: str, address: str, role: Role) -> subprocess.Popen[bytes]:
    script = PEER.format(how=how, address=address, role=role.name, soon=SOON)
    return subprocess.Popen([sys.executable, "-c", script])


def kill(process: subprocess.Popen[bytes]) -> None:
    process.send_signal(signal.SIGKILL)
    process.wait()


def echo(endpoint: Endpoint, frames: int = 20) -> None:
    for n in range(frames):
        endpoint.send(bytes([n]) * 100, SOON)
        assert endpoint.receive(SOON) == bytes([n]) * 100


def until_dead(endpoint: Endpoint) -> None:
    with suppress(PeerDead):
        while True:
            endpoint.receive(SOON)


@pytest.mark.parametrize("role", Role)
def test_a_listener_lets_the_next_peer_in(name: str, role: Role) -> None:
    epochs = set()
    with listen(name, role, CONFIG) as endpoint:
        assert endpoint.state is LinkState.RESET
        for _ in range(3):
            peer = start("connect", name, role.peer)
            assert endpoint.receive(SOON) == b"ready".ljust(60)
            epochs.add(endpoint.epoch)
            echo(endpoint)
            kill(peer)
            until_dead(endpoint)
        assert len(epochs) == 3
        assert endpoint.statistics.sessions_ended == 3


@pytest.mark.parametrize("role", Role)
def test_a_connector_finds_the_next_listener(name: str, role: Role) -> None:
    peer = start("listen", name, role.peer)
    with connect(name, role, CONFIG, timeout=SOON) as endpoint:
        for _ in range(3):
            assert endpoint.receive(SOON) == b"ready".ljust(60)
            echo(endpoint)
            kill(peer)
            until_dead(endpoint)
            peer = start("listen", name, role.peer)
        assert endpoint.receive(SOON) == b"ready".ljust(60)
        kill(peer)


def test_a_link_comes_back_under_select(name: str) -> None:
    """The descriptor also says when somebody knocks."""
    with listen(name, Role.SECURE, CONFIG) as endpoint:
        fd, seen, end = endpoint.fileno(), 0, time.monotonic() + 3 * SOON
        peer = start("connect", name, Role.NORMAL)
        while seen < 3:
            assert time.monotonic() < end
            if not select.select([fd], [], [], SOON)[0]:
                continue
            try:
                assert endpoint.receive(0) == b"ready".ljust(60)
            except BlockingIOError:
                continue
            except PeerDead:
                peer = start("connect", name, Role.NORMAL)
                continue
            seen += 1
            kill(peer)


def test_both_halves_hear_of_a_death_and_of_the_return(name: str) -> None:
    with listen(name, Role.SECURE, CONFIG) as endpoint, ThreadPoolExecutor(1) as pool:
        peer = start("connect", name, Role.NORMAL)
        assert endpoint.receive(SOON) == b"ready".ljust(60)
        waiting = pool.submit(endpoint.receive, SOON)
        kill(peer)
        with pytest.raises(PeerDead):
            waiting.result(SOON)
        with pytest.raises(PeerDead):
            endpoint.send(bytes(60), SOON)
        peer = start("connect", name, Role.NORMAL)
        waiting = pool.submit(endpoint.receive, SOON)
        endpoint.send(b"first of the new session".ljust(60), SOON)
        assert waiting.result(SOON) == b"ready".ljust(60)
        assert endpoint.receive(SOON) == b"first of the new session".ljust(60)
        kill(peer)


def test_a_hostile_caller_at_the_door_is_turned_away(name: str, caplog: pytest.LogCaptureFixture) -> None:
    with listen(name, Role.SECURE, CONFIG) as endpoint, caplog.at_level(logging.WARNING, "isthmus"):
        for word in (b"", b"GET / HTTP/1.1\r\n\r\n", bytes(HELLO.size), bytes(1 << 16)):
            with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as caller:
                caller.connect(name)
                caller.send(word)
                with pytest.raises(TimeoutError):
                    endpoint.receive(0.1)
        assert caplog.records
        peer = start("connect", name, Role.NORMAL)
        assert endpoint.receive(SOON) == b"ready".ljust(60)
        kill(peer)


def test_another_users_process_is_turned_away(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    with listen(name, Role.SECURE, CONFIG) as endpoint:
        monkeypatch.setattr(os, "getuid", lambda: 1 << 20)
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as caller:
            caller.connect(name)
            with pytest.raises(TimeoutError):
                endpoint.receive(0.1)
            assert caller.recv(1) == b""  # not even a HELLO
        monkeypatch.undo()
        peer = start("connect", name, Role.NORMAL)
        assert endpoint.receive(SOON) == b"ready".ljust(60)
        kill(peer)


def test_the_next_peer_sees_nothing_of_what_the_last_one_got(name: str) -> None:
    with listen(name, Role.SECURE, CONFIG) as endpoint:
        assert isinstance(endpoint, isthmus.links._MeetingEndpoint)
        buffer, seen = endpoint._own.view, []
        for _ in range(2):
            peer = start("connect", name, Role.NORMAL)
            assert endpoint.receive(SOON) == b"ready".ljust(60)
            seen.append(b"canary" in bytes(buffer))
            endpoint.send(b"canary")
            assert b"canary" in bytes(buffer)
            kill(peer)
            until_dead(endpoint)
        assert seen == [False, False]


def test_a_caller_that_says_nothing_does_not_keep_the_door(name: str) -> None:
    with (
        listen(name, Role.SECURE, CONFIG) as endpoint,
        socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as caller,
    ):
        caller.connect(name)
        with pytest.raises(TimeoutError):
            endpoint.receive(0.1)
        peer = start("connect", name, Role.NORMAL)
        assert endpoint.receive(SOON) == b"ready".ljust(60)
        kill(peer)


def test_a_connector_says_what_does_not_fit(name: str) -> None:
    stop = threading.Event()

    def serve(endpoint: Endpoint) -> None:
        while not stop.is_set():
            try:
                endpoint.receive(0.02)
            except (TimeoutError, LinkDown):
                continue
            except ClosedError:
                return

    with listen(name, Role.SECURE, CONFIG) as endpoint, ThreadPoolExecutor(1) as pool:
        serving = pool.submit(serve, endpoint)
        try:
            with pytest.raises(LinkDown) as caught:
                connect(name, Role.NORMAL, ChannelConfig(), timeout=SOON)
            assert caught.value.reason == "PEER_GEOMETRY"
            with pytest.raises(LinkDown) as caught:
                connect(name, Role.SECURE, CONFIG, timeout=SOON)
            assert caught.value.reason == "PEER_ROLE"
        finally:
            stop.set()
            serving.result(SOON)


# ---- the meeting point ---------------------------------------------------------------------------------


def test_a_path_is_private_and_removed(tmp_path: Path) -> None:
    path = tmp_path / "door"
    with listen(path, Role.SECURE, CONFIG):
        assert path.stat().st_mode & 0o777 == 0o600
        with pytest.raises(OSError, match="in use"):
            listen(path, Role.SECURE, CONFIG)
        pid = os.fork()
        if pid == 0:
            os._exit(0)
        os.waitpid(pid, 0)
        assert path.exists()  # a child's end is not the end
    assert not path.exists()


def test_a_path_left_behind_is_taken_over(tmp_path: Path) -> None:
    path = tmp_path / "door"
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as dead:
        dead.bind(str(path))
    with listen(path, Role.SECURE, CONFIG):
        assert path.exists()
    path.write_text("no socket")
    with pytest.raises(OSError, match="in use"):
        listen(path, Role.SECURE, CONFIG)
    assert path.read_text() == "no socket"


def test_nobody_listens(tmp_path: Path) -> None:
    with pytest.raises(TimeoutError):
        connect(tmp_path / "nobody", Role.NORMAL, CONFIG, timeout=0.05)
