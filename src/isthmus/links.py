# SPDX-License-Identifier: MIT
"""How two endpoints come to share a channel: the links.

    memory_link()       both ends in one process
    join()              two processes over a connected unix socket that both hold
    listen(), connect() two processes over a path; the link comes back by itself after a restart of either one

Between processes each side makes a memfd of its own, seals it, and hands it over the unix socket with one
HELLO. The Secure side's also carries what a monitor would issue: the epoch and the key of the tag, fresh
from the kernel's random numbers, and one end of a new doorbell. Each side checks the other's HELLO, then the
descriptor's size and seals, and only then maps it, for reading. The rest is the handshake in the buffers.
"""

from __future__ import annotations

import errno
import logging
import os
import secrets
import select
import socket
import stat
import struct
import time
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from isthmus import _native
from isthmus.config import ChannelConfig, Role
from isthmus.endpoint import Endpoint
from isthmus.errors import LinkDown

__all__ = ["connect", "join", "listen", "memory_link"]

log = logging.getLogger("isthmus")

SPIN = 50e-6  # seconds: a wake-up costs about as much

# HELLO: magic, version, role, size of the buffer, digest of the geometry, epoch, key. Host order: one machine
_HELLO = struct.Struct("=4sHHQQQ16s")
_MAGIC = b"ISTH"
_PATIENCE = 1.0  # seconds that a peer may take for its HELLO


# ---- one process -------------------------------------------------------------------------------------------


def memory_link(
    config: ChannelConfig | None = None, secure: ChannelConfig | None = None, *, spin: float = SPIN
) -> tuple[Endpoint, Endpoint]:
    """Both ends of a new channel in this process: (normal, secure), already in RUN.

    `secure` gives the Secure end a configuration of its own: where the two do not fit, both ends stay in INIT
    and say why. `spin` is how many seconds a call spins before it sleeps.
    """
    configs = (config or ChannelConfig(), secure or config or ChannelConfig())
    buffers = [_native.Buffer.private(max(c.buffer_size(role) for c in configs)) for role in Role]
    bells = _native.bell()
    normal, secure_end = (
        Endpoint(configs[role], role, buffers[role], buffers[role.peer], bells[role], spin) for role in Role
    )
    begin_epoch(normal, secure_end)
    return normal, secure_end


def begin_epoch(normal: Endpoint, secure: Endpoint) -> None:
    """Issues a fresh epoch and key to both ends of a memory link, and takes them through the handshake."""
    epoch, key = _issue()
    for endpoint in (normal, secure):
        endpoint.begin(epoch, key)
    for _ in range(3):  # INIT, READY, RUN
        for endpoint in (normal, secure):
            endpoint.poll()


def _issue() -> tuple[int, bytes]:
    """A monitor's part: a fresh epoch, never 0, and a key."""
    return secrets.randbits(64) or 1, secrets.token_bytes(16)


# ---- the exchange between two processes --------------------------------------------------------------------


@dataclass(slots=True)
class _Peer:
    """What came out of an exchange."""

    buffer: _native.Buffer
    bell: int
    epoch: int
    key: bytes


