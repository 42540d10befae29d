# SPDX-License-Identifier: MIT
"""One interface to every kind of channel end, so that one test can drive them all.

    Local    a native endpoint in this process
    Remote   a native endpoint in a process of its own, over sealed memfds
    Oracle   the model

Nothing here waits: each operation has an immediate outcome, which all kinds must agree on.
"""

from __future__ import annotations

import array
import pickle
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from isthmus import ChannelConfig, Endpoint, LinkDown, LinkState, Role, join
from isthmus.model import Model

#: Counters that depend on how often somebody looked, not on what passed.
UNSTEADY = {"FULL", "DOWN", "EMPTY"}


class Local:
    """A native endpoint."""

    def __init__(self, endpoint: Endpoint) -> None:
        self.endpoint = endpoint

    def send(self, frame: bytes) -> str:
        try:
            self.endpoint.send(frame, 0)
        except BlockingIOError:
            return "FULL"
        except ValueError:
            return "TOO_LONG"
        return "OK"

    def send_batch(self, frames: list[bytes]) -> int:
        try:
            return self.endpoint.send_batch(frames, 0)
        except BlockingIOError:
            return 0

    def write_in_place(self, frame: bytes, spare: int, commit: bool) -> str:
        """Reserves `spare` bytes more than the frame needs."""
        try:
            reservation = self.endpoint.reserve(len(frame) + spare, 0)
        except BlockingIOError:
            return "FULL"
        except ValueError:
            return "TOO_LONG"
        reservation.view[: len(frame)] = frame
        reservation.length = len(frame)
        if commit:
            reservation.commit()
        else:
            reservation.cancel()
        return "OK"

    def receive(self) -> bytes | None:
        """None where nothing is there. LinkDown passes."""
        try:
            return self.endpoint.receive(0)
        except BlockingIOError:
            return None

    def receive_into(self, room: int) -> bytes | int | None:
        """The frame; -1 where it does not fit."""
        buffer = bytearray(room)
        try:
            return bytes(buffer[: self.endpoint.receive_into(buffer, 0)])
        except BlockingIOError:
            return None
        except ValueError:
            return -1

    def receive_batch(self, limit: int) -> list[bytes]:
        try:
            return self.endpoint.receive_batch(limit, 0)
        except BlockingIOError:
            return []

    def receive_batch_into(self, room: int, limit: int) -> list[bytes] | int:
        buffer, lengths = bytearray(room), array.array("I", [0] * limit)
        try:
            count = self.endpoint.receive_batch_into(buffer, lengths, 0)
        except BlockingIOError:
            return []
        except ValueError:
            return -1
        starts = [sum(lengths[:i]) for i in range(count)]
        return [bytes(buffer[start : start + lengths[i]]) for i, start in enumerate(starts)]

    def begin(self, epoch: int, key: bytes) -> None:
        self.endpoint.begin(epoch, key)

    def end(self) -> None:
        self.endpoint.end()

    def poll(self) -> int:
        return self.endpoint.poll()

    def settle(self) -> bool:
        """Takes notice of the end of a session, if there was one."""
        try:
            self.endpoint.receive(0)
        except BlockingIOError:
            return False
        except LinkDown:
            return True
        raise AssertionError("a frame came where none was to be")

    def state(self) -> int:
        return self.endpoint.link_state

    def counts(self) -> dict[str, int]:
        statistics = self.endpoint.statistics
        verdicts = {name: n for name, n in statistics.verdicts.items() if n and name not in UNSTEADY}
        return verdicts | {
            "sent": statistics.sent,
            "sent_bytes": statistics.sent_bytes,
            "received_bytes": statistics.received_bytes,
            "lost": statistics.lost,
        }

    def close(self) -> None:
        self.endpoint.close()


