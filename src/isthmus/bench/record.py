# SPDX-License-Identifier: MIT
"""What was counted before: a file beside the board's, to which a new count is compared.

A record is looked up by all that makes the numbers what they are, except for our own code and the board
file's geometry, tasks and rules: kernel, firmware, stack, emulator, processor, compiler, flags and workload.
Without one for these inputs there is nothing to compare with.
"""

from __future__ import annotations

import hashlib
import json
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path

import msgspec

from isthmus.bench import blocking, instructions
from isthmus.bench.instructions import CountRow
from isthmus.build.firmware import make_options
from isthmus.build.packages import debian_kernel
from isthmus.build.payload import CROSS, FLAGS
from isthmus.build.program import ask_compiler
from isthmus.build.source import read_pin
from isthmus.errors import EnvironmentProblem
from isthmus.resources import tree
from isthmus.trustzone.board import TrustZone

__all__ = ["TOLERANCE", "Record", "changes", "file_of", "find", "inputs_of", "keep", "key_of"]

TOLERANCE = 0.02  # a change beyond this share of the old number is one
# Of a case that differs with the moment at which a tick falls into it, as any change of the guest moves that.
_MOVED = dict.fromkeys(("loopback.tcp", *(case for case, _ in blocking.CASES)), 0.25)
_KEPT = 8  # records of other machines; the oldest goes


class Record(msgspec.Struct, frozen=True):
    """`counts`: instructions by case, and by its frame's bytes where it has one, as in `ping.rtt 64`."""

    inputs: dict[str, str]
    counts: dict[str, float]


def file_of(board: TrustZone) -> Path:
    """Where the board's records are kept."""
    return tree() / "boards" / f"{board.name}.counts.json"


def inputs_of(board: TrustZone) -> dict[str, str]:
    """What the numbers depend on, but for our own code. Asks the tools, builds nothing."""
    packages = json.loads((debian_kernel().root / "isthmus.json").read_text(encoding="utf-8"))["versions"]
    pins = {
        name: read_pin(tree() / "worlds" / place / "source.toml").sha256
        for name, place in (("TF-A", "monitor/tfa"), ("lwIP", "secure/lwip"))
    }
    return {
        "kernel": _digest(packages),
        **pins,
        "QEMU": _first_line("qemu-system-aarch64", "--version"),
        "compiler": ask_compiler(f"{CROSS}gcc", "--version").splitlines()[0],
        "flags": _digest([*FLAGS, *make_options(board)]),
        "processor": board.emulator.cpu if board.emulator else "",
        "workload": _digest([instructions.ECHOES, instructions.TCP_BYTES, instructions.TRANSFERS]),
    }


def key_of(inputs: Mapping[str, str]) -> str:
    """The hash that a record is looked up by."""
    return _digest(dict(inputs))


def find(inputs: Mapping[str, str], file: Path) -> tuple[Record | None, str]:
    """The record for these inputs; else None, and in which of them the record that comes closest differs."""
    records = _load(file)
    if found := records.get(key_of(inputs)):
        return found, ""
    differing = [
        [name for name in inputs if record.inputs.get(name) != inputs[name]] for record in records.values()
    ]
    differing.sort(key=len)
    return None, f"another {', '.join(differing[0])}" if differing else "there is none at all"


def changes(old: Mapping[str, float], new: Mapping[str, float]) -> list[str]:
    """One line for each case that costs more than its tolerance more, or less, than it did, and for each
    that came or went."""
    found = [f"{case}: is counted no more" for case in old.keys() - new.keys()]
    for case, number in new.items():
        if case not in old:
            found.append(f"{case}: was not counted before")
        elif abs(number - old[case]) > _MOVED.get(case.split()[0], TOLERANCE) * old[case]:
            share = (number / old[case] - 1) * 100
            found.append(f"{case}: {old[case]:,g} before, {number:,g} now ({share:+.1f} %)")
    return sorted(found)


def counts_of(rows: Sequence[CountRow]) -> dict[str, float]:
    """Of the rows that have a value, by case."""
    return {
        f"{row.case} {row.frame_bytes}" if row.frame_bytes else row.case: round(row.value, 4)
        for row in rows
        if row.value is not None
    }


def keep(inputs: dict[str, str], rows: Sequence[CountRow], file: Path) -> list[str]:
    """Makes the rows the record for these inputs, in place of this machine's earlier one, were it of other
    flags. Returns what changed, as changes() does. EnvironmentProblem: it cannot be written."""
    new, before = Record(inputs, counts_of(rows)), _load(file)
    others = {k: r for k, r in before.items() if _place(r.inputs) != _place(inputs)}
    old = before.get(key_of(inputs)) or next((r for k, r in before.items() if k not in others), None)
    kept = {**dict(list(others.items())[-_KEPT:]), key_of(inputs): new}
    text = json.dumps(msgspec.to_builtins(kept), indent=1) + "\n"
    try:
        file.write_text(text, encoding="utf-8")
    except OSError as error:
        raise EnvironmentProblem(f"cannot write {file}: {error.strerror or error}") from None
    return changes(old.counts, new.counts) if old else []


def _place(inputs: Mapping[str, str]) -> dict[str, str]:
    """Of the inputs, what the machine has and not what the tree says."""
    return {name: inputs.get(name, "") for name in ("kernel", "QEMU", "compiler")}


def _load(file: Path) -> dict[str, Record]:
    try:
        return msgspec.json.decode(file.read_bytes(), type=dict[str, Record])
    except FileNotFoundError:
        return {}
    except (OSError, msgspec.MsgspecError) as error:
        raise EnvironmentProblem(f"{file}: not a record of counts: {error}") from None


def _digest(what: object) -> str:
    text = json.dumps(msgspec.to_builtins(what), sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def _first_line(*command: str) -> str:
    try:
        said = subprocess.run(command, check=False, capture_output=True, text=True).stdout
    except OSError:
        raise EnvironmentProblem(f"no {command[0]} here; tools/setup.sh installs it") from None
    return (said.splitlines() or [""])[0]