class _Exchange:
    """Our half of the HELLOs over one connected unix socket. Never blocks."""

    def __init__(
        self,
        sock: socket.socket,
        config: ChannelConfig,
        role: Role,
        own: _native.Buffer,
        patience: float = float("inf"),
    ) -> None:
        self.sock = sock
        self.config = config
        self.role = role
        self.expires = time.monotonic() + patience
        self.bell = -1
        self.epoch, self.key = 0, bytes(16)
        sock.setblocking(False)
        theirs = -1
        if role is Role.SECURE:
            self.epoch, self.key = _issue()
            self.bell, theirs = _native.bell()
        hello = _HELLO.pack(_MAGIC, _native.VERSION, role, own.size, config.digest(), self.epoch, self.key)
        try:
            socket.send_fds(sock, [hello], [own.fileno()] + [theirs] * (theirs >= 0))
        except OSError as error:
            self.close()
            raise LinkDown(f"peer is gone: {error.strerror}") from error
        finally:
            if theirs >= 0:
                os.close(theirs)

    def fileno(self) -> int:
        return self.sock.fileno()

    def step(self) -> _Peer | None:
        """The peer, or None while its HELLO has not come. LinkDown names what is wrong with it."""
        try:
            hello, fds, _, _ = socket.recv_fds(self.sock, _HELLO.size, 2, socket.MSG_CMSG_CLOEXEC)
        except BlockingIOError:
            if time.monotonic() > self.expires:
                raise LinkDown("peer sent no HELLO in time") from None
            return None
        except OSError as error:
            raise LinkDown(f"peer is gone: {error.strerror}") from error
        try:
            return self._judge(hello, fds)
        finally:
            for fd in fds:
                os.close(fd)

    def _judge(self, hello: bytes, fds: list[int]) -> _Peer:
        if not hello:
            raise LinkDown("peer hung up before its HELLO")
        if len(hello) != _HELLO.size:
            raise LinkDown("peer's HELLO is not one")
        magic, version, role, size, digest, epoch, key = _HELLO.unpack(hello)
        expected = self.config.buffer_size(self.role.peer)
        if magic != _MAGIC:
            raise LinkDown("peer's HELLO is not one", "PEER_MAGIC")
        if version != _native.VERSION:
            raise LinkDown(f"peer speaks version {version}, we speak {_native.VERSION}", "PEER_VERSION")
        if role != self.role.peer:
            raise LinkDown("peer has the same role", "PEER_ROLE")
        if digest != self.config.digest() or size != expected:
            raise LinkDown("peer has another geometry", "PEER_GEOMETRY")
        if len(fds) != (1 if self.role is Role.SECURE else 2):
            raise LinkDown("peer handed over too few or too many descriptors")
        try:
            buffer = _native.Buffer.foreign(fds[0], expected)
        except OSError as error:
            raise LinkDown(error.strerror or str(error)) from error
        if self.role is Role.SECURE:
            bell, self.bell = self.bell, -1
            return _Peer(buffer, bell, self.epoch, self.key)
        _check_bell(fds[1])
        return _Peer(buffer, os.dup(fds[1]), epoch, key)

    def close(self) -> None:
        self.sock.close()
        if self.bell >= 0:
            os.close(self.bell)
            self.bell = -1


def _check_bell(fd: int) -> None:
    """A bell from outside must be a unix stream: anything else may block or ring by itself."""
    if stat.S_ISSOCK(os.fstat(fd).st_mode):
        with socket.socket(fileno=os.dup(fd)) as bell:
            if bell.family == socket.AF_UNIX and bell.type == socket.SOCK_STREAM:
                bell.setblocking(False)
                return
    raise LinkDown("peer's bell is not a unix stream socket")


def _own_buffer(config: ChannelConfig, role: Role) -> _native.Buffer:
    return _native.Buffer.sealed(config.buffer_size(role))


def join(
    sock: socket.socket,
    role: Role,
    config: ChannelConfig | None = None,
    *,
    timeout: float | None = 10.0,
    spin: float = SPIN,
) -> Endpoint:
    """Our end of a channel with the process behind a connected unix stream socket, once it is in RUN.

    The socket is used for one exchange and closed. Raises LinkDown where the peer does not fit, TimeoutError
    after `timeout` seconds.
    """
    config = config or ChannelConfig()
    own = _own_buffer(config, role)
    deadline = None if timeout is None else time.monotonic() + timeout
    exchange = _Exchange(sock, config, role, own)
    try:
        peer = _wait_for(exchange, deadline)
    finally:
        exchange.close()
    endpoint = Endpoint(config, role, own, peer.buffer, peer.bell, spin)
    endpoint.begin(peer.epoch, peer.key)
    _up(endpoint, deadline)
    return endpoint


def _wait_for(exchange: _Exchange, deadline: float | None) -> _Peer:
    while (peer := exchange.step()) is None:
        left = None if deadline is None else deadline - time.monotonic()
        if left is not None and left <= 0:
            raise TimeoutError("no HELLO from the peer in time")
        select.select([exchange], [], [], left)
    return peer


def _up(endpoint: Endpoint, deadline: float | None) -> None:
    """Waits until the link is in RUN; closes the endpoint where that fails."""
    try:
        endpoint.wait_up(None if deadline is None else max(0.0, deadline - time.monotonic()))
    except BaseException:
        endpoint.close()
        raise


# ---- a meeting point ---------------------------------------------------------------------------------------


