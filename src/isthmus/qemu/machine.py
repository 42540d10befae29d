# SPDX-License-Identifier: MIT
"""A TrustZone machine under QEMU: firmware, Secure world and Linux, started, asked and stopped from here.

with QemuMachine() as machine:                      # Linux runs, the Secure world before it
    machine.run("uname -r").output                  # a shell script in the Normal world
    machine.buffer("secure")[:4]                    # the channel's memory, live

     host: QemuMachine ---- agent's port ---- /init   Linux   Normal world
               |                                        | SMC
               |                                     monitor   EL3
               |                                        |
          memory file ===== window ==== buffers ===== runtime  Secure world
"""

from __future__ import annotations

import contextlib
import logging
import mmap
import os
import shutil
import signal
import socket
import subprocess
import tempfile
import threading
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, Literal, Self

import msgspec

from isthmus._native import Buffer
from isthmus._native import bell as bell_pair
from isthmus.build import cache
from isthmus.build.firmware import firmware
from isthmus.build.guest import initramfs
from isthmus.build.packages import debian_kernel
from isthmus.build.storage import write_storage
from isthmus.config import ChannelConfig, Role
from isthmus.endpoint import Endpoint
from isthmus.errors import ClosedError, EnvironmentProblem, RestartedError
from isthmus.qemu import icount
from isthmus.qemu.agent import Agent, Done
from isthmus.qemu.console import Console
from isthmus.qemu.devicetree import SEED_BYTES, device_tree
from isthmus.trustzone.board import Emulator, TrustZone, load

_log = logging.getLogger("isthmus.qemu")
_QEMU = "qemu-system-aarch64"
_ARGUMENTS = "console=ttyAMA0 panic=-1 rdinit=/init quiet"
_RAM = "memory-backend-file,id=ram,share=on"
_STORAGE = "if=pflash,unit=1,format=raw,readonly=on"
_LOGS_KEPT = 20
_LOGS_IN_USE_S = 3600  # a machine that was started since may still write its own
_PATIENCE_US = 1_000_000  # of a watchdog in real time


