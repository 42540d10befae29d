# SPDX-License-Identifier: MIT
"""Runs one command in a world's namespaces: `python -I -S enter.py NAMESPACES DIRECTORY COMMAND...`.

A program of its own, never imported. It joins namespaces by inherited descriptors (user,mnt,net,ipc,pid) and
forks, because only a child is in the joined PID namespace; the child becomes the command, with the caller's
standard streams, session and controlling terminal. The exit status is env(1)'s: 126 cannot be executed, 127
not found, 128+n ended by signal n. 125: the namespaces are gone.
"""

from __future__ import annotations

import ctypes
import os
import select
import signal
import sys

PR_SET_PDEATHSIG, PR_CAPBSET_DROP = 1, 24
CAP_SYS_PTRACE = 19
SI_KERNEL = 0x80
KINDS = {"USER": 0x10000000, "MNT": 0x20000, "NET": 0x40000000, "IPC": 0x8000000, "PID": 0x20000000}

# Blocked by our parent already when it started us: not even our own start can be interrupted half-way.
WATCHED = (signal.SIGINT, signal.SIGQUIT, signal.SIGTERM, signal.SIGHUP, signal.SIGCHLD)

libc = ctypes.CDLL(None, use_errno=True)


def join(fds: list[int]) -> None:
    for fd, kind in zip(fds, KINDS.values(), strict=True):  # user first: it permits the rest
        if libc.setns(fd, kind) < 0:
            raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))
        os.close(fd)


def become(argv: list[str], parent_alive: int) -> int:
    """Turns into the command; returns the status to exit with if that fails."""
    libc.prctl(PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
    # Root of the world it stays, but not over who has more rights: the pump, which holds the key of the tag.
    if libc.prctl(PR_CAPBSET_DROP, CAP_SYS_PTRACE, 0, 0, 0) < 0:
        return 125
    if select.select([parent_alive], [], [], 0)[0]:  # end of file: it died before the line above took effect
        return 125
    for number in (signal.SIGPIPE, signal.SIGXFSZ):  # Python ignores them
        signal.signal(number, signal.SIG_DFL)
    if signal.getsignal(signal.SIGINT) != signal.SIG_IGN:  # nohup(1) and a shell's & mean it
        signal.signal(signal.SIGINT, signal.SIG_DFL)
    signal.pthread_sigmask(signal.SIG_SETMASK, ())
    try:
        os.execvp(argv[0], argv)
    except OSError as error:
        os.write(2, f"isthmus: {argv[0]}: {error.strerror}\n".encode())
        return 127 if isinstance(error, FileNotFoundError) else 126


def wait(pid: int) -> int:
    """Waits for the command; a signal that somebody sends us ends it instead. What the terminal sends, it
    sends to the command too."""
    while True:
        info = signal.sigwaitinfo(WATCHED)
        if info.si_signo == signal.SIGCHLD:
            ended, status = os.waitpid(pid, os.WNOHANG)
            if ended:
                code = os.waitstatus_to_exitcode(status)
                return code if code >= 0 else 128 - code
        elif info.si_code != SI_KERNEL:
            os.kill(pid, info.si_signo)


def main(namespaces: str, directory: str, argv: list[str]) -> int:
    signal.pthread_sigmask(signal.SIG_BLOCK, WATCHED)
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
