# SPDX-License-Identifier: MIT
"""Runs one command in a world's namespaces: `python -I -S enter.py NAMESPACES DIRECTORY COMMAND...`.

A program of its own, never imported. It joins namespaces by inherited descriptors (user,mnt,net,ipc,pid) and
forks, because only a child is in the joined PID namespace; the child becomes the command, with the caller's
standard streams, session and controlling terminal. The exit status is env(1)'s: 126 cannot be executed, 127 not
found, 128+n ended by signal n. 125: the namespaces are gone.
"""

from __future__ import annotations

import ctypes
import os
import select
import signal
import sys

PR_SET_PDEATHSIG = 1
KINDS = {"USER": 0x10000000, "MNT": 0x20000, "NET": 0x40000000, "IPC": 0x8000000, "PID": 0x20000000}

libc = ctypes.CDLL(None, use_errno=True)


def join(fds: list[int]) -> None:
    for fd, kind in zip(fds, KINDS.values(), strict=True):  # user first: it permits the rest
        if libc.setns(fd, kind) < 0:
            raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))
        os.close(fd)


def become(argv: list[str], parent_alive: int) -> int:
    """Turns into the command; returns the status to exit with if that fails."""
    libc.prctl(PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
    if select.select([parent_alive], [], [], 0)[0]:  # end of file: it died before the line above took effect
        return 125
    for number in (signal.SIGINT, signal.SIGPIPE, signal.SIGXFSZ):
        signal.signal(number, signal.SIG_DFL)
    try:
        os.execvp(argv[0], argv)
    except OSError as error:
        os.write(2, f"isthmus: {argv[0]}: {error.strerror}\n".encode())
        return 127 if isinstance(error, FileNotFoundError) else 126


def wait(pid: int) -> int:
    """Waits for the command; what would end us ends it instead."""
    for number in (signal.SIGINT, signal.SIGQUIT):
        signal.signal(number, signal.SIG_IGN)  # the terminal sends them to the command too
    for number in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, lambda n, _: os.kill(pid, n))
    code = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
    return code if code >= 0 else 128 - code


def main(namespaces: str, directory: str, argv: list[str]) -> int:
    try:
        with_path = os.path.realpath(directory)  # the mount namespace has a working directory of its own
        join([int(fd) for fd in namespaces.split(",")])
        for where in (with_path, "/"):
            try:
                os.chdir(where)
                break
            except OSError:
                continue
        alive, ours = os.pipe()
        pid = os.fork()
    except OSError as error:
        os.write(2, f"isthmus: {argv[0]}: the Normal world is gone ({error.strerror})\n".encode())
        return 125
    if pid == 0:
        os.close(ours)
        return become(argv, alive)
    os.closerange(0, ours)
    os.closerange(ours + 1, os.sysconf("SC_OPEN_MAX") if ours < 1024 else ours + 1024)
    return wait(pid)


if __name__ == "__main__":
    status = 125
    try:
        status = main(sys.argv[1], sys.argv[2], sys.argv[3:])
    finally:
        os._exit(status)
