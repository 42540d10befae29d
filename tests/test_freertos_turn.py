# SPDX-License-Identifier: MIT
"""How two tasks of FreeRTOS share the channel on the host machine, without FreeRTOS: the peer acts at every
moment of their course, with a switch of tasks at every other.
"""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
POSIX = ROOT / "worlds" / "secure" / "freertos" / "posix"
FLAGS = ["-std=c11", "-g", "-O1", "-Wall", "-Wextra", "-Wconversion", "-pedantic", "-Werror"]
SANITIZE = ["-fsanitize=address,undefined", "-fno-sanitize-recover=all"]
INCLUDES = [
    ROOT / "core", ROOT / "host", ROOT / "worlds/secure/port", POSIX, ROOT / "tests/freertos"
]  # fmt: skip


def compiled(folder: Path, *sources: Path, more: tuple[str, ...] = ()) -> list[str]:
    """The sources' objects in `folder`. The double has its own sched_yield(); the sanitizer needs libc's."""
    flags = [*FLAGS, *SANITIZE, "-Dsched_yield=double_yields", *more, *(f"-I{place}" for place in INCLUDES)]
    subprocess.run(["gcc", *flags, "-c", *map(str, sources)], check=True, cwd=folder)
    return [str(folder / f"{source.stem}.o") for source in sources]


@pytest.fixture(scope="module")
def around(tmp_path_factory: pytest.TempPathFactory) -> list[str]:
    """All but turn.c itself."""
    core = sorted((ROOT / "core").glob("*.c"))
    test = compiled(tmp_path_factory.mktemp("double"), ROOT / "tests/freertos/turn.c")
    return [*test, *compiled(tmp_path_factory.mktemp("core"), *core)]


def run(folder: Path, around: list[str], turn: Path, *more: str) -> subprocess.CompletedProcess[str]:
    program = folder / "turns"
    own = compiled(folder, turn, more=more)
    subprocess.run(["gcc", *SANITIZE, *own, *around, "-o", str(program)], check=True)
    return subprocess.run([program], check=False, capture_output=True, text=True, timeout=120)


def test_nobody_sleeps_over_a_frame(around: list[str], tmp_path: Path) -> None:
    done = run(tmp_path, around, POSIX / "turn.c")
    assert done.returncode == 0, done.stdout + done.stderr


MISTAKES = {
    "a look at memory that may go": ("    taskENTER_CRITICAL();\n", "", "    taskEXIT_CRITICAL();\n", ""),
    "received out of turn": ("    turn_take(t);\n    receive(t, t->last", "    receive(t, t->last"),
    "no doorbell asked for": ("&& !arm(t);", ";"),
    "no look after that": ("ist_arm_for_sleep(t->lane[k].ep))", "(ist_arm_for_sleep(t->lane[k].ep), 0))"),
    "more is left and nobody takes it": ("t->last != IST_V_OK && !arm(t)", "!arm(t)"),
    "a doorbell for a look alone": ("t->last != IST_V_EMPTY || enough(t));", "0);"),
    "the network task is not told": ("if (!t->armed && !events())", "if (0)"),
    "a look for ever": ("&& !events() && !enough(t))", "&& !events())"),
    "a look beside an event": ("!pending(t) && !events()", "!pending(t)"),
    "a look beside a frame": ("!pending(t) && ", ""),
    "a look beyond what paid off": ("busypoll_until(&t->busy);", "busypoll_until(&t->busy) + 9000;"),
    "work at a look's priority": ("vTaskPrioritySet(NULL, ipconfigIP_TASK_PRIORITY)", "(void)0"),
    "a look before others": ("vTaskPrioritySet(NULL, t->look)", "(void)0"),
    "a look that nobody hears of": ("t->looking = 1;", ""),
    "a look that never ends": ("t->looking = 0;", ""),
    "sockets that hear late": ("    vCheckNetworkTimers();", "    "),
    "the IP task's work on a doorbell's": ("(t->armed && (t->last != IST_V_EMPTY || enough(t)))", "0"),
    "a bell in the midst of work": ("    disarm(t);\n    t->last", "    t->last"),
}  # fmt: skip


@pytest.mark.parametrize("name", MISTAKES)
def test_a_mistake_is_noticed(name: str, around: list[str], tmp_path: Path) -> None:
    text = (POSIX / "turn.c").read_text(encoding="utf-8")
    for old, new in zip(MISTAKES[name][::2], MISTAKES[name][1::2], strict=True):
        assert text.count(old) == 1
        text = text.replace(old, new)
    changed = tmp_path / "turn.c"
    changed.write_text(text, encoding="utf-8")
    assert run(tmp_path, around, changed, "-Wno-unused-function").returncode != 0
