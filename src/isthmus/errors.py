# SPDX-License-Identifier: MIT
"""What this package raises.

    IsthmusError
    ├── ConfigError (also ValueError)     geometry, MTU, tag, board value or file that cannot be
    ├── EnvironmentProblem                a tool, a permission or a kernel feature that is not there
    ├── LinkDown (also ConnectionError)   the session ended, or the peer was refused: see `reason`
    │   └── PeerDead                      the peer itself is gone
    ├── ClosedError                       this endpoint was closed, or belongs to the parent of a fork
    │   └── RestartedError                Linux began again in the middle of what was asked of it
    └── ConcurrentUseError                a second sender or a second receiver at the same time

Besides these, calls that may not wait raise the built-in BlockingIOError, calls whose time is up
TimeoutError, and a frame that could never be sent ValueError.

A peer's bad frame never raises: it is a verdict and a counter (`Endpoint.statistics`).

    >>> issubclass(PeerDead, ConnectionError), issubclass(ConfigError, ValueError)
    (True, True)
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from isthmus.endpoint import Endpoint

__all__ = [
    "ClosedError",
    "ConcurrentUseError",
    "ConfigError",
    "EnvironmentProblem",
    "IsthmusError",
    "LinkDown",
    "PeerDead",
    "RestartedError",
]


class IsthmusError(Exception):
    """Base of every exception that this package defines."""


class ConfigError(IsthmusError, ValueError):
    """A configuration that is refused, named in the message."""


class EnvironmentProblem(IsthmusError):
    """The machine lacks something: a program, a permission, a kernel feature."""


class LinkDown(IsthmusError, ConnectionError):
    """The session ended or the peer was refused.

    `reason` is the verdict's name as in core/abi.h, for example "PEER_MTU"; empty where no verdict applies.
    `endpoint` is the one whose session it was; None where there was none yet.
    """

    endpoint: Endpoint | None

    def __init__(self, message: str = "link is down", reason: str = "") -> None:
        super().__init__(message)
        self.reason = reason
        self.endpoint = None


class PeerDead(LinkDown):
    """The peer's process is gone, or it closed its endpoint, and no frame of its is left to read."""


class ClosedError(IsthmusError):
    """The endpoint was closed, by close() or because this process is a fork of the one that owns it."""


class RestartedError(ClosedError):
    """Linux stopped before it had done what it was asked for, or is off; the machine goes on."""


class ConcurrentUseError(IsthmusError):
    """One sender and one receiver may run at a time; this call would have been the second."""
