# SPDX-License-Identifier: MIT
"""The case runner for the Python interface: `ends.py CASE key=value...`. A program of its own, never
imported.

It takes the settings of the C runner and prints the same line of JSON (without a ping-pong). Two processes,
pinned; the one that leads sends a set of frames, all different, over and over, and the other compares each
with the one that must come next: a frame lost, repeated, reordered or damaged ends the run.
"""

from __future__ import annotations

import ctypes
import itertools
import json
import os
import resource
import signal
import sys
import time
from array import array
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, NoReturn

from isthmus.bench.ports import Broken, Make, Missing, Port, ends

PR_SET_PDEATHSIG = 1
SET = 1024  # frames that are all different; one turn of the flood
LONGEST = 2048  # no frame is longer; with so much room behind a batch no length is asked for before its copy
TURN = 64  # round trips between two looks at the wall clock
GO_ON, WARM, LAST = (bytes([n]) * 60 for n in (1, 2, 3))  # between two turns: how it goes on


@dataclass(slots=True)
class Meter:
    """Wall and processor time, and context switches, of one end during one phase."""

    wall: int = 0
    cpu: int = 0
    involuntary: int = 0
    voluntary: int = 0

    def read(self) -> dict[str, float]:
        """Since the last call."""
        usage = resource.getrusage(resource.RUSAGE_SELF)
        now = (time.monotonic_ns(), time.process_time_ns(), usage.ru_nivcsw, usage.ru_nvcsw)
        wall, cpu, involuntary, voluntary = (a - b for a, b in zip(now, self.values(), strict=True))
        self.wall, self.cpu, self.involuntary, self.voluntary = now
        return {"wall_s": wall / 1e9, "cpu_s": cpu / 1e9, "involuntary": involuntary, "voluntary": voluntary}

    def values(self) -> tuple[int, int, int, int]:
        return self.wall, self.cpu, self.involuntary, self.voluntary


def sender(port: Port, frames: list[bytes], batch: int) -> Callable[[], None]:
    """What sends the whole set once."""
    send, send_batch = port.send, port.send_batch
    if batch == 1 or send_batch is None:

        def one_by_one() -> None:
            for frame in frames:
                send(frame)

        return one_by_one
    batches = [frames[i : i + batch] for i in range(0, len(frames), batch)]

    def in_batches() -> None:
        for some in batches:
            send_batch(some)

    return in_batches


def receiver(port: Port, batch: int) -> tuple[Callable[[list[bytes]], None], Callable[[], bytes]]:
    """What receives and compares the whole set once, and what receives the word behind it."""
    receive, receive_batch = port.receive, port.receive_batch
    if batch == 1 or receive_batch is None:

        def one_by_one(frames: list[bytes]) -> None:
            for frame in frames:
                if receive() != frame:
                    raise Broken(f"another frame than number {frames.index(frame)} arrived")

        return one_by_one, receive
    arriving: Iterator[bytes] = itertools.chain.from_iterable(iter(receive_batch, None))

    def in_batches(frames: list[bytes]) -> None:
        for frame, got in zip(frames, arriving):  # noqa: B905 - the second never ends
            if got != frame:
                raise Broken(f"another frame than number {frames.index(frame)} arrived")

    return in_batches, lambda: next(arriving)


def buffer_sender(port: Port, frames: list[bytes], batch: int) -> Callable[[], None]:
    """What sends the whole set once, out of buffers of `batch` frames."""
    send, size = port.send_batch_from, len(frames[0])
    assert send is not None
    buffers = [b"".join(frames[i : i + batch]) for i in range(0, len(frames), batch)]
    lengths = array("I", [size] * batch)

    def out_of_buffers() -> None:
        for some in buffers:
            send(some, lengths)

    return out_of_buffers


def buffer_receiver(
    port: Port, frames: list[bytes], batch: int
) -> tuple[Callable[[list[bytes]], None], Callable[[], bytes]]:
    """The counterpart of receiver(): frames and lengths are compared a batch at a time."""
    receive, size = port.receive_batch_into, len(frames[0])
    assert receive is not None
    expected, sizes = b"".join(frames), array("I", [size] * batch).tobytes()
    buffer, lengths = bytearray(size * batch + LONGEST), array("I", [0] * batch)
    got, places, place_bytes = memoryview(buffer), memoryview(lengths), memoryview(lengths).cast("B")

    def into_a_buffer(frames: list[bytes]) -> None:
        done, left = 0, len(frames)
        while left:
            n = receive(buffer, places if left >= batch else places[:left])
            if not (sizes.startswith(place_bytes[: 4 * n]) and expected.startswith(got[: n * size], done)):
                raise Broken(f"other frames than those from number {done // size} on arrived")
            done += n * size
            left -= n

    return into_a_buffer, port.receive


