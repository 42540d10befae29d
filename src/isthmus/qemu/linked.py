# SPDX-License-Identifier: MIT
"""A TrustZone machine whose link is up: driver loaded, interface configured, programs to send traffic with.

with LinkedMachine() as machine:
    machine.status("secure")["critical"]            # by the Secure world's console, not over the link
    machine.ask("ping", "10.77.0.2", 200, 1000, limit=10.0)
"""

from __future__ import annotations

import contextlib
import itertools
import socket
import threading
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, Literal, Self

import msgspec

from isthmus.build.firmware import firmware
from isthmus.build.guest import driver, initramfs, match
from isthmus.build.packages import debian_kernel
from isthmus.build.payload import payload
from isthmus.build.python import INTERPRETER, guest_python
from isthmus.errors import ClosedError, EnvironmentProblem, LinkDown
from isthmus.qemu.agent import Done
from isthmus.qemu.machine import QemuMachine
from isthmus.trustzone.board import TrustZone

__all__ = ["GuestProgram", "LinkedMachine", "ProgramFailed"]

World = Literal["normal", "secure"]

_HERE = Path(__file__).parent
PROGRAMS = (_HERE.parent / "check" / "programs", _HERE / "programs")
SLOWER = 8  # than this machine: an emulated one, while this one has other work
_STATES = ("RESET", "INIT", "READY", "RUN", "DEAD")
# Without an address of the board, what Linux would say in IPv6 is nothing but noise in every count of frames.
_UP = """
    if [ ! -e /sys/class/net/{name} ]; then
        echo "isthmus.ko made no such interface: $(dmesg | grep isthmus | tail -n 1)" >&2
        exit 1
    fi
    echo {ipv4_alone} >/proc/sys/net/ipv6/conf/{name}/disable_ipv6
    echo 0 >/proc/sys/net/ipv6/conf/{name}/accept_dad
    for address in {addresses}; do ip addr add $address dev {name} 2>/dev/null; done
    ip link set {name} up || exit 1
    for i in $(seq 300); do
        [ "$(cat /sys/class/net/{name}/carrier)" = 1 ] && exit 0
        usleep 10000
    done
    echo "no carrier within 3 s of the guest's time" >&2
    exit 1"""


class ProgramFailed(Exception):
    """A program in the guest gave no answer; the message is why, in one line."""


class LinkedMachine(QemuMachine):
    """Linux with driver and Python in it; after start() frames pass."""

    interface_kind = "driver"

    def __init__(
        self,
        board: TrustZone | None = None,
        *,
        files: Mapping[str, Path] | None = None,
        counted: bool = False,
        more: Sequence[str] = (),
        ports: Mapping[str, socket.socket] | None = None,
        payload: Path | None = None,
    ) -> None:
        super().__init__(board, counted=counted, more=more, ports=ports, payload=payload)
        self._own_files = dict(files or {})
        self._numbers = itertools.count(1)

    def build(self) -> dict[str, Path]:
        """Builds what start() needs, where the cache lacks it; what it was. EnvironmentProblem, one line."""
        self.emulator()
        kernel = debian_kernel()
        self._modules = [driver(kernel)]
        match(kernel, self._modules)
        programs = {f"programs/{p.name}": p for folder in PROGRAMS for p in sorted(folder.glob("*.py"))}
        self._files = {**guest_python(), **programs, **self._own_files}
        return {
            "firmware": firmware(self.board, self._payload),
            "payload": self._payload or payload(self.board),
            "kernel": kernel.image,
            "module": self._modules[0],
            "initramfs": initramfs(kernel, self._modules, self._files),
        }

    def start(self, timeout: float = 60.0) -> None:
        self.build()
        super().start(timeout)
        try:
            self.configure(timeout)
        except BaseException:
            self.close()
            raise

    def configure(self, timeout: float = 60.0) -> None:
        """Gives the interface its address and waits until the link is up. EnvironmentProblem: it is not."""
        normal = self.board.normal
        up = _UP.format(
            name=normal.interface, ipv4_alone=int(not normal.ip6), addresses=f"{normal.ip} {normal.ip6}"
        )
        done = self.run(up, timeout)
        if done.status:
            why = (done.errors.strip() or f"exit status {done.status}").splitlines()[-1]
            raise EnvironmentProblem(f"{normal.interface} does not come up: {why}: read {self.logs}/*.log")

    # ---- the link ---------------------------------------------------------------------------------------

    @property
    def epoch(self) -> int:
        """Of the session, as the Secure world has it."""
        return int(self.status("secure")["epoch"])

    def wait_up(self, timeout: float = 5.0) -> int:
        """Waits until frames pass; returns the epoch. Raises LinkDown."""
        try:
            self.configure(timeout * SLOWER)
        except (EnvironmentProblem, TimeoutError) as problem:
            raise LinkDown(str(problem)) from None
        return self.epoch

    def status(self, world: World) -> dict[str, Any]:
        """A world's own report; neither goes over the link. Raises LinkDown."""
        try:
            if world == "secure":
                assert self.console is not None
                return self.console.status(10.0 * SLOWER)
            found = self.ask("ethtool", self.board.normal.interface, limit=10.0)
        except (ProgramFailed, ClosedError, TimeoutError) as problem:
            raise LinkDown(str(problem)) from None
        counters = {n.removeprefix("verdict_"): v for n, v in found.items() if n.startswith("verdict_")}
        state = _STATES[found["link_state"]]
        return {**found, "state": state, "reason": "", "counters": counters}

    def record(self) -> Iterator[dict[str, Any]]:
        """The control task's periods since the last call: see Console.record."""
        assert self.console is not None
        return self.console.record(10.0 * SLOWER)

    def ends(self) -> Iterator[dict[str, Any]]:
        """The ends of the other tasks' periods since the last call: see Console.ends."""
        assert self.console is not None
        return self.console.ends(10.0 * SLOWER)

    def uptime(self) -> float:
        """Linux's clock in seconds, to 10 ms."""
        return float(self.run("cat /proc/uptime").output.split()[0])

    # ---- programs ---------------------------------------------------------------------------------------

    def program(self, name: str, *arguments: object) -> GuestProgram:
        """Starts check/programs/NAME.py in the guest; it runs until its standard input is closed."""
        return GuestProgram(self, name, arguments, f"/run/program{next(self._numbers)}")

    def ask(self, name: str, *arguments: object, limit: float) -> dict[str, Any]:
        """Runs check/programs/NAME.py, which ends by itself, for at most `limit` seconds of a machine that is
        not emulated. Raises ProgramFailed."""
        try:
            done = self.run(_command(name, arguments), limit * SLOWER)
        except (TimeoutError, ClosedError) as problem:
            raise ProgramFailed(f"{name}: {problem}") from None
        return _decoded(name, done)


