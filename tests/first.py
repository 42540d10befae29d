# SPDX-License-Identifier: MIT
"""A kernel that writes down what it finds at its first instruction, before it is Linux."""

from __future__ import annotations

import os
import re
import struct
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from isthmus.build.packages import Kernel, debian_kernel
from isthmus.build.payload import CROSS
from isthmus.build.program import build_program
from isthmus.qemu.devicetree import device_tree
from isthmus.qemu.machine import QemuMachine
from isthmus.trustzone.board import Region, TrustZone

SOURCES = Path(__file__).parent / "worlds" / "first"
TREE, SIZE = 0x20000, 0x8000  # bytes of the device tree; of a core's record
BRANCH, BRANCH_REACH = 0x14000000, 1 << 26
GENERAL = [f"x{n}" for n in range(30)]
STATE = ["CurrentEL", "DAIF", "SPSel", "SP"]
FP = [f"v{n}{half}" for n in range(32) for half in (" low", " high")] + ["fpcr", "fpsr"]
EL2 = [
    "hcr_el2",
    "cnthctl_el2",
    "cntvoff_el2",
    "cnthp_ctl_el2",
    "cnthp_cval_el2",
    "cptr_el2",
    "hstr_el2",
    "mdcr_el2",
    "vttbr_el2",
    "vtcr_el2",
    "sctlr_el2",
    "tcr_el2",
    "ttbr0_el2",
    "mair_el2",
    "amair_el2",
    "vbar_el2",
    "tpidr_el2",
    "sp_el1",
    "elr_el2",
    "spsr_el2",
    "esr_el2",
    "far_el2",
    "hpfar_el2",
    "vpidr_el2",
    "vmpidr_el2",
    "hacr_el2",
    "actlr_el2",
    "afsr0_el2",
    "afsr1_el2",
]
EL2_GICV3 = ["s3_4_c12_c9_5", "s3_4_c12_c11_0", "s3_4_c12_c11_7"]  # ICC_SRE_EL2, ICH_HCR_EL2, ICH_VMCR_EL2
NUMBERED = {"DBGBVR": 6, "DBGBCR": 6, "DBGWVR": 4, "DBGWCR": 4, "PMEVCNTR": 6, "PMEVTYPER": 6, "ICC_AP1R": 1}
# What EL1 cannot read, or not without changing something; what the emulated core has not; what is read apart.
NOT_READ = re.compile(
    r"CNTPS_.*|PMSWINC_EL0|OSLAR_EL1|DBGDTR.*|OSDTR.*|ICC_(IAR|EOIR|DIR|SGI|ASGI|HPPIR0|BPR0|AP0R|IGRPEN0).*|"
    r"SPSR_(ABT|UND|IRQ|FIQ)|\w+_EL[23]|"
    r"DBGAUTHSTATUS_EL1|DBGCLAIM\w+|DBGPRCR_EL1|OSECCR_EL1|PMXEV\w+|"
    r"[XV]\d+|SP_EL1|NZCV|DAIF|FPCR|FPSR"
)


def registers(rows: list[tuple[set[str], str, str]], gic: int) -> list[str]:
    """All that SPEC's table calls switched or irrelevant and that can be read, as the assembler names it."""
    found = []
    for names, kind, _ in rows:
        for name in names if kind != "constant" else ():
            if NOT_READ.fullmatch(name) or (gic == 2 and name.startswith("ICC_")):
                continue
            stem, _, rest = name.partition("<n>")
            found += [f"{stem}{n}{rest}" for n in range(NUMBERED[stem])] if rest else [name]
    return sorted(name.lower() for name in found)


def registers_of_el2(gic: int) -> list[str]:
    return EL2 + (EL2_GICV3 if gic == 3 else [])


