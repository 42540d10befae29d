# SPDX-License-Identifier: MIT
"""What a world said, for a terminal.

>>> printable("so\\x1b[2J long")
'so?[2J long'
"""

from __future__ import annotations

__all__ = ["printable"]


def printable(text: str) -> str:
    """The same with ? for what moves a cursor, changes a colour or cannot be seen: a world may be hostile."""
    return "".join(c if c.isprintable() else "?" for c in text)
