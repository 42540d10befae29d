# SPDX-License-Identifier: MIT
"""The numbers of core/smc.h, as the compiler reads them."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

SMC = Path(__file__).parent.parent / "core" / "smc.h"


def values() -> dict[str, int]:
    """Every number of the header, as the preprocessor and a C expression see it."""
    text = SMC.read_text()
    names = re.findall(r"^#define (IST_\w+) (?=\S)", text, re.MULTILINE)
    lines = subprocess.run(
        ["cc", "-E", "-P", "-include", str(SMC), "-"],
        input="\n".join(f'"{name}" {name}' for name in names),
        stdout=subprocess.PIPE,
        check=True,
        text=True,
    ).stdout
    return {name: int(value.strip(), 0) for name, value in re.findall(r'^"(\w+)" (.+)$', lines, re.MULTILINE)}