def frames_of(size: int) -> list[bytes]:
    return [(number.to_bytes(8, "little") * -(-size // 8))[:size] for number in range(1, SET + 1)]


def phases(warm_us: int, measured_us: int) -> Iterator[tuple[bool, Callable[[], bytes]]]:
    """(measured?, what to tell the other end now) for each part of a phase."""
    for measured, duration, mark in ((False, warm_us, WARM), (True, measured_us, LAST)):
        until = time.monotonic_ns() + duration * 1000

        def signal_now(until: int = until, mark: bytes = mark) -> bytes:
            return mark if time.monotonic_ns() >= until else GO_ON

        yield measured, signal_now


def rtt_lead(port: Port, frames: list[bytes], warm_us: int, rtt_us: int) -> dict[str, Any]:
    samples: list[int] = []
    meter, clock, send, receive = Meter(), time.perf_counter_ns, port.send, port.receive
    for measured, told in phases(warm_us, rtt_us):
        meter.read()
        word = GO_ON
        while word == GO_ON:
            before = clock()
            for frame in frames[:TURN]:
                send(frame)
                if receive() != frame:
                    raise Broken("another frame came back")
                after = clock()
                if measured:
                    samples.append(after - before)
                before = after
            word = told()
            send(word)
            receive()
    samples.sort()
    part = {
        name: samples[int((len(samples) - 1) * p)] / 1000.0
        for name, p in (("rtt_p50", 0.5), ("rtt_p99", 0.99), ("rtt_p999", 0.999))
    }
    return {**part, "samples": len(samples), "rtt_meter": meter.read()}


def rtt_follow(port: Port) -> dict[str, Any]:
    meter, send, receive = Meter(), port.send, port.receive
    while True:
        got = receive()
        send(got)
        if got == WARM:
            meter.read()
        elif got == LAST:
            return {"rtt_meter": meter.read()}


def flood_lead(
    port: Port, frames: list[bytes], batch: int, buffers: bool, warm_us: int, flood_us: int
) -> dict[str, Any]:
    meter = Meter()
    send_all = (buffer_sender if buffers else sender)(port, frames, batch)
    for _, told in phases(warm_us, flood_us):
        meter.read()
        word = GO_ON
        while word == GO_ON:
            send_all()
            word = told()
            port.send(word)
    return {"flood_meter": meter.read()}


def flood_follow(port: Port, frames: list[bytes], batch: int, buffers: bool) -> dict[str, Any]:
    meter, count, word = Meter(), 0, GO_ON
    receive_all, receive_word = buffer_receiver(port, frames, batch) if buffers else receiver(port, batch)
    while word != LAST:
        receive_all(frames)
        count += SET
        word = receive_word()
        if word == WARM:
            meter.read()
            count = 0
    spent = meter.read()
    size = len(frames[0])
    return {
        "frames": count / spent["wall_s"],
        "bits": count * size * 8 / spent["wall_s"],
        "received": count,
        "flood_meter": spent,
    }


def play(end: int, port: Port, settings: dict[str, int]) -> dict[str, Any]:
    frames, batch, buffers = frames_of(settings["frame"]), settings["batch"], bool(settings["buffers"])
    result: dict[str, Any] = {}
    if end == 0:
        result |= rtt_lead(port, frames, settings["warm_us"], settings["rtt_us"])
        return result | flood_lead(port, frames, batch, buffers, settings["rewarm_us"], settings["flood_us"])
    result |= rtt_follow(port)
    return result | flood_follow(port, frames, batch, buffers)


def die_with(parent: int) -> None:
    ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
    if os.getppid() != parent:
        os._exit(3)


def child(end: int, parent: int, make: Make, settings: dict[str, int], out: int) -> NoReturn:
    status = 3
    try:
        die_with(parent)
        os.sched_setaffinity(0, {settings[f"cpu{end}"]})
        port = make(end, settings)
        result = play(end, port, settings)
        port.finish()
        os.write(out, json.dumps(result).encode())
        status = 0
    except Exception as error:
        os.write(out, json.dumps({"error": f"{type(error).__name__}: {error}"}).encode())
    finally:
        os._exit(status)


def run(name: str, settings: dict[str, int]) -> dict[str, Any]:
    """Both ends as children; this process sleeps. Raises Broken with the first error."""
    with ends(name) as make:
        outlets, pids, parent = [], [], os.getpid()
        for end in (0, 1):
            read, write = os.pipe()
            pid = os.fork()
            if pid == 0:
                child(end, parent, make, settings, write)
            os.close(write)
            outlets.append(read)
            pids.append(pid)
        left = set(pids)
        while left:
            pid, status = os.wait()
            left.discard(pid)
            if status:
                for other in left:
                    os.kill(other, signal.SIGKILL)
    results = []
    for outlet in outlets:
        with open(outlet, "rb") as file:
            results.append(json.loads(file.read() or b"null"))
    errors = [r["error"] for r in results if r and "error" in r]
    if errors or None in results:
        raise Broken(errors[0] if errors else "an end died")
    lead, follow = results
    cpu = lead["flood_meter"]["cpu_s"] + follow["flood_meter"]["cpu_s"]
    return {
        "case": name,
        **{k: v for k, v in lead.items() if not k.endswith("meter")},
        "rtt_meter": [lead["rtt_meter"], follow["rtt_meter"]],
        "frames": follow["frames"],
        "bits": follow["bits"],
        "cpu": cpu / follow["received"] * 1e6,
        "flood_meter": [lead["flood_meter"], follow["flood_meter"]],
    }


def main(argv: list[str]) -> int:
    die_with(os.getppid())
    settings = {key: int(value) for key, value in (a.split("=", 1) for a in argv[2:])}
    try:
        sys.stdout.write(json.dumps(run(argv[1], settings)) + "\n")
    except (Broken, Missing) as error:
        sys.stderr.write(f"{argv[1]} from Python: {error}\n")
        return 2 if isinstance(error, Missing) else 3
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv))
