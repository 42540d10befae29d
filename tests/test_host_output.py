# SPDX-License-Identifier: MIT
"""What a world writes to its standard error reaches its supervisor line by line, and never more than it can
bear."""

from __future__ import annotations

import asyncio
import subprocess

import pytest

from isthmus.cli.app import complain
from isthmus.host.output import BYTES, LINES, Output


def heard(script: str, turns: int = 1) -> tuple[list[str], list[int]]:
    """The lines of a shell script's, ended after so many wake-ups, and how many each of these brought."""

    async def hear() -> tuple[list[str], list[int]]:
        lines, brought = list[str](), list[int]()
        output = Output(lines.append)
        with subprocess.Popen(["sh", "-c", script], stdout=output.write) as process:
            try:
                for _ in range(turns):
                    before = len(lines)
                    while len(lines) == before:
                        await asyncio.sleep(0.001)
                    brought.append(len(lines) - before)
            finally:
                process.kill()
                process.wait()
        output.drain()
        output.close()
        return lines, brought

    return asyncio.run(asyncio.wait_for(hear(), 60))


def test_lines_come_whole_and_in_order() -> None:
    lines, _ = heard("echo one; printf tw; sleep 0.3; echo o; echo three", turns=2)
    assert lines == ["one", "two", "three"]


def test_a_world_that_writes_without_pause_holds_nobody() -> None:
    """The kernel's writer is quicker than we read: without a limit one wake-up would never end."""
    lines, brought = heard("exec yes", turns=3)
    assert max(brought) <= LINES + 1
    most = BYTES // 2 - LINES
    assert any(line == f"{most} lines more" for line in lines), lines
    assert set(lines) - {line for line in lines if line.endswith(" lines more")} <= {"y"}


def test_what_would_move_a_terminals_cursor_is_seen(capsys: pytest.CaptureFixture[str]) -> None:
    """A world's words end up there, as its last ones or as the machine's events."""
    lines, _ = heard("printf 'all \\033[2Jwell\\n'")
    assert lines == ["all ?[2Jwell"]
    assert complain("the world died: all \x1b[2Jwell\n\x07") == 2
    assert capsys.readouterr().err == "isthmus: the world died: all ?[2Jwell ?\n"
