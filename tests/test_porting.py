# SPDX-License-Identifier: MIT
"""What is not defended is asked of whoever brings Isthmus to a board, and listed among the threats."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent

#: What a board decides, as both documents have to name it, and a word that the account cannot do without.
ASKED = {
    "Shared caches": "partition",
    "DRAM and interconnect": "quality-of-service",
    "TLB broadcasts": "TLBI",
    "Clocks and power domains": "SCMI",
    "DMA masters without an SMMU": "address-space controller",
    "Poisoned memory": "abort",
    "Rowhammer": "guard rows",
    "Timing side channels": "constant-time",
    "Debug port": "SPIDEN",
    "Unauthenticated boot": "TRUSTED_BOARD_BOOT",
}
PARTS = ("What could happen", "Look for", "Do")


def questions(text: str) -> dict[str, str]:
    """PORTING's questions, by their heading."""
    section = text[text.index("## Questions to your board") :]
    section = section[: section.index("\n## ", 1)]
    return dict(re.findall(r"^### (.+)\n\n((?:.+\n)+)", section, re.MULTILINE))


def undefended(text: str) -> list[str]:
    """What THREATS leaves to the board."""
    section = text[text.index("### What the board has to answer") :]
    return re.findall(r"^\| ([A-Z][^|]+?) \|", section, re.MULTILINE)


@pytest.mark.parametrize("name", ASKED)
def test_each_question_says_what_where_and_how(name: str) -> None:
    asked = questions((ROOT / "docs" / "PORTING.md").read_text())[name]
    assert tuple(re.findall(r"^- \*\*(.+):\*\*", asked, re.MULTILINE)) == PARTS
    assert ASKED[name] in re.sub(r"\s+", " ", asked)


def test_both_documents_have_the_same_list() -> None:
    assert list(questions((ROOT / "docs" / "PORTING.md").read_text())) == list(ASKED)
    assert undefended((ROOT / "docs" / "THREATS.md").read_text()) == list(ASKED)
