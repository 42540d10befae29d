# SPDX-License-Identifier: MIT
"""Tries to reach the Secure world from where the frame pump stands: `probe.py BUFFER_FD PID NAME [USER,NET]`.

BUFFER_FD is the descriptor of the Secure world's memory that the pump holds, PID and NAME are the Secure
process's. With USER,NET (namespace descriptors) it joins the Normal world's user and network namespaces
alone, so that it sees that process, which the Normal world's PID namespace hides.

Answer: {"sees", "attempts": [{"name", "kind": "read"|"write", "refused", "how"}], "granted": [...]}; how: the
error that refused it; granted: steps that the kernel allowed and that led nowhere by themselves.
"""

from __future__ import annotations

import ctypes
import errno
import fcntl
import json
import mmap
import os
import sys
from collections.abc import Callable, Iterator

NEWUSER, NEWNET = 0x10000000, 0x40000000
PTRACE_SEIZE = 0x4206
SYS_PIDFD_OPEN, SYS_PIDFD_GETFD = 434, 438  # the same number on every architecture
FALLOC_KEEP_SIZE, FALLOC_PUNCH_HOLE = 1, 2
F_ADD_SEALS, F_SEAL_WRITE = 1033, 0x0008
PAGE = mmap.PAGESIZE
DESCRIPTORS_TRIED = 32

libc = ctypes.CDLL(None, use_errno=True)
libc.mmap.restype = ctypes.c_void_p
libc.mmap.argtypes = [ctypes.c_void_p, ctypes.c_size_t, *[ctypes.c_int] * 3, ctypes.c_long]
libc.munmap.argtypes = [ctypes.c_void_p, ctypes.c_size_t]
libc.mprotect.argtypes = [ctypes.c_void_p, ctypes.c_size_t, ctypes.c_int]
libc.ptrace.argtypes = [ctypes.c_long, ctypes.c_int, ctypes.c_void_p, ctypes.c_void_p]
libc.ptrace.restype = ctypes.c_long


def check(result: int) -> int:
    if result < 0:
        raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))
    return result


# ---- its memory: what the descriptor gives -----------------------------------------------------------------


def write_here(fd: int) -> None:
    """Puts back the byte that it finds, so that a success does no harm."""
    os.pwrite(fd, os.pread(fd, 1, 0), 0)


class Memory:
    """Attempts to write the Secure world's buffer."""

    def __init__(self, fd: int, granted: list[str]) -> None:
        self.fd = fd
        self.granted = granted

    def write(self) -> None:
        write_here(self.fd)

    def sendfile(self) -> None:
        source = os.memfd_create("source")
        try:
            os.write(source, os.pread(self.fd, 1, 0))
            os.lseek(self.fd, 0, os.SEEK_SET)
            os.sendfile(self.fd, source, 0, 1)
        finally:
            os.close(source)

    def map_writable(self) -> None:
        mmap.mmap(self.fd, PAGE, mmap.MAP_SHARED, mmap.PROT_READ | mmap.PROT_WRITE).close()

    def mprotect(self) -> None:
        address = libc.mmap(None, PAGE, mmap.PROT_READ, mmap.MAP_SHARED, self.fd, 0)
        if address == ctypes.c_void_p(-1).value:
            raise OSError(ctypes.get_errno(), "mmap")
        try:
            check(libc.mprotect(address, PAGE, mmap.PROT_READ | mmap.PROT_WRITE))
        finally:
            libc.munmap(address, PAGE)

    def reopen(self) -> None:
        again = os.open(f"/proc/self/fd/{self.fd}", os.O_RDWR)
        try:
            self.granted.append("reopen")
            self.by_any_means(again)
        finally:
            os.close(again)

    def chmod_and_reopen(self) -> None:
        before = os.fstat(self.fd).st_mode & 0o7777
        os.fchmod(self.fd, 0o666)
        try:
            self.granted.append("fchmod")
            again = os.open(f"/proc/self/fd/{self.fd}", os.O_RDWR)
            try:
                self.by_any_means(again)
            finally:
                os.close(again)
        finally:
            os.fchmod(self.fd, before)

    def truncate(self) -> None:
        os.ftruncate(self.fd, os.fstat(self.fd).st_size - PAGE)

    def extend(self) -> None:
        os.ftruncate(self.fd, os.fstat(self.fd).st_size + PAGE)

    def punch(self) -> None:
        mode = FALLOC_KEEP_SIZE | FALLOC_PUNCH_HOLE
        check(libc.fallocate(self.fd, mode, ctypes.c_long(0), ctypes.c_long(PAGE)))

    def seal(self) -> None:
        """Would forbid the Secure world to make its next mapping."""
        fcntl.fcntl(self.fd, F_ADD_SEALS, F_SEAL_WRITE)

    @staticmethod
    def by_any_means(fd: int) -> None:
        """Returns if any way of writing works."""
        try:
            write_here(fd)
        except OSError:
            mmap.mmap(fd, PAGE, mmap.MAP_SHARED, mmap.PROT_READ | mmap.PROT_WRITE).close()

    def attempts(self) -> Iterator[tuple[str, str, Callable[[], None]]]:
        for name in (
            "write", "sendfile", "map_writable", "mprotect", "reopen", "chmod_and_reopen", "punch",
            "truncate", "extend", "seal",
        ):  # fmt: skip
            yield name.replace("_", " "), "write", getattr(self, name)