class Oracle:
    """The model behind the same interface."""

    def __init__(self, model: Model) -> None:
        self.model = model

    def send(self, frame: bytes, *, publish: bool = True) -> str:
        verdict = self.model.send(frame, publish=publish)
        if verdict == "TOO_LONG":
            self.model.counts["TOO_LONG"] += 1
        return verdict

    def send_batch(self, frames: list[bytes]) -> int:
        sent = 0
        for sent, frame in enumerate(frames):  # noqa: B007
            if self.send(frame, publish=False) != "OK":
                break
        else:
            sent = len(frames)
        self.model.publish()
        return sent

    def write_in_place(self, frame: bytes, spare: int, commit: bool) -> str:
        """Room is judged by what is reserved, the record by what is sent."""
        model = self.model
        if len(frame) + spare > model.config.frame_max:
            model.counts["TOO_LONG"] += 1
            return "TOO_LONG"
        if not model.has_room(len(frame) + spare):
            return "FULL"
        model.cancel(len(frame) + spare)
        return self.send(frame) if commit else "OK"

    def peek(self) -> int | None:
        """Length of the next good-looking frame; None where nothing is there."""
        while True:
            verdict, length = self.model.peek()
            if verdict == "OK":
                return length
            if verdict in ("EMPTY", "DOWN", "BUDGET") or self.model.state is not LinkState.RUN:
                return None

    def receive(self) -> bytes | None:
        while self.peek() is not None:
            verdict, frame = self.model.take()
            if verdict == "OK":
                return frame
        return None

    def receive_into(self, room: int) -> bytes | int | None:
        while (length := self.peek()) is not None:
            if length > room:
                return -1
            verdict, frame = self.model.take()
            if verdict == "OK":
                return frame
        return None

    def receive_batch(self, limit: int) -> list[bytes]:
        frames: list[bytes] = []
        while len(frames) < limit and (frame := self.receive()) is not None:
            frames.append(frame)
        return frames

    def receive_batch_into(self, room: int, limit: int) -> list[bytes] | int:
        frames: list[bytes] = []
        while len(frames) < limit:
            frame = self.receive_into(room)
            if frame == -1 and not frames:
                return -1
            if not isinstance(frame, bytes):
                break
            frames.append(frame)
            room -= len(frame)
        return frames

    def begin(self, epoch: int, key: bytes) -> None:
        self.model.begin(epoch, key)

    def end(self) -> None:
        self.model.end()

    def poll(self) -> int:
        return self.model.poll()

    def settle(self) -> bool:
        before = self.model.state
        self.model.poll()
        return before is not self.model.state

    def state(self) -> int:
        return self.model.state

    def counts(self) -> dict[str, int]:
        model = self.model
        verdicts = {name: n for name, n in model.counts.items() if n and name not in UNSTEADY}
        return verdicts | {
            "sent": model.sent,
            "sent_bytes": model.sent_bytes,
            "received_bytes": model.received_bytes,
            "lost": model.lost,
        }

    def close(self) -> None:
        """There is nothing to give back."""


class Far:
    """A process that holds native endpoints, one at a time, and does as it is told."""

    def __init__(self) -> None:
        self.control, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        with theirs:
            command = [sys.executable, str(Path(__file__)), str(theirs.fileno())]
            self.process = subprocess.Popen(command, pass_fds=[theirs.fileno()])

    def join(self, config: ChannelConfig, role: Role) -> tuple[Local, Remote]:
        """(near, far) ends of a new channel."""
        near, far = socket.socketpair()
        with near, far:
            request = pickle.dumps(("join", (config, role.peer)))
            socket.send_fds(self.control, [request], [far.fileno()])
            far.close()
            endpoint = join(near, role, config)
        self.answer()
        return Local(endpoint), Remote(self)

    def call(self, name: str, *args: object) -> Any:
        self.control.sendall(pickle.dumps((name, args)))
        return self.answer()

    def answer(self) -> Any:
        reply = self.control.recv(1 << 20)
        if not reply:
            raise AssertionError("the far process is gone")
        failed, value = pickle.loads(reply)
        if failed:
            raise value
        return value

    def close(self) -> None:
        self.control.close()
        self.process.wait(10)


class Remote:
    """An endpoint in the far process: the methods of Local, called there."""

    def __init__(self, far: Far) -> None:
        self.far = far

    def __getattr__(self, name: str) -> Callable[..., Any]:
        return lambda *args: self.far.call(name, *args)


def requests(control: socket.socket) -> Iterator[tuple[str, tuple[Any, ...], list[int]]]:
    while True:
        packet, fds, _, _ = socket.recv_fds(control, 1 << 20, 1)
        if not packet:
            return
        name, args = pickle.loads(packet)
        yield name, args, fds


def serve(control: socket.socket) -> None:
    """The far process."""
    local: Local | None = None
    for name, args, fds in requests(control):
        try:
            if name == "join":
                config, role = args
                with socket.socket(fileno=fds[0]) as sock:
                    local = Local(join(sock, role, config))
                value = None
            else:
                value = getattr(local, name)(*args)
            reply = (False, value)
        except Exception as error:
            reply = (True, error)
        control.sendall(pickle.dumps(reply))
    if local:
        local.close()


if __name__ == "__main__":
    with socket.socket(fileno=int(sys.argv[1])) as given:
        serve(given)
