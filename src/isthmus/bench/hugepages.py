# SPDX-License-Identifier: MIT
"""Runs a command where it finds huge pages: `hugepages.py PROGRAM ARGUMENT...`. A program of its own, never
imported.

    this program ---- becomes PROGRAM, which finds the folder of huge pages in ISTHMUS_BENCH_HUGE
         |
      guardian        waits until PROGRAM and all it started are gone, however they end; gives the pages back

The folder is mounted in a namespace of our own, and goes with it.
"""

from __future__ import annotations

import ctypes
import os
import signal
import sys
import tempfile
from pathlib import Path

NEWNS, REC, PRIVATE = 0x00020000, 0x4000, 1 << 18  # unshare(2), mount(2)
PAGES = 48  # of 2 MiB
POOL = Path("/proc/sys/vm/nr_hugepages")


def call(name: str, *arguments: object) -> None:
    libc = ctypes.CDLL(None, use_errno=True)
    if getattr(libc, name)(*arguments) != 0:
        error = ctypes.get_errno()
        raise OSError(error, f"{name}: {os.strerror(error)}")


def guard(added: int, folder: str) -> None:
    """Forks the guardian. Its pipe's other end is inherited by whatever runs."""
    read, write = os.pipe()
    os.set_inheritable(write, True)
    if os.fork() > 0:
        os.close(read)
        return
    os.setsid()
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)
    os.close(write)
    null = os.open(os.devnull, os.O_RDWR)
    for standard in range(3):  # whoever reads our output must not wait for us
        os.dup2(null, standard)
    os.read(read, 1)
    call("umount2", folder.encode(), 2)
    os.rmdir(folder)
    POOL.write_text(str(max(0, int(POOL.read_text()) - added)))
    os._exit(0)


def main(command: list[str]) -> int:  # noqa: RET503 - or becomes the command
    if os.geteuid() != 0:
        sys.stderr.write("needs root for huge pages\n")
        return 2
    try:
        before = int(POOL.read_text())
        folder = tempfile.mkdtemp(prefix="isthmus-huge-")
        call("unshare", NEWNS)
        call("mount", b"none", b"/", None, ctypes.c_ulong(REC | PRIVATE), None)
        call("mount", b"none", folder.encode(), b"hugetlbfs", ctypes.c_ulong(0), b"pagesize=2M")
        guard(PAGES, folder)
        POOL.write_text(str(before + PAGES))
        if int(POOL.read_text()) < before + PAGES:
            sys.stderr.write(f"no {PAGES} huge pages to be had\n")
            return 2
    except OSError as error:
        sys.stderr.write(f"no huge pages: {error}\n")
        return 2
    environment = {**os.environ, "ISTHMUS_BENCH_HUGE": folder, "XDG_RUNTIME_DIR": folder}
    os.execvpe(command[0], command, environment)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
