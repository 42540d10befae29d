# SPDX-License-Identifier: MIT
"""The user's cache: where it lies, one lock per job, and results that appear whole or not at all.

objects/KEY.o        one compiled source
programs/KEY/NAME    one linked program
sources/NAME-HASH/   one unpacked upstream archive
staging/JOB/         work in progress; only who holds locks/JOB touches it
"""

from __future__ import annotations

import fcntl
import logging
import os
import shutil
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from isthmus.errors import EnvironmentProblem

__all__ = ["folder", "prune", "staging", "used"]

_log = logging.getLogger("isthmus.build")
_KEEP_DAYS = 30


def folder(*parts: str) -> Path:
    """A folder of the cache, made where missing: $XDG_CACHE_HOME/isthmus, by default ~/.cache/isthmus."""
    base = Path(os.environ.get("XDG_CACHE_HOME", ""))
    try:
        if not base.is_absolute():  # the XDG rule: unset and relative are the same
            base = Path("~/.cache").expanduser()
        place = base.joinpath("isthmus", *parts)
        place.mkdir(parents=True, exist_ok=True)
    except (OSError, RuntimeError) as error:  # RuntimeError: there is no home
        why = (error.strerror if isinstance(error, OSError) else None) or error
        raise EnvironmentProblem(
            f"cannot make a cache in {base}: {why}; set XDG_CACHE_HOME to a folder that can be written"
        ) from None
    return place


@contextmanager
def staging(job: str) -> Iterator[Path]:
    """An empty folder for one job, alone: another process with the same job waits. Removed at the end; what a
    killed job left behind is removed by the next."""
    lock = os.open(folder("locks") / job, os.O_CREAT | os.O_RDWR | os.O_CLOEXEC, 0o600)
    try:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            _log.info("waiting for another process that builds %s", job)
            fcntl.flock(lock, fcntl.LOCK_EX)
        place = folder("staging") / job
        shutil.rmtree(place, ignore_errors=True)
        try:
            place.mkdir()
            yield place
        except OSError as error:
            raise EnvironmentProblem(f"cannot write {place}: {error.strerror or error}") from None
        finally:
            shutil.rmtree(place, ignore_errors=True)
    finally:
        os.close(lock)  # and with it the lock


def used(result: Path) -> Path:
    """Notes that a result was used, so that prune() keeps it."""
    with suppress(OSError):
        os.utime(result)
    return result


def prune() -> None:
    """Removes objects and programs that nobody has used for a month."""
    oldest = time.time() - _KEEP_DAYS * 86400
    for result in (*folder("objects").iterdir(), *folder("programs").glob("*/*")):
        with suppress(OSError):
            if result.stat().st_mtime < oldest:
                result.unlink()
                if result.parent.parent.name == "programs":
                    result.parent.rmdir()
