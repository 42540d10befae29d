# SPDX-License-Identifier: MIT
"""What SPEC says of each register is what the monitor does with it, and no register is forgotten."""

from __future__ import annotations

import re
import socket
import subprocess
from pathlib import Path

import pytest

from isthmus.build.firmware import stages
from isthmus.build.payload import CROSS
from isthmus.trustzone.board import load

ROOT = Path(__file__).parent.parent
SPEC = ROOT / "docs" / "SPEC.md"
LISTS = ROOT / "worlds" / "monitor" / "tfa" / "registers.h"
FILLED = ROOT / "tests" / "worlds" / "registers" / "list.h"
FP = {"FPCR", "FPSR", *(f"V{n}" for n in range(32))}
TF_A = {"X0", "X30", "SP_EL0", "NZCV", "DAIF"}  # ends of a range, and what its SPEC rows name
# As the emulator's debugger calls them, where that is not the architecture's name.
ALIASES = {
    "SCTLR": "SCTLR_EL1", "CPACR": "CPACR_EL1", "CNTKCTL": "CNTKCTL_EL1", "VBAR": "VBAR_EL1",
    "AMAIR0": "AMAIR_EL1", "CSSELR": "CSSELR_EL1", "CLIDR": "CLIDR_EL1", "AIDR": "AIDR_EL1",
    "L2ACTLR": "L2ACTLR_EL1",
}  # fmt: skip
OTHER_LEVELS = re.compile(r"\w+_EL[23]|RES_\w+")


def rows(text: str) -> list[tuple[set[str], str, str]]:
    """Names, kind and reason of each row."""
    table = text[text.index("| Register | Kind | Why |") :].split("\n\n")[0]
    cells = [[cell.strip() for cell in line.strip("|").split("|")] for line in table.splitlines()[2:]]
    return [(set(re.findall(r"`([^`]+)`", names)), kind, why) for names, kind, why in cells]


def kind_of(text: str, kind: str) -> set[str]:
    found = {name for names, k, why in rows(text) if k == kind and "read-only" not in why for name in names}
    return found | FP if {"V0", "V31"} <= found else found


def listed(macro: str, text: str) -> set[str]:
    """The registers of one list of registers.h."""
    body = re.search(rf"#define {macro}\(\w+\)((?:.*\\\n)*.*)\n", text)
    assert body is not None, macro
    return {n.upper() for pair in re.findall(r"(?:pair|one)\(([^)]*)\)", body[1]) for n in pair.split(", ")}


def problems(spec: str, lists: str) -> list[str]:
    """Where the table and the monitor's lists differ; nothing where they agree."""
    switched = listed("SWITCHED_REGISTERS", lists) | listed("FP_CONTROLS", lists)
    switched |= {name.replace("Q", "V") for name in listed("FP_REGISTERS", lists)}
    both = {"switched": switched | TF_A, "constant": listed("CONSTANT_REGISTERS", lists)}
    found = [
        f"{name}: {kind} in one place alone"
        for kind, names in both.items()
        for name in kind_of(spec, kind) ^ names
    ]
    names = [name for row, _, _ in rows(spec) for name in row]
    found += [f"{name}: in two rows" for name in set(names) if names.count(name) > 1]
    kinds = {kind for _, kind, _ in rows(spec)}
    return found + [f"{kind}: no such kind" for kind in kinds - {"switched", "constant", "irrelevant"}]


def test_spec_says_of_each_register_what_the_monitor_does() -> None:
    assert problems(SPEC.read_text(), LISTS.read_text()) == []


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("| `PAR_EL1` | switched |", "| `PAR_EL1` | irrelevant |"),
        ("| `FPCR` | switched |", "| `FPCR` | constant |"),
        ("| `ACTLR_EL1` | constant |", "| `ACTLR_EL1` | irrelevant |"),
        ("| `MDSCR_EL1`, ", "| `MDSCR_EL1`, `VBAR_EL1`, "),
        ("| `CNTKCTL_EL1` | switched | EL0's access to counters and timers |\n", ""),
    ],
)
def test_a_wrong_spec_is_found(old: str, new: str) -> None:
    text = SPEC.read_text()
    assert old in text
    assert problems(text.replace(old, new), LISTS.read_text())


def test_the_patterns_fill_all_that_is_switched() -> None:
    """In tests/test_qemu_registers.py, which fills general and FP registers anyway, and its stack pointer."""
    filled = {name.upper() for name in re.findall(r"one\((\w+), ", FILLED.read_text())}
    assert kind_of(SPEC.read_text(), "switched") - TF_A - FP - filled == {"SP_EL1"}


@pytest.mark.qemu
def test_the_machine_code_saves_and_loads_each_of_them() -> None:
    elf = stages(load()) / "bl31.elf"
    done = subprocess.run([f"{CROSS}objdump", "-d", elf], capture_output=True, text=True, check=True)
    start = done.stdout.index("<switch_registers>:")
    code = done.stdout[start : done.stdout.index("\tret", start)]
    switched = listed("SWITCHED_REGISTERS", LISTS.read_text())
    saved = re.findall(r"\tmrs\tx\d+, (\w+)", code)
    loaded = re.findall(r"\tmsr\t(\w+), x\d+", code)
    assert {name.upper() for name in saved} == {name.upper() for name in loaded} == switched
    assert len(saved) == len(loaded) == len(switched)


def core_registers() -> list[str]:
    """All system registers that the emulated core has, as it tells a debugger. Nothing of it runs."""
    board = load()
    assert board.emulator is not None
    ours, theirs = socket.socketpair()
    command = [
        "qemu-system-aarch64",
        "-machine",
        board.filled(board.emulator.machine),
        "-cpu",
        board.emulator.cpu,
        "-S",
    ]
    command += ["-display", "none", "-nodefaults", "-chardev", f"socket,id=gdb,fd={theirs.fileno()}"]
    with ours, subprocess.Popen([*command, "-gdb", "chardev:gdb"], pass_fds=[theirs.fileno()]) as qemu:
        theirs.close()
        ours.settimeout(60)
        try:
            ask(ours, "qXfer:features:read:target.xml:0,fff")
            text = ""
            while not text or text[0] == "m":
                part = ask(ours, f"qXfer:features:read:system-registers.xml:{max(len(text) - 1, 0):x},fff")
                text = part[0] + text[1:] + part[1:]
        finally:
            qemu.terminate()
    return re.findall(r'<reg name="(\w+)"', text)


def ask(line: socket.socket, what: str) -> str:
    line.sendall(f"${what}#{sum(what.encode()) & 0xFF:02x}".encode())
    said = b""
    while not (found := re.search(rb"\$(.*)#[0-9a-f]{2}", said, re.DOTALL)):
        said += line.recv(1 << 16)
    line.sendall(b"+")
    return found[1].decode()


@pytest.mark.qemu
def test_no_register_of_the_core_is_forgotten() -> None:
    named = {name for names, _, _ in rows(SPEC.read_text()) for name in names} | FP
    patterns = [re.escape(name).replace("<n>", r"\d+").replace("<name>", r"\w+") for name in named]
    known = re.compile("|".join(patterns))
    names = {ALIASES.get(name, name) for name in core_registers()}
    assert {"SCTLR_EL1", "DBGBVR5_EL1", "PMEVCNTR5_EL0", "TPIDRRO_EL0", "FPSR"} <= names, "all were read"
    assert {n for n in names if not known.fullmatch(n) and not OTHER_LEVELS.fullmatch(n)} == set()
