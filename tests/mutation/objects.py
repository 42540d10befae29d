# SPDX-License-Identifier: MIT
"""Whether a change is one at all: a file may compile to the same machine code without its comparison or call.

Such a change needs no test, and none could notice it: a limit that stands twice, a barrier that the compiler
did not need, a clear of what is zero already.
"""

from __future__ import annotations

import functools
import subprocess
from pathlib import Path

import monitor_programs
from core_programs import ROOT
from isthmus.build.payload import CROSS

__all__ = ["same_code", "same_monitor"]

# Nothing is left out for want of a caller, nor for being folded into each.
_COMMON = ("-std=c11", "-w", "-ffreestanding", "-fkeep-static-functions", "-fkeep-inline-functions",
           "-D__always_inline__=__unused__")  # fmt: skip
_FOLDERS = (ROOT / "core", ROOT / "worlds" / "secure" / "port")
#: As the project's products are built. On AArch64 a relaxed access has another instruction.
BUILDS = (
    (f"{CROSS}gcc", "-O2", "-mgeneral-regs-only", "-mno-outline-atomics"),
    (f"{CROSS}gcc", "-Os", "-mgeneral-regs-only", "-mno-outline-atomics"),
    ("gcc", "-O2"),
)


def same_code(file: str, text: str, folder: Path) -> bool:
    """Whether `text` in place of `file` compiles to what the file does, in each build. False if not at all.

    Of a header, all its functions by themselves, and each file of the core that they are folded into.
    `folder` is the caller's, for what is made meanwhile.
    """
    folder.mkdir(parents=True, exist_ok=True)
    users = sorted((ROOT / "core").glob("*.c")) if file.endswith(".h") else []
    original = (ROOT / file).read_text(encoding="utf-8")
    for user in ("", *map(str, users)):
        for build in BUILDS:
            made = _code(build, folder, Path(file).name, text, user)
            if made is None or made != _code(build, folder, Path(file).name, original, user):
                return False
    return True


@functools.lru_cache(2000)
def _code(build: tuple[str, ...], folder: Path, name: str, text: str, user: str) -> bytes | None:
    """What a file compiles to, alone or in front of `user`, which includes it; None if it does not."""
    (folder / name).write_text(text, encoding="utf-8")
    made = folder / "code.o"
    includes = [f"-I{place}" for place in (folder, *_FOLDERS)]
    # By standard input, and no debug information: the object does not say from where it is.
    done = subprocess.run(
        [*build, *_COMMON, *includes, "-x", "c", "-c", "-", "-o", str(made)],
        input=f'#include "{name}"\n' + (f'#include "{user}"\n' if user else ""),
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    return made.read_bytes() if done.returncode == 0 else None


def same_monitor(name: str, text: str, folder: Path) -> bool:
    """The same of a file of the monitor, for each kind of board, against the doubles' headers."""
    cross = (f"{CROSS}gcc", "-Os", "-mgeneral-regs-only", "-mno-outline-atomics")
    if name.endswith(".S"):
        return False
    for board in monitor_programs.BOARDS:
        place = folder / "monitor" / board
        place.mkdir(parents=True, exist_ok=True)
        codes = []
        for content in (text, (monitor_programs.MONITOR / name).read_text(encoding="utf-8")):
            (place / name).write_text(content, encoding="utf-8")
            users = sorted(monitor_programs.MONITOR.glob("*.c")) if name.endswith(".h") else [place / name]
            codes.append([
                monitor_programs.compiled(folder / board, board, user, place / name, cross).read_bytes()
                for user in users
            ])  # fmt: skip
        if codes[0] != codes[1]:
            return False
    return True
