# SPDX-License-Identifier: MIT
"""Ways to move frames between two Python processes: the channel, and what people use instead.

Each module has `ends()`: a context of both ends, made before the fork, that gives a maker of one end's Port,
called after it. It raises Missing where the machine lacks what it needs.
"""

from __future__ import annotations

from array import array
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from importlib import import_module
from typing import cast

__all__ = ["SLOTS", "SPIN", "Broken", "Make", "Missing", "Port", "ends"]

SPIN = 0  # in the settings' `wait`: never sleep; 1: spin first, 2: sleep at once
SLOTS = 256  # frames each way, where a port counts them
NAMES = ("channel", "mp-pipe", "shared-memory", "pyzmq", "iceoryx2")


class Broken(Exception):
    """The run went wrong; the message says how."""


class Missing(Exception):
    """This machine lacks what the port needs; the message says what."""


@dataclass(frozen=True, slots=True)
class Port:
    """One end: calls that move one frame, and for batches calls that move several. All wait."""

    send: Callable[[bytes], object]
    receive: Callable[[], bytes]
    send_batch: Callable[[Sequence[bytes]], object] | None = None
    receive_batch: Callable[[], Sequence[bytes]] | None = None
    # Frames one behind the other in a buffer, and their lengths; both without an object per frame.
    send_batch_from: Callable[[bytes, array[int]], int] | None = None
    receive_batch_into: Callable[[bytearray, memoryview], int] | None = None
    finish: Callable[[], object] = lambda: None  # returns when what was sent is on its way without us


# The end's number (0 leads) and the run's settings, to its port. Ends are in processes of their own.
Make = Callable[[int, dict[str, int]], Port]


def ends(name: str) -> AbstractContextManager[Make]:
    """Of the port called so. Raises KeyError for another name, Missing without its package."""
    if name not in NAMES:
        raise KeyError(name)
    module = import_module(f"{__name__}.{name.replace('-', '_')}")
    return cast(AbstractContextManager[Make], module.ends())
