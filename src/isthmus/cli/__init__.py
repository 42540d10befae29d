# SPDX-License-Identifier: MIT
"""The command `isthmus`. Importing this costs nothing; main() does the rest, where Ctrl-C is already
caught."""

from __future__ import annotations

__all__ = ["main"]


def main(argv: list[str] | None = None) -> int:
    """Runs one command line; returns its exit status."""
    try:
        from isthmus.cli.app import run_command_line

        return run_command_line(argv)
    except KeyboardInterrupt:
        return 130