class _MeetingEndpoint(Endpoint):
    """An endpoint that finds a new peer at a meeting point whenever it has none.

    Its calls ask _renew() about a hundred times a second while there is no peer, and when somebody knocks.
    """

    __slots__ = ("_address", "_door", "_exchange", "_own", "_owner")

    _address: str
    _door: socket.socket | None  # we listen; else we connect
    _exchange: _Exchange | None
    _own: _native.Buffer
    _owner: int

    @classmethod
    def make(
        cls, address: str, door: socket.socket | None, role: Role, config: ChannelConfig, spin: float
    ) -> _MeetingEndpoint:
        own = _own_buffer(config, role)
        blank = _native.Buffer.private(config.buffer_size(role.peer))
        bell, nobody = _native.bell()
        os.close(nobody)  # a bell that nobody holds: from the first look on there is no peer
        self = cls(config, role, own, blank, bell, spin)
        self._address, self._door, self._exchange = address, door, None
        self._own, self._owner = own, os.getpid()
        self._watch(door.fileno() if door else -1)
        return self

    def _renew(self) -> None:
        try:
            self._exchange = self._exchange or self._meet()
            peer = self._exchange.step() if self._exchange else None
        except LinkDown as refusal:
            self._drop()
            log.warning("%r turned a peer away: %s", self, refusal)
            if self._door is None and refusal.reason:
                refusal.endpoint = self
                raise  # the one we looked for; whoever knocks at our door is not our caller's trouble
            return
        if peer is None:
            if self._exchange:
                self._watch(self._exchange.fileno())
            return
        self._drop()
        try:
            self.attach(peer.buffer, peer.bell)
        except BaseException:
            os.close(peer.bell)
            raise
        self.begin(peer.epoch, peer.key)
        log.info("%r has a peer, epoch %016x", self, peer.epoch)

    def _meet(self) -> _Exchange | None:
        """A connected socket's exchange, if there is somebody."""
        try:
            sock = self._door.accept()[0] if self._door else _connected(self._address)
        except (BlockingIOError, FileNotFoundError, ConnectionError):
            return None
        _check_user(sock)
        self._own.view[:] = bytes(self._own.size)  # what went to the last peer is not for the next one
        patience = _PATIENCE if self._door else float("inf")
        return _Exchange(sock, self.config, Role(self.role), self._own, patience)

    def _drop(self) -> None:
        if self._exchange:
            self._exchange.close()
            self._exchange = None
        if not self.closed:
            self._watch(self._door.fileno() if self._door else -1)

    def close(self) -> None:
        super().close()
        self._drop()
        if self._door:
            self._door.close()
            if os.getpid() == self._owner and not self._address.startswith("\0"):
                with suppress(FileNotFoundError):
                    os.unlink(self._address)
            self._door = None


def _connected(address: str) -> socket.socket:
    sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        sock.setblocking(False)
        sock.connect(address)
    except BaseException:
        sock.close()
        raise
    return sock


def _check_user(sock: socket.socket) -> None:
    """The key goes to nobody else: an abstract name has no permissions of its own."""
    _, user, _ = struct.unpack("3i", sock.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, 12))
    if user != os.getuid():
        sock.close()
        raise LinkDown(f"peer belongs to user {user}")


def listen(
    address: str | Path, role: Role, config: ChannelConfig | None = None, *, spin: float = SPIN
) -> Endpoint:
    """An endpoint that waits for its peer at `address`: a path, or an abstract name (from a zero byte on).

    Returns at once; calls wait for a peer as they wait for frames, `wait_up()` for nothing else. After a peer
    died (PeerDead, once) the next one is let in, into a new epoch. Only processes of the same user are.
    """
    address = str(address)
    config = config or ChannelConfig()
    door = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        _bind(door, address)
        door.setblocking(False)
        door.listen(1)
        return _MeetingEndpoint.make(address, door, role, config, spin)
    except BaseException:
        door.close()
        raise


def _bind(door: socket.socket, address: str) -> None:
    try:
        door.bind(address)
    except OSError as error:
        if error.errno != errno.EADDRINUSE or address.startswith("\0") or _in_use(address):
            raise
        os.unlink(address)  # left behind by a process that was killed
        door.bind(address)
    if not address.startswith("\0"):
        os.chmod(address, 0o600)  # nobody can connect before listen()


def _in_use(address: str) -> bool:
    """Whether something that is not a dead socket lies at a path."""
    if not stat.S_ISSOCK(os.stat(address).st_mode):
        return True
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe:
        probe.setblocking(False)
        try:
            probe.connect(address)
        except ConnectionRefusedError:
            return False
        except OSError:
            pass
    return True


def connect(
    address: str | Path,
    role: Role,
    config: ChannelConfig | None = None,
    *,
    timeout: float | None = 10.0,
    spin: float = SPIN,
) -> Endpoint:
    """An endpoint whose peer listens at `address`, once the link is in RUN; it may start after us.

    Raises LinkDown where the peer does not fit, TimeoutError after `timeout` seconds. After the peer died
    (PeerDead, once) calls look for it again.
    """
    deadline = None if timeout is None else time.monotonic() + timeout
    endpoint = _MeetingEndpoint.make(str(address), None, role, config or ChannelConfig(), spin)
    _up(endpoint, deadline)
    return endpoint