def _command(name: str, arguments: Sequence[object]) -> str:
    return " ".join((INTERPRETER, "-I", "-S", f"/programs/{name}.py", *map(str, arguments)))


def _decoded(name: str, done: Done) -> dict[str, Any]:
    if done.status:
        last = done.errors.strip().splitlines()
        raise ProgramFailed(f"{name}: {last[-1] if last else f'exit status {done.status}'}")
    try:
        return msgspec.json.decode(done.output, type=dict[str, Any])
    except msgspec.DecodeError:
        raise ProgramFailed(f"{name}: its answer is not JSON") from None


class GuestProgram:
    """A running program of the guest. Leaving the context closes its standard input."""

    def __init__(self, machine: LinkedMachine, name: str, arguments: Sequence[object], place: str) -> None:
        self.name = name
        self._machine, self._place, self._boot_id = machine, place, machine.boot_id
        self._result: Done | Exception | None = None
        self._ended = False
        # Somebody has to hold its standard input open until it is to end.
        machine.run(f"mkfifo {place}; sleep 1000000 <>{place} >&0 & echo $! >{place}.pid")
        script = f"exec <{place}; touch {place}.open; exec {_command(name, arguments)}"
        self._thread = threading.Thread(target=self._run, args=(script,), daemon=True)
        self._thread.start()

    def _run(self, script: str) -> None:
        try:
            self._result = self._machine.run(script, timeout=600)
        except (TimeoutError, ClosedError) as problem:
            self._result = problem

    def end(self) -> None:
        """Closes its standard input. Idempotent."""
        if not self._ended:
            self._ended = True
            if self._machine.boot_id != self._boot_id:
                return  # it ended with the Linux it ran on
            with contextlib.suppress(ClosedError, TimeoutError):
                place = self._place
                self._machine.run(
                    f"until [ -e {place}.open ]; do usleep 1000; done; kill $(cat {place}.pid); rm {place}*"
                )

    def answer(self, limit: float) -> dict[str, Any]:
        """Closes its standard input and waits for its answer, `limit` seconds of a machine that is not
        emulated. Raises ProgramFailed."""
        self.end()
        self._thread.join(limit * SLOWER)
        result = self._result
        if result is None:
            raise ProgramFailed(f"{self.name}: no answer within {limit * SLOWER:g} s")
        if isinstance(result, Exception):
            raise ProgramFailed(f"{self.name}: {result}")
        return _decoded(self.name, result)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.end()