@dataclass(frozen=True)
class Probe:
    """Which words the record has, on a machine of this board."""

    board: TrustZone
    system: list[str]

    @property
    def place(self) -> Region:
        """Behind the device tree, which is told to be as long: nobody else writes there."""
        return Region(self.board.boot.device_tree + TREE, self.board.core.count * SIZE)

    def device_tree(self, board: TrustZone, *arguments: Any) -> Path:
        """qemu.devicetree.device_tree(), of that length."""
        made = device_tree(board, *arguments)
        size = TREE + self.place.size
        subprocess.run(["dtc", "-q", "-Idtb", "-Odtb", f"-S{size}", "-o", str(made), str(made)], check=True)
        return made

    def memory(self) -> list[tuple[str, int, int]]:
        """Registers of the interrupt controller, as Linux sees them: name, first, how many words."""
        board, gicd = self.board, self.board.device.gic_distributor.base
        found = [("GICD", gicd, 0xD00 // 4)]
        if board.gic.version == 2:
            gicc = board.gic_private.base
            return [*found, ("GICC", gicc, 3), ("GICC+10", gicc + 0x10, 4), ("GICC+d0", gicc + 0xD0, 8)]
        found.append(("GICD+6000", gicd + 0x6100, 256 * 2))
        for core in range(board.core.count):
            frame = board.gic_private.base + core * 0x20000
            found += [(f"GICR{core}", frame, 0x80 // 4), (f"GICR{core}+10000", frame + 0x10000, 0xD00 // 4)]
        return found

    def names(self, core: int) -> Iterator[str]:
        own = [*STATE, *self.system, *FP]
        for name, _, words in self.memory():
            own += [f"{name}[{n:#x}]" for n in range(0, words * 4, 8)]
        if core != self.board.core.normal[0]:
            yield from (f"core {core}: {name}" for name in own)
            return
        yield from (*GENERAL, *own)
        yield from (f"PSCI state of core {n}" for n in range(self.board.core.count))
        yield from (f"PSCI CPU_ON of core {n}" for n in self.board.core.normal[1:])

    def kernel(self, folder: Path) -> Kernel:
        """The usual one, with the probe before its first instruction but one."""
        usual = debian_kernel()
        image = usual.image.read_bytes()
        (branch,) = struct.unpack_from("<I", image, 4)
        assert branch >> 26 == BRANCH >> 26, "the image's second instruction is its branch"
        at = -(-len(image) // 4096) * 4096
        base = self.board.boot.kernel
        lists = {
            "SYSTEM_REGISTERS(one)": " ".join(f"one({name})" for name in self.system),
            "MEMORY(range)": " ".join(f"range({start:#x}, {words})" for _, start, words in self.memory()),
            "PSCI_CORES(core)": " ".join(f"core({n})" for n in range(self.board.core.count)),
            "OTHER_CORES(core)": " ".join(f"core({n})" for n in self.board.core.normal[1:]),
            "RECORD": f"{self.place.base:#x}",
            "RECORD_SIZE": f"{SIZE:#x}",
            "KERNEL": f"{base + 4 + (branch & BRANCH_REACH - 1) * 4:#x}",
        }
        (folder / "list.h").write_text("".join(f"#define {name} {text}\n" for name, text in lists.items()))
        elf = build_program(
            "first.elf",
            [SOURCES / "first.S"],
            [folder],
            ldflags=("-nostdlib", "-static", "-no-pie", f"-Wl,--build-id=none,-Ttext={base + at:#x}"),
            compiler=f"{CROSS}gcc",
        )
        raw = folder / "first.bin"
        subprocess.run([f"{CROSS}objcopy", "-O", "binary", "-j", ".text", str(elf), str(raw)], check=True)
        root = folder / "root"
        (root / "boot").mkdir(parents=True)
        for entry in usual.root.iterdir():
            if entry.name != "boot":
                (root / entry.name).symlink_to(entry)
        made = Kernel(root, usual.release)
        jump = struct.pack("<I", BRANCH | (at - 4) // 4)
        made.image.write_bytes((image[:4] + jump + image[8:]).ljust(at, b"\0") + raw.read_bytes())
        return made

    def look(self, machine: QemuMachine) -> dict[str, int]:
        """What was found since the last look; the record is cleared."""
        found: dict[str, int] = {}
        for core in self.board.core.normal:
            names = list(self.names(core))
            assert len(names) * 8 < SIZE
            first = core == self.board.core.normal[0]
            at = self.place.base + (0 if first else core * SIZE) - self.board.memory.normal.base
            data = os.pread(machine._ram, len(names) * 8, at)
            assert any(data), f"core {core} wrote nothing"
            os.pwrite(machine._ram, bytes(len(data)), at)
            found.update(zip(names, struct.unpack(f"<{len(names)}Q", data), strict=True))
        return found
