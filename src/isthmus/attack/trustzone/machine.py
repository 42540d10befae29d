# SPDX-License-Identifier: MIT
"""The TrustZone machine under attack: the product, or a test build without a defence; a hostile kernel module
in Linux, and somebody who means well.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from isthmus.attack.defences import DEFENCES, changed_files, without_defence
from isthmus.build.firmware import firmware
from isthmus.build.guest import kernel_module
from isthmus.build.packages import debian_kernel
from isthmus.build.payload import payload
from isthmus.qemu.linked import LinkedMachine
from isthmus.resources import tree
from isthmus.trustzone.board import TrustZone

__all__ = ["AttackedMachine", "modules", "of_the_monitor"]

_PROGRAMS = Path(__file__).parents[1] / "programs"
_MONITOR = "worlds/monitor/"


class AttackedMachine(LinkedMachine):
    """Its time counts instructions, so that a missed deadline is one that the attack has cost, on a busy
    computer, too. `without`: names of DEFENCES that are taken out. `payload`: another Secure world than our
    own, built elsewhere; of its defences none can be taken out."""

    def __init__(
        self,
        board: TrustZone,
        without: Sequence[str] = (),
        *,
        more: Sequence[str] = (),
        payload: Path | None = None,
    ) -> None:
        files = {f"{path.stem}.ko": path for path in modules()}
        files |= {f"programs/{name}": _PROGRAMS / name for name in ("flow.py", "send.py")}
        super().__init__(board, counted=True, files=files, more=more, payload=payload)
        self._without = tuple(without)

    def flash(self) -> Path:
        """The product's image, or that of the test build."""
        monitor = [name for name in self._without if of_the_monitor(name)]
        instead = {file.name: changed for file, changed in changed_files(monitor).items()}
        others = [name for name in self._without if name not in monitor]
        program = self._payload
        if others:
            program = payload(self.board, lambda unit: without_defence(unit, *others))
        return firmware(self.board, program, instead)


def of_the_monitor(defence: str) -> bool:
    """Not of the core or of the Secure world's runtime."""
    return DEFENCES[defence].file.startswith(_MONITOR)


def modules() -> list[Path]:
    """The attacker's modules, for the kernel that the machine runs. Raises EnvironmentProblem."""
    kernel, root = debian_kernel(), tree()
    attack = root / "worlds" / "normal" / "attack"
    driver = {"linux": root / "worlds" / "normal" / "linux", "core": root / "core"}
    return [
        kernel_module(kernel, "hostile", {"": attack / "hostile", **driver}),
        kernel_module(kernel, "storm", {"": attack / "storm"}),
    ]