class QemuMachine:
    """One machine. A context manager; methods may be called from any thread.

    board     the board, or None for boards/qemu-virt.toml. `board` then is what runs: with `counted`, further
              cores of Linux's may have other numbers
    modules   kernel modules that Linux loads at start, in this order
    files     more files of the guest, by their path there
    counted   the machine's time counts instructions, so that two runs are alike; slower. Otherwise its time
              is this computer's, and its own Secure world's watchdog waits for a second at least
    more      further arguments for QEMU
    ports     further ports of the guest, by name: each ends in a socket of ours that QEMU takes over
    payload   the Secure world, if it is not the package's own: an ELF file linked for this board

    Raises ConfigError for a board that cannot work and EnvironmentProblem where this machine lacks something.
    """

    def __init__(
        self,
        board: TrustZone | None = None,
        *,
        modules: Sequence[Path] = (),
        files: Mapping[str, Path] | None = None,
        counted: bool = False,
        more: Sequence[str] = (),
        ports: Mapping[str, socket.socket] | None = None,
        payload: Path | None = None,
    ) -> None:
        self.board = board if board is not None else load()
        if counted:
            self.board = icount.apart(self.board)
        self.boot_seconds = 0.0  # from QEMU's start to the agent's ready
        self._modules, self._files, self._counted, self._more = modules, files, counted, tuple(more)
        self._ports = dict(ports or {})
        self._payload = payload
        self._agent: Agent | None = None
        self._thread: threading.Thread | None = None
        self._qemu: subprocess.Popen[bytes] | None = None
        self._killed = False  # maybe before it has started
        self._ram = -1
        self._storage = -1
        self._logs: Path | None = None
        self.console: Console | None = None  # of the Secure world
        self._maps: list[mmap.mmap] = []
        self._bells: list[int] = []

    # ---- life -------------------------------------------------------------------------------------------

    def start(self, timeout: float = 60.0) -> None:
        """Builds what is missing, starts the machine and waits until Linux's agent answers. Raises
        EnvironmentProblem naming the log to read; nothing is left behind then."""
        if self._thread is not None:
            raise ClosedError("this machine was started before")
        emulator = self.emulator()
        flash, kernel = self.flash(), debian_kernel()
        archive = initramfs(kernel, self._modules, self._files)
        self._logs = _log_folder()
        memory = self.board.memory.normal
        shape = [
            *(_QEMU, "-machine", self.board.filled(emulator.machine), "-accel", "tcg", "-cpu", emulator.cpu),
            *("-smp", str(self.board.core.count), "-m", f"{memory.size >> 20}M", "-bios", str(flash)),
            *("-display", "none", "-monitor", "none", "-nic", "none", "-nodefaults"),
        ]
        with tempfile.TemporaryDirectory(prefix="isthmus-") as folder:
            seed = bytes(SEED_BYTES) if self._counted else os.urandom(SEED_BYTES)
            tree = device_tree(self.board, shape, archive.stat().st_size, _ARGUMENTS, Path(folder), seed)
            shutil.move(tree, self._logs / "board.dtb")
        images = {
            "kernel": kernel.image,
            "device_tree": self._logs / "board.dtb",
            "initramfs": archive,
        }
        self._storage, name = tempfile.mkstemp(dir=self._logs)
        os.unlink(name)  # gone with its last user, whatever happens
        with os.fdopen(self._storage, "wb", closefd=False) as out:
            write_storage(self.board, images, out)
        self._ram = os.memfd_create("isthmus-ram", os.MFD_CLOEXEC)
        os.ftruncate(self._ram, memory.size)
        ours, theirs = socket.socketpair()
        line, wire = socket.socketpair()
        self._agent = Agent(ours, self._why_dead)
        self.console = Console(line, self._agent.linux_is_off)
        ports = {"agent": theirs, **self._ports}
        command = [
            *shape,
            *("-object", f"{_RAM},size={memory.size},mem-path=/proc/self/fd/{self._ram}"),
            *("-machine", "memory-backend=ram", "-no-reboot"),
            *("-serial", f"file:{self._logs / 'normal.log'}", "-serial", "chardev:secure"),
            *("-drive", f"{_STORAGE},file=/proc/self/fd/{self._storage}"),
            *("-global", "driver=cfi.pflash01,property=secure,value=on"),  # Linux gives it no commands
            *("-chardev", f"socket,id=secure,fd={wire.fileno()},logfile={self._logs / 'secure.log'}"),
            *("-device", "virtio-serial-device"),
            *(argument for name, end in ports.items() for argument in _port(name, end)),
            *(icount.arguments(self.board) if self._counted else ()),
            *self._more,
        ]
        began = time.monotonic()
        started = threading.Event()
        # The thread that starts QEMU is its parent as far as its death is concerned, and lives as long.
        self._thread = threading.Thread(
            target=self._live,
            args=(command, (*ports.values(), wire), self._agent, started),
            name="isthmus-qemu",
            daemon=True,
        )
        self._thread.start()
        try:
            started.wait()
            self._agent.wait_boot("", timeout)
        except TimeoutError:
            self.close()
            text = f"Linux did not answer within {timeout:g} s; {self._last_words()}: read {self._logs}/*.log"
            raise EnvironmentProblem(text) from None
        except ClosedError as problem:
            self.close()
            raise EnvironmentProblem(str(problem)) from None
        except BaseException:
            self.close()
            raise
        self.boot_seconds = time.monotonic() - began

    def emulator(self) -> Emulator:
        """What QEMU is to play. EnvironmentProblem: it cannot, or it is not here."""
        if self.board.emulator is None:
            raise EnvironmentProblem(f"board {self.board.name!r} has no [emulator]: QEMU cannot play it")
        for tool in (_QEMU, "setpriv"):
            if shutil.which(tool) is None:
                raise EnvironmentProblem(f"no {tool} here; tools/setup.sh installs what the machine needs")
        return self.board.emulator

    def flash(self) -> Path:
        """The image that the machine starts from. EnvironmentProblem, one line."""
        return firmware(self.board, self._payload, secure=None if self._counted else _patient(self.board))

    def _live(
        self, command: Sequence[str], ends: Sequence[socket.socket], agent: Agent, started: threading.Event
    ) -> None:
        assert self._logs is not None
        with contextlib.ExitStack() as stack:
            log = stack.enter_context((self._logs / "qemu.log").open("wb"))
            for end in ends:
                stack.enter_context(end)
            try:
                self._qemu = subprocess.Popen(
                    ["setpriv", "--pdeathsig", "KILL", "--", *command],
                    stdin=subprocess.DEVNULL,
                    stdout=log,
                    stderr=log,
                    pass_fds=(self._ram, self._storage, *(end.fileno() for end in ends)),
                    process_group=0,  # a terminal's Ctrl-C is for us, and we end it
                )
            finally:
                os.close(self._storage)  # QEMU has its own by now
                started.set()
        if self._killed:
            self._qemu.kill()
        agent.serve()
        self._qemu.wait()

    def kill(self) -> None:
        """From any thread: the emulator ends, and whoever waits for the machine gets ClosedError."""
        self._killed = True
        if self._qemu is not None and self._qemu.poll() is None:
            self._qemu.kill()  # it has no state of ours to save

    def close(self) -> None:
        """Stops the machine. Idempotent."""
        self.kill()
        if self._thread is not None:
            self._thread.join()
        if self.console is not None:
            self.console.close()
        for mapped in self._maps:
            with contextlib.suppress(BufferError):  # somebody still looks at it
                mapped.close()
        self._maps.clear()
        while self._bells:
            os.close(self._bells.pop())
        if self._ram >= 0:
            os.close(self._ram)
            self._ram = -1

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _last_words(self) -> str:
        """How far the machine has come, for somebody who waited for more."""
        said = []
        for name in ("normal.log", "secure.log"):
            log = self.logs / name
            lines = log.read_text(errors="replace").strip().splitlines() if log.is_file() else []
            said.append(f"{name} ends with {lines[-1].strip()[-100:]!r}" if lines else f"{name} is empty")
        return ", ".join(said)

    def _why_dead(self) -> str:
        try:
            said = (self.logs / "qemu.log").read_text(errors="replace").strip().splitlines()
        except OSError:
            said = []
        why = said[-1] if said else "it powered off"
        status = self._qemu.wait() if self._qemu is not None else 0
        if status < 0:
            why = f"QEMU was ended by {signal.Signals(-status).name}"
        return f"the machine is gone: {why}: read {self.logs}/*.log"

    # ---- the worlds -------------------------------------------------------------------------------------

    def require(self) -> None:
        """Raises ClosedError, with the reason, if the machine is gone."""
        if self._agent is None:
            raise ClosedError("this machine is not started")
        if self._agent.closed:
            raise ClosedError(self._agent.why)

    def run(self, script: str, timeout: float = 30.0) -> Done:
        """Runs a shell script in the Normal world and waits for it."""
        if self._agent is None:
            raise ClosedError("this machine is not started")
        return self._agent.run(script, timeout)

    @property
    def boot_id(self) -> str:
        """Of this boot of Linux."""
        return self._agent.boot_id if self._agent is not None else ""

    def wait_boot(self, last: str, timeout: float = 60.0) -> str:
        """Waits until Linux has booted again, with another boot id than `last`; returns it. TimeoutError,
        ClosedError."""
        if self._agent is None:
            raise ClosedError("this machine is not started")
        return self._agent.wait_boot(last, timeout)

    def reboot(self, script: str = "reboot -f", timeout: float = 60.0) -> str:
        """Has Linux restart by a script that does not end, and waits until it has booted again; the Secure
        world runs on. Returns the new boot id. TimeoutError, ClosedError."""
        last = self.boot_id
        with contextlib.suppress(RestartedError):
            done = self.run(script, timeout)
            raise EnvironmentProblem(
                f"Linux did not restart by {script!r}: {done.errors.strip() or done.status}"
            )
        return self.wait_boot(last, timeout)

    @property
    def logs(self) -> Path:
        """A folder with normal.log and secure.log, the worlds' consoles, and qemu.log."""
        if self._logs is None:
            raise ClosedError("this machine is not started")
        return self._logs

    def buffer(self, role: Literal["normal", "secure"]) -> memoryview:
        """The buffer that `role` writes, as the machine sees it; what is written here is seen there."""
        if self._ram < 0:
            raise ClosedError("this machine is not started")
        region = self.board.buffer_region(role)
        mapped = mmap.mmap(self._ram, region.size, offset=region.base - self.board.memory.normal.base)
        self._maps.append(mapped)
        return memoryview(mapped)

    def endpoint(self) -> Endpoint:
        """The Normal world's end of the channel, here and not in Linux, whose driver must not be loaded. The
        caller registers with the monitor, begins with the epoch and key that it got, and closes it before the
        machine. There is no doorbell: the Secure world looks once per period, and the caller polls."""
        if self._ram < 0:
            raise ClosedError("this machine is not started")
        members: dict[str, Any] = self.board.config("normal")
        del members["role"]
        config = ChannelConfig(**members | {"features": 0})  # whose fence would be within one kernel
        ends = {}
        for role in ("normal", "secure"):
            region = self.board.buffer_region(role)
            offset = region.base - self.board.memory.normal.base
            ends[role] = Buffer.window(self._ram, offset, region.size, role == "normal")
        bell, silent = bell_pair()
        self._bells.append(silent)  # were it closed, the peer would seem to have died
        return Endpoint(config, Role.NORMAL, ends["normal"], ends["secure"], bell)


def _patient(board: TrustZone) -> TrustZone:
    """For a machine in real time: where this computer is busy the task above stands still for milliseconds,
    and a watchdog that has seen that a few times would stop a Secure world that has done nothing wrong."""
    secure = board.secure
    if not 0 < secure.watchdog_us < _PATIENCE_US:
        return board
    return msgspec.structs.replace(board, secure=msgspec.structs.replace(secure, watchdog_us=_PATIENCE_US))


def _port(name: str, end: socket.socket) -> tuple[str, ...]:
    chardev = f"socket,id={name},fd={end.fileno()}"
    return "-chardev", chardev, "-device", f"virtserialport,chardev={name},name=isthmus.{name}"


def _log_folder() -> Path:
    """A new folder in the cache; the oldest beyond a few are removed."""
    logs = cache.folder("logs", "qemu")
    for old in sorted(p for p in logs.iterdir() if p.is_dir())[: -_LOGS_KEPT + 1]:
        with contextlib.suppress(OSError):
            if time.time() - old.stat().st_mtime > _LOGS_IN_USE_S:
                shutil.rmtree(old, ignore_errors=True)
    return Path(tempfile.mkdtemp(prefix=time.strftime("%Y%m%d-%H%M%S-"), dir=logs))
