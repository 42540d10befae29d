# SPDX-License-Identifier: MIT
"""Calls to the monitor from Linux's kernel, through the module in worlds/smc."""

from __future__ import annotations

from pathlib import Path

from isthmus.build.guest import kernel_module
from isthmus.build.packages import debian_kernel
from isthmus.qemu.machine import QemuMachine
from smc_numbers import values

SMC = values()
NAMES = {value: name for name, value in SMC.items() if value < 0}


def module() -> Path:
    """smc.ko, which the machine is to load."""
    return kernel_module(debian_kernel(), "smc", {"": Path(__file__).parent / "worlds" / "smc"})


class Normal:
    """The Normal world's kernel, as an attacker has it."""

    def __init__(self, machine: QemuMachine) -> None:
        self.machine = machine

    def call(self, function: str | int, *arguments: int) -> list[int]:
        """x0 (signed) and x1..x3 of one call to the monitor."""
        numbers = [SMC[f"IST_SMC_{function}"] if isinstance(function, str) else function, *arguments]
        text = " ".join(f"{n:#x}" for n in numbers)
        file = "/sys/kernel/debug/isthmus_smc"
        done = self.machine.run(f"echo {text} >{file} && cat {file}")
        assert done.status == 0, done.errors
        x0, *rest = (int(word, 16) for word in done.output.split())
        return [x0 - (1 << 64) if x0 >> 63 else x0, *rest]

    def result(self, function: str | int, *arguments: int) -> str:
        """The name of a refusal, or OK."""
        x0 = self.call(function, *arguments)[0]
        return "OK" if x0 == 0 else NAMES[x0].removeprefix("IST_SMC_")

    @property
    def claim(self) -> list[int]:
        """The one registration that the board allows."""
        own, peer = (self.machine.board.buffer_region(role) for role in ("normal", "secure"))
        return [0, own.base, own.size, peer.base, peer.size]

    def detach(self) -> None:
        """Ends the session, if there is one, and waits until the Secure world has confirmed it."""
        state, epoch = self.call("STATUS", 0)[1:3]
        if state == SMC["IST_SESSION_SEALED"]:
            assert self.result("DETACH", 0, epoch) == "OK"
        self.machine.run("usleep 20000")
        assert self.call("STATUS", 0)[1] == SMC["IST_SESSION_NONE"]
