# SPDX-License-Identifier: MIT
"""Single keys of a board file with another value: from the command line, and in tests that need a variant."""

from __future__ import annotations

import subprocess
import sys

import pytest

from isthmus import boards
from isthmus.errors import ConfigError
from isthmus.tables import tables
from isthmus.trustzone.board import load


def test_a_change_replaces_one_key_and_leaves_the_rest() -> None:
    usual, changed = load(), load(changes=["core.normal=[0, 1]", "channel.mtu=1400", "name=two cores"])
    assert (changed.core.normal, changed.channel.mtu, changed.name) == ((0, 1), 1400, "two cores")
    assert (changed.core.secure, changed.memory, changed.firmware) == (
        usual.core.secure, usual.memory, usual.firmware,
    )  # fmt: skip
    assert boards.load("host", changes=["channel.mtu=1400"]).channel.mtu == 1400


def test_the_last_change_of_a_key_counts_and_tables_merge() -> None:
    assert tables("[a]\nb = 1\nc = 2", "f", ["a.b=3", 'a={c = "x"}', "a.b=4"]) == {"a": {"b": 4, "c": "x"}}


@pytest.mark.parametrize(
    ("change", "line"),
    [
        ("core", "'core' is not a change of a board: key.path=value"),
        ("=1", "'=1' is not a change of a board"),
        ("core=1", "'core=1': core is a table; name one of its keys"),
        ("core.normal=1", "core.normal: expected array, got int"),
        pytest.param(f"core.secure={'9' * 5000}", "core.secure: expected int, got str", id="digits"),
        pytest.param(f"core.normal={'[' * 5000}", "core.normal: expected array, got str", id="depth"),
        ("core.nromal=[0]", "core.nromal: unknown key"),
        ("memory.window.base=0x5f800001", "memory.window.base: 0x5f800001 is not a multiple of the page"),
    ],
)
def test_a_change_that_cannot_be_is_one_line(change: str, line: str) -> None:
    with pytest.raises(ConfigError) as error:
        load(changes=[change])
    assert line in str(error.value)
    assert "\n" not in str(error.value)


def test_the_command_line_takes_changes() -> None:
    command = [sys.executable, "-c", "import sys; from isthmus.cli import main; sys.exit(main())"]
    told = subprocess.run(
        [*command, "board", "check", "--set", "name=other", "--set", "channel.mtu=1400"],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert (told.returncode, told.stdout.splitlines()[0]) == (0, "other: every rule holds")
    wrong = subprocess.run(
        [*command, "check", "--machine", "qemu", "--set", "core.secure=9"],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert (wrong.returncode, wrong.stdout, wrong.stderr.count("\n")) == (2, "", 1)
    assert "core.secure: 9 is not within 0..7" in wrong.stderr
