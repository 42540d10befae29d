# SPDX-License-Identifier: MIT
"""Runs in the guest: `command.py PIDFILE ARGV...` becomes the command, its streams the three ports of
isthmus/qemu/command.py. Exit status 126: it cannot be executed, 127: it is not there."""

from __future__ import annotations

import os
import signal
import sys

PORTS = "/sys/class/virtio-ports"
STREAMS = {"isthmus.stdin": os.O_RDONLY, "isthmus.stdout": os.O_WRONLY, "isthmus.stderr": os.O_WRONLY}


def port(wanted: str) -> str:
    for device in sorted(os.listdir(PORTS)):
        with open(f"{PORTS}/{device}/name") as name:
            if name.read().strip() == wanted:
                return f"/dev/{device}"
    raise SystemExit(f"no port {wanted} here")


def main(pid_file: str, argv: list[str]) -> None:
    for fd, (name, flags) in enumerate(STREAMS.items()):
        opened = os.open(port(name), flags)
        os.dup2(opened, fd)
        os.close(opened)
    os.setpgid(0, 0)  # a signal is for the command and what it has started
    for number in (signal.SIGINT, signal.SIGQUIT, signal.SIGPIPE):  # what a shell ignores in its background
        signal.signal(number, signal.SIG_DFL)
    with open(f"{pid_file}.new", "w") as file:
        file.write(str(os.getpid()))
    os.rename(f"{pid_file}.new", pid_file)
    try:
        os.execvp(argv[0], argv)
    except OSError as problem:
        os.write(2, f"{argv[0]}: {problem.strerror}\n".encode())
        missing = isinstance(problem, FileNotFoundError | NotADirectoryError)
        raise SystemExit(127 if missing else 126) from None


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2:])
