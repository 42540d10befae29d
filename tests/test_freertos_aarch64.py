# SPDX-License-Identifier: MIT
"""The glue for FreeRTOS at Secure EL1 against a double of the kernel's headers: it compiles, everything that
it calls exists, and the interrupt priorities lie where Linux cannot mask them. The kernel itself is not part
of this project; that the glue works with it is seen on the machine."""

from __future__ import annotations

import re
import shutil
import subprocess
from dataclasses import replace
from pathlib import Path

import pytest

from isthmus.build.given import require_board
from isthmus.build.payload import CROSS, FLAGS, generated
from isthmus.cli.common import Common
from isthmus.errors import ConfigError, EnvironmentProblem
from isthmus.trustzone.board import load

ROOT = Path(__file__).parent.parent
SECURE = ROOT / "worlds" / "secure"
GLUE = SECURE / "freertos" / "aarch64"
DOUBLE = ROOT / "tests" / "freertos" / "aarch64"
# What docs/PORTING.md lists of the runtime: everything else there belongs to the scheduler for lwIP.
RUNTIME = (
    *("account", "begin", "channel", "clock", "console", "fault", "gicv3", "mmu", "normal", "orders"),
    *("random", "restart"),
)
WARNINGS = ("-Wall", "-Wextra", "-Wconversion", "-Werror")
# Names of the kernel's and the stack's, by their prefixes.
FOREIGN = re.compile(r"(x|v|ux|ul|ull|pv|px)[A-Z]\w*|FreeRTOS_\w+|task(ENTER|EXIT)_CRITICAL|taskYIELD")

pytestmark = pytest.mark.skipif(shutil.which(f"{CROSS}gcc") is None, reason=f"no {CROSS}gcc here")


def includes(glue: Path = GLUE) -> list[str]:
    runtime = SECURE / "runtime"
    places = [
        *(glue, DOUBLE, SECURE / "freertos" / "apps", SECURE / "freertos", SECURE / "freertos" / "example"),
        *(runtime / "libc", runtime, generated(load()), ROOT / "core"),
        *(SECURE / name for name in ("port", "apps", "critical")),
    ]
    return [f"-I{place}" for place in places]


def compiled(sources: list[Path], folder: Path, *more: str, glue: Path = GLUE) -> list[Path]:
    """Objects of `sources` as the product's payload is compiled. CalledProcessError with what gcc said."""
    gcc = subprocess.run(
        [f"{CROSS}gcc", "-print-file-name=include"], capture_output=True, text=True, check=True
    )
    command = [f"{CROSS}gcc", *FLAGS, *WARNINGS, *more, *includes(glue), "-isystem", gcc.stdout.strip(), "-c"]
    subprocess.run([*command, *map(str, sources)], cwd=folder, check=True, capture_output=True, text=True)
    return [folder / f"{source.stem}.o" for source in sources]


def symbols(objects: list[Path], *options: str) -> set[str]:
    done = subprocess.run(
        [f"{CROSS}nm", "-P", *options, *map(str, objects)], capture_output=True, text=True, check=True
    )
    return {line.split()[0] for line in done.stdout.splitlines() if " " in line}


def sources() -> list[Path]:
    return [*sorted(GLUE.glob("*.c")), *sorted(GLUE.glob("*.S"))]


def test_everything_that_it_calls_is_there(tmp_path: Path) -> None:
    """In the runtime, the core and the critical application; or it is FreeRTOS'."""
    own = compiled(sources(), tmp_path)
    (tmp_path / "others").mkdir()
    others = [
        *(SECURE / "runtime" / f"{name}.c" for name in RUNTIME if name != "mmu"),
        SECURE / "runtime" / "libc" / "string.c",
        SECURE / "runtime" / "start.S",
        *(SECURE / "critical").glob("*.c"),
        *(SECURE / "apps").glob("*.c"),
        *(ROOT / "core").glob("*.c"),
    ]
    shared = compiled(others, tmp_path / "others")
    defined = symbols([*own, *shared], "--defined-only")
    linked = {name for name in symbols([*own, *shared], "--undefined-only") if name not in defined}
    script = (GLUE / "payload.ld").read_text()
    ours = {
        *(name for name in linked if FOREIGN.fullmatch(name)),
        *re.findall(r"^\s*(__\w+) = \.;", script, re.MULTILINE),
        *("mmu_on", "mmu_check"),
        *applications(),
    }
    assert not linked - ours


