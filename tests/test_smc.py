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


# ---- docs/SPEC.md says the same ----------------------------------------------------------------------

ROOT = SMC.parent.parent
ROW = re.compile(r"^\| (-?(?:0x)?[0-9a-f]+) \| `(IST_\w+)` \|(.*)\|$", re.MULTILINE)
CALLS = re.compile(r"^\| (0x[0-9a-f]{8}) \| `(IST_SMC_\w+)` \| (both|Normal|Secure) \|(.*)\|$", re.MULTILINE)


def spec_problems(text: str) -> list[str]:
    """Where SPEC's account of the monitor's calls differs from the header; nothing where they agree."""
    text = text[text.index("## The monitor's calls") :]
    numbers, said = values(), ROW.findall(text)
    problems = [
        f"{name} is {numbers.get(name)}, not {n}" for n, name, _ in said if numbers.get(name) != int(n, 0)
    ]
    named = [name for _, name, _ in said]
    problems += [f"{name} is in {named.count(name)} rows" for name in numbers if named.count(name) != 1]
    calls = CALLS.findall(text)
    if {name for _, name, _, _ in calls} != functions().keys():
        problems.append("the table of functions is not the header's")
    for _, name, _, rest in calls:
        refusals = rest.split("|")[-1].replace(",", " ").split()
        problems += [f"{name}: no result {r}" for r in refusals if numbers.get(f"IST_SMC_{r}", 0) >= 0]
    return problems


def test_spec_has_every_call_with_its_number() -> None:
    assert not spec_problems((ROOT / "docs" / "SPEC.md").read_text())


def test_a_wrong_spec_is_found() -> None:
    text = (ROOT / "docs" / "SPEC.md").read_text()
    for old, new in (
        ("0xc7000003 | `IST_SMC_DOORBELL`", "0xc7000005 | `IST_SMC_DOORBELL`"),
        ("| -4 | `IST_SMC_BUSY`", "| -5 | `IST_SMC_BUSY`"),
        ("| 40 | `IST_LOG_MAX` | bytes in one LOG call |\n", ""),
        ("BUSY, DENIED, NO_ENTROPY", "BUSY, DENIED, NO_SUCH"),
    ):
        assert old in text
        assert spec_problems(text.replace(old, new, 1)), new


def test_the_monitor_offers_each_call_to_the_worlds_that_spec_says() -> None:
    def cases(file: str, world: str) -> set[str]:
        source = (ROOT / "worlds" / "monitor" / "tfa" / file).read_text()
        body = source[source.index(f" from_{world}(uint32_t fid") :]
        return set(re.findall(r"case (IST_SMC_\w+):", body[: body.index("\n}\n")]))

    worlds = {"both": cases("dispatcher.c", "either")}
    worlds |= {"Normal": cases("normal.c", "normal"), "Secure": cases("secure.c", "secure")}
    for _, name, who, _ in CALLS.findall((ROOT / "docs" / "SPEC.md").read_text()):
        assert [world for world, names in worlds.items() if name in names] == [who], name
