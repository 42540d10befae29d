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