def test_the_list_for_users_is_complete() -> None:
    text = (ROOT / "docs" / "PORTING.md").read_text()
    row = next(line for line in text.splitlines() if line.startswith("| `worlds/secure/runtime/` |"))
    assert set(re.findall(r"`([\w/]+)\.[cS]`", row)) == {*RUNTIME, "start", "libc/string"}


FRAMES = "channel.frame_max=1536"

# What the board is set to, and what the one line says.
BOARDS = {
    "joined frames": ((), r"--set channel\.frame_max=1536"),
    "an older interrupt controller": ((FRAMES, "gic.version=2"), r"gic\.version = 2: FreeRTOS's port"),
}


@pytest.mark.parametrize("name", BOARDS)
def test_a_board_that_freertos_cannot_serve_is_refused(name: str) -> None:
    changes, line = BOARDS[name]
    common = Common("qemu", "freertos", Path("unused"), None, "-", verbose=False, changes=changes)
    with pytest.raises(ConfigError, match=line):
        common.board()
    assert replace(common, world=None).board() == load(changes=changes)


def test_a_payload_of_another_board_is_refused(tmp_path: Path) -> None:
    """Before anything is started: what is compiled for a board has its digest in it."""
    (world,) = compiled([SECURE / "runtime" / "begin.c"], tmp_path)
    require_board(world, load())
    for change in (FRAMES, "core.normal=[1]", "secure.fp=switched", "channel.tag=crc32c"):
        with pytest.raises(EnvironmentProblem, match="built for another board"):
            require_board(world, load(changes=(change,)))


def applications() -> set[str]:
    """What the port and the applications on FreeRTOS+TCP's sockets define, by their headers."""
    headers = ("freertos/isthmus_freertos.h", "freertos/apps/freertosapps.h", "apps/apps.h")
    text = "".join((SECURE / name).read_text() for name in headers)
    return set(re.findall(r"(\w+)\(", text))


def test_the_scripts_restart_only_what_may_begin_anew() -> None:
    """The kernel's files with variables are left out of both halves of what is put back."""
    script = (GLUE / "payload.ld").read_text()
    for name in ("tasks", "timers", "queue", "port"):
        assert script.count(f"*{name}.*") == 3, name
    plain = (SECURE / "runtime" / "payload.ld").read_text()
    stacks = re.compile(r"\.stacks.*?> RAM", re.DOTALL)
    assert stacks.findall(script) == stacks.findall(plain)


# Text of FreeRTOSConfig.h, what stands there instead, which file notices, and what it says.
MISTAKES = {
    "the tick among Linux's": (
        *("configLINUX_LEVELS = 16", "configLINUX_LEVELS = 0"),
        *("interrupts.c", "Linux cannot mask the tick"),
    ),
    "the mask among Linux's": ("(24 - configLINUX_LEVELS)", "24", "interrupts.c", "the kernel's mask"),
    "an interrupt that may not call the kernel": (
        *("(24 - configLINUX_LEVELS)", "(30 - configLINUX_LEVELS)"),
        *("interrupts.c", "both may call the kernel"),
    ),
    "what the port refuses": ("(24 - configLINUX_LEVELS)", "8", "interrupts.c", "in the upper half"),
    "another priority of the deferred": (
        *("configTIMER_TASK_PRIORITY 8", "configTIMER_TASK_PRIORITY 3"),
        *("tasks.c", '"levels"'),
    ),
    "too few levels": ("configMAX_PRIORITIES 11", "configMAX_PRIORITIES 8", "tasks.c", '"levels"'),
}


@pytest.mark.parametrize("name", MISTAKES)
def test_a_wrong_priority_does_not_compile(name: str, tmp_path: Path) -> None:
    old, new, file, said = MISTAKES[name]
    glue = tmp_path / "glue"
    shutil.copytree(GLUE, glue)
    config = glue / "FreeRTOSConfig.h"
    assert old in config.read_text()
    config.write_text(config.read_text().replace(old, new))
    with pytest.raises(subprocess.CalledProcessError) as refused:
        compiled([glue / file], tmp_path, "-fsyntax-only", glue=glue)
    assert said in refused.value.stderr
