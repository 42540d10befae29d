# SPDX-License-Identifier: MIT
"""What the core costs a small target: text, private state, shared memory. Exit status 1 above a limit.

Text is what a firmware links: code and read-only data of every file in core/ at -Os for AArch64, the portable
CRC table included, without unwind tables. State is one endpoint. The smallest channel has the smallest ring
that carries Ethernet frames of MTU 1500.
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path

CORE = Path(__file__).parent.parent / "core"
CROSS = "aarch64-linux-gnu-"
FLAGS = ["-std=c11", "-Os", "-ffreestanding", "-nostdinc", f"-I{CORE}"]
FLAGS += ["-fno-unwind-tables", "-fno-asynchronous-unwind-tables"]

FILTER = "filter.c"  # a unit of its own: a side without an allow-list never calls it

# sizeof(struct ist_endpoint), as the size of an object that nm(1) shows without running AArch64 code.
STATE = '#include "isthmus.h"\nstruct ist_endpoint endpoint;\n'

SMALLEST = """
#include <stdio.h>
#include "isthmus.h"
int main(void)
{
    struct ist_config c = {.frame_max = 1500 + IST_ETHER_ROOM, .mtu = 1500};
    for (c.ring_bytes[0] = IST_RING_MIN; c.ring_bytes[0] <= IST_RING_MAX; c.ring_bytes[0] *= 2) {
        c.ring_bytes[1] = c.ring_bytes[0];
        if (ist_config_check(&c) == IST_V_OK)
            return !printf("%u", (unsigned)ist_buffer_size(&c, IST_NORMAL));
    }
    return 1;
}
"""


@dataclass(frozen=True)
class Size:
    """Bytes of one part, with the most that it may have."""

    what: str
    bytes: int
    limit: int

    @property
    def ok(self) -> bool:
        return self.bytes <= self.limit


def run(*command: str | Path, stdin: str | None = None) -> str:
    return subprocess.run(command, input=stdin, check=True, stdout=subprocess.PIPE, text=True).stdout


def text_by_file(work: Path) -> dict[str, int]:
    """Code and read-only data of each file of the core, at -Os for AArch64."""
    sizes = {}
    for source in sorted(CORE.glob("*.c")):
        compiled = work / f"{source.stem}.o"
        run(f"{CROSS}gcc", *FLAGS, "-c", "-o", compiled, source)
        sizes[source.name] = int(run(f"{CROSS}size", compiled).splitlines()[1].split()[0])
    return sizes


def state(work: Path) -> int:
    compiled = work / "state.o"
    run(f"{CROSS}gcc", *FLAGS, "-xc", "-c", "-o", compiled, "-", stdin=STATE)
    return int(run(f"{CROSS}nm", "-S", compiled).split()[1], 16)


def smallest_buffer(work: Path) -> int:
    program = work / "smallest"
    run("cc", "-std=c11", f"-I{CORE}", "-o", program, *CORE.glob("*.c"), "-xc", "-", stdin=SMALLEST)
    return int(run(program))


def sizes(work: Path) -> list[Size]:
    text = text_by_file(work)
    return [
        Size("core text without the filter, AArch64 -Os", sum(text.values()) - text[FILTER], 8 * 1024),
        Size("filter text, AArch64 -Os", text[FILTER], 2 * 1024),
        Size("private state of an endpoint", state(work), 1024),
        Size("smallest buffer, MTU 1500 (a channel has two)", smallest_buffer(work), 16 * 1024),
    ]


def main() -> int:
    with tempfile.TemporaryDirectory() as work:
        measured = sizes(Path(work))
        for name, text in text_by_file(Path(work)).items():
            print(f"    {name:42}{text:6}")
    for size in measured:
        print(f"{size.what:46}{size.bytes:6} B of {size.limit}{'' if size.ok else '  OVER'}")
    return 0 if all(size.ok for size in measured) else 1


if __name__ == "__main__":
    sys.exit(main())
