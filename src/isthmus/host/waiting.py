# SPDX-License-Identifier: MIT
"""Waiting in one thread for what another thread's event loop does."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Coroutine
from typing import Any, TypeVar

__all__ = ["run_in"]

T = TypeVar("T")


def run_in(loop: asyncio.AbstractEventLoop, work: Coroutine[Any, Any, T]) -> T:
    """Runs `work` in `loop`, which another thread runs, and returns or raises what it does. Whatever ends
    the wait before, cancels it.

    A Ctrl-C may come between any two instructions of the main thread. concurrent.futures would take locks
    there that the loop needs, and a lock that is taken just then is never given back; a pipe holds none.
    """
    tasks: list[asyncio.Task[T]] = []
    ours, theirs = os.pipe()

    def begin() -> None:
        task = loop.create_task(work)
        tasks.append(task)
        task.add_done_callback(lambda _: os.close(theirs))

    def cancel() -> None:
        for task in tasks:
            task.cancel()

    try:
        loop.call_soon_threadsafe(begin)
        os.read(ours, 1)  # until the other end is closed
    except BaseException:
        loop.call_soon_threadsafe(cancel)
        raise
    finally:
        os.close(ours)
    return tasks[0].result()