# ---- its process -------------------------------------------------------------------------------------------


class Process:
    """Attempts on the Secure process. `pid` as seen here, or the number it has elsewhere."""

    def __init__(self, pid: int) -> None:
        self.pid = pid

    def vector(self, call: str) -> None:
        """EFAULT is no refusal: it says that only the address was wrong."""
        room = ctypes.create_string_buffer(8)
        here = (ctypes.c_size_t * 2)(ctypes.addressof(room), 8)
        there = (ctypes.c_size_t * 2)(0x10000, 8)
        try:
            check(getattr(libc, call)(self.pid, here, 1, there, 1, 0))
        except OSError as error:
            if error.errno != errno.EFAULT:
                raise

    def vm_read(self) -> None:
        self.vector("process_vm_readv")

    def vm_write(self) -> None:
        self.vector("process_vm_writev")

    def open_file(self, name: str, flags: int) -> None:
        os.close(os.open(f"/proc/{self.pid}/{name}", flags))

    def open_descriptor(self) -> None:
        """The numbers alone may be listed by the same user; the files behind them are what counts."""
        for name in os.listdir(f"/proc/{self.pid}/fd"):
            if os.stat(f"/proc/{self.pid}/fd/{name}"):
                return
        raise OSError(errno.EBADF, "no descriptor found")

    def steal_descriptor(self) -> None:
        """Succeeds if any of the first descriptors can be had."""
        process = check(libc.syscall(SYS_PIDFD_OPEN, self.pid, 0))
        try:
            for fd in range(DESCRIPTORS_TRIED):
                try:
                    os.close(check(libc.syscall(SYS_PIDFD_GETFD, process, fd, 0)))
                    return
                except OSError as error:
                    if error.errno != errno.EBADF:
                        raise
            raise OSError(errno.EBADF, "no descriptor found")
        finally:
            os.close(process)

    def trace(self) -> None:
        check(libc.ptrace(PTRACE_SEIZE, self.pid, None, None))  # ends with this program

    def signal(self) -> None:
        os.kill(self.pid, 0)

    def attempts(self, hidden: bool) -> Iterator[tuple[str, str, Callable[[], None]]]:
        yield "process_vm_readv", "read", self.vm_read
        yield "read /proc/PID/mem", "read", lambda: self.open_file("mem", os.O_RDONLY)
        yield "read /proc/PID/maps", "read", lambda: self.open_file("maps", os.O_RDONLY)
        yield "read /proc/PID/environ", "read", lambda: self.open_file("environ", os.O_RDONLY)
        yield "open /proc/PID/fd/N", "read", self.open_descriptor
        yield "pidfd_getfd", "read", self.steal_descriptor
        yield "process_vm_writev", "write", self.vm_write
        yield "write /proc/PID/mem", "write", lambda: self.open_file("mem", os.O_RDWR)
        if hidden:  # between processes of one user only the PID namespace refuses it
            yield "signal", "write", self.signal
        yield "ptrace", "write", self.trace  # last: the kernel lets a tracer do the rest


def name_of(pid: int) -> str:
    try:
        with open(f"/proc/{pid}/comm") as file:
            return file.read().strip()
    except OSError:
        return ""


def visible(name: str) -> list[int]:
    """Processes of that name here, whoever they belong to."""
    return [int(entry) for entry in os.listdir("/proc") if entry.isdigit() and name_of(int(entry)) == name]


def main(fd: int, pid: int, name: str, namespaces: str) -> None:
    if namespaces:
        for kind, namespace in zip((NEWUSER, NEWNET), map(int, namespaces.split(",")), strict=True):
            check(libc.setns(namespace, kind))
        seen = [pid] if name_of(pid) == name else []
    else:
        seen = visible(name)
    granted: list[str] = []
    tries: list[tuple[str, str, Callable[[], None]]] = []
    if not namespaces:
        tries += Memory(fd, granted).attempts()
    for target in seen:
        tries += Process(target).attempts(hidden=not namespaces)
    if not seen and not name_of(pid):  # nobody has its number here; where somebody has, it is not our target
        tries += Process(pid).attempts(hidden=True)
    attempts = []
    for what, access, attempt in tries:
        refusal = ""
        try:
            attempt()
        except OSError as error:
            refusal = errno.errorcode.get(error.errno or 0, str(error))
        attempts.append({"name": what, "kind": access, "refused": refusal != "", "how": refusal})
    json.dump({"sees": bool(seen), "attempts": attempts, "granted": granted}, sys.stdout)


if __name__ == "__main__":
    main(int(sys.argv[1]), int(sys.argv[2]), sys.argv[3], sys.argv[4] if len(sys.argv) > 4 else "")
