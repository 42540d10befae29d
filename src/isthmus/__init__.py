# SPDX-License-Identifier: MIT
"""Isthmus: a network channel between two worlds of different criticality.

>>> import isthmus
>>> normal, secure = isthmus.memory_link()
>>> with normal, secure:
...     normal.send(b"a frame".ljust(60))
...     secure.receive(timeout=1).rstrip()
b'a frame'
"""

from __future__ import annotations

# Nothing is imported here, typing neither: until the command's main() runs, a Ctrl-C ends in a traceback.
TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from isthmus.channels import Channels
    from isthmus.config import ChannelConfig, Role, Tag
    from isthmus.endpoint import AsyncEndpoint, Endpoint
    from isthmus.errors import (
        ClosedError,
        ConcurrentUseError,
        ConfigError,
        EnvironmentProblem,
        IsthmusError,
        LinkDown,
        PeerDead,
    )
    from isthmus.links import connect, join, listen, memory_link
    from isthmus.stats import VERDICTS, LinkState, Statistics

__version__ = "0.1.0"

__all__ = [
    "VERDICTS",
    "AsyncEndpoint",
    "ChannelConfig",
    "Channels",
    "ClosedError",
    "ConcurrentUseError",
    "ConfigError",
    "Endpoint",
    "EnvironmentProblem",
    "IsthmusError",
    "LinkDown",
    "LinkState",
    "PeerDead",
    "Role",
    "Statistics",
    "Tag",
    "connect",
    "join",
    "listen",
    "memory_link",
]

# Names are fetched on first use.
_HOMES = {
    "channels": ("Channels",),
    "config": ("ChannelConfig", "Role", "Tag"),
    "endpoint": ("AsyncEndpoint", "Endpoint"),
    "errors": (
        "ClosedError",
        "ConcurrentUseError",
        "ConfigError",
        "EnvironmentProblem",
        "IsthmusError",
        "LinkDown",
        "PeerDead",
    ),
    "links": ("connect", "join", "listen", "memory_link"),
    "stats": ("VERDICTS", "LinkState", "Statistics"),
}


def __getattr__(name: str) -> Any:
    import importlib

    for module, names in _HOMES.items():
        if name in names:
            value = getattr(importlib.import_module(f"isthmus.{module}"), name)
            globals()[name] = value
            return value
    raise AttributeError(f"module 'isthmus' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
