# SPDX-License-Identifier: MIT
"""core/smc.h: one file of numbers for C and assembler, without a collision."""

from __future__ import annotations

import re
import subprocess
import uuid
from pathlib import Path

from smc_numbers import SMC, values

FUNCTION = re.compile(r"^#define (IST_SMC_\w+) (0x[8c]7[0-9a-f]{6})(?=\s|$)", re.MULTILINE)
GENERAL = {"IST_SMC_CALL_COUNT", "IST_SMC_UID", "IST_SMC_REVISION"}


def functions() -> dict[str, int]:
    found = {name: int(value, 16) for name, value in FUNCTION.findall(SMC.read_text())}
    return {name: value for name, value in found.items() if not name.endswith("_BASE")}


def test_every_function_belongs_to_the_owner_and_to_one_name() -> None:
    ids = functions()
    assert len(set(ids.values())) == len(ids)
    for name, value in ids.items():
        assert value >> 31 == 1, f"{name} is not a fast call"
        assert value >> 24 & 0x3F == values()["IST_SMC_OWNER"], name
        assert not value & 0x00FF0000, f"{name} has bits that must be zero"


def test_the_count_is_the_number_of_functions() -> None:
    assert values()["IST_SMC_COUNT"] == len(functions().keys() - GENERAL)


def test_an_assembler_reads_the_same_numbers(tmp_path: Path) -> None:
    numbers = values()
    source = tmp_path / "all.S"
    source.write_text(f'#include "{SMC}"\n' + "".join(f".quad {name}\n" for name in numbers))
    subprocess.run(["cc", "-c", "-o", tmp_path / "all.o", source], check=True)
    subprocess.run(
        ["objcopy", "-O", "binary", "-j", ".text", tmp_path / "all.o", tmp_path / "all"], check=True
    )
    data = (tmp_path / "all").read_bytes()
    words = [int.from_bytes(data[at : at + 8], "little", signed=True) for at in range(0, len(numbers) * 8, 8)]
    assert words == list(numbers.values())


def test_the_uid_is_the_uuid_that_the_comment_names() -> None:
    named = re.search(r"UID ([0-9a-f-]{36})", SMC.read_text())
    assert named is not None
    words = [values()[f"IST_SMC_UID_{i}"] for i in range(4)]
    assert b"".join(w.to_bytes(4, "little") for w in words) == uuid.UUID(named[1]).bytes
    assert words[0] != 0xFFFFFFFF, "a caller would take it for SMC_UNK"
