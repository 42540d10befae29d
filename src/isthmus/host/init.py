# SPDX-License-Identifier: MIT
"""PID 1 of a world's namespaces, and the lifeline by which they end with the supervisor.

Run as a program of its own, `python -I -S init.py SOCKET PARENT WORLD`, never imported: it stays small
because it is started twice per machine and because everything in the world dies with it. Its tree is

    supervisor ── launcher ── PID 1 ── the world's program, and whatever is left of commands run in the world
                     │           └ holds the only other end of SOCKET: end of file = the supervisor is gone
                     └ waits for PID 1; dies with its parent

The launcher makes the namespaces and forks; PID 1 is the first process inside. The supervisor may be killed
at any moment: SOCKET then reports end of file, PID 1 exits, and the kernel kills every process of the PID
namespace. The descriptors were the last references to namespaces, interface and memory, so nothing else
remains.

Messages are packets of fields that are separated by NUL.

    supervisor -> init   spawn  ID ARGC ARG... NAME=VALUE...   + descriptors, which become 0, 1, 2, ...
                         kill   PID SIGNAL                     one of the spawned that has not been reaped
                         socket ID FAMILY KIND PROTOCOL
    init -> supervisor   ready                                 + its namespaces, in the order of NAMESPACES
                         failed STEP ERRNO                     the namespaces cannot be had
                         done   ID VALUE                       spawn: PID; socket: 0, + the descriptor
                         error  ID ERRNO
                         exit   PID STATUS                     as waitpid(2) tells it
"""

from __future__ import annotations

import ctypes
import fcntl
import os
import select
import signal
import socket
import sys
from array import array

NEWNS, NEWIPC, NEWUSER, NEWPID, NEWNET = 0x20000, 0x8000000, 0x10000000, 0x20000000, 0x40000000
MS_NOSUID, MS_NODEV, MS_NOEXEC, MS_REC, MS_PRIVATE = 2, 4, 8, 0x4000, 0x40000
PR_SET_PDEATHSIG, PR_SET_DUMPABLE, PR_SET_NO_NEW_PRIVS = 1, 4, 38
NAMESPACES = ("user", "mnt", "net", "ipc", "pid")
PACKET_MAX, DESCRIPTORS_MAX = 65536, 16
FIRST_FREE = 64  # received descriptors are moved above it, so that 0, 1, 2, ... are free to be filled

libc = ctypes.CDLL(None, use_errno=True)


def check(result: int) -> None:
    if result < 0:
        raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))


def send(link: socket.socket, *fields: object, fds: tuple[int, ...] = ()) -> None:
    data = b"\0".join(str(field).encode() for field in fields)
    link.sendmsg([data], [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array("i", fds))] if fds else [])


def receive(link: socket.socket) -> tuple[list[str], list[int]]:
    """One packet and its descriptors; no fields at end of file."""
    fds = array("i")
    data, ancillary, _, _ = link.recvmsg(
        PACKET_MAX, socket.CMSG_SPACE(DESCRIPTORS_MAX * fds.itemsize), socket.MSG_CMSG_CLOEXEC
    )
    for level, kind, value in ancillary:
        if level == socket.SOL_SOCKET and kind == socket.SCM_RIGHTS:
            fds.frombytes(value[: len(value) - len(value) % fds.itemsize])
    return (os.fsdecode(data).split("\0") if data else []), list(fds)


def die_with_parent() -> None:
    check(libc.prctl(PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0))


def enter_user_namespace() -> None:
    """The caller becomes root inside, and has no more rights outside than before."""
    uid, gid = os.geteuid(), os.getegid()
    check(libc.unshare(NEWUSER | NEWNS | NEWPID | NEWNET | NEWIPC))
    for name, text in (("setgroups", "deny"), ("gid_map", f"0 {gid} 1"), ("uid_map", f"0 {uid} 1")):
        with open(f"/proc/self/{name}", "w") as file:
            file.write(text)


def mount_own_proc() -> None:
    """Mounts stay ours, and /proc shows the processes of this world alone."""
    check(libc.mount(b"none", b"/", None, MS_REC | MS_PRIVATE, None))
    check(libc.mount(b"proc", b"/proc", b"proc", MS_NOSUID | MS_NODEV | MS_NOEXEC, None))


def mount_own_sys() -> None:
    """/sys shows this world's interfaces. Where the kernel refuses, it keeps showing the machine's names."""
    libc.mount(b"sysfs", b"/sys", b"sysfs", MS_NOSUID | MS_NODEV | MS_NOEXEC, None)


class Init:
    def __init__(self, link: socket.socket) -> None:
        self.link = link
        self.spawned: set[int] = set()

    def spawn(self, ident: str, count: str, *rest: str, fds: list[int]) -> None:
        argv, env = list(rest[: int(count)]), rest[int(count) :]
        high = [fcntl.fcntl(fd, fcntl.F_DUPFD_CLOEXEC, FIRST_FREE) for fd in fds]
        try:
            pid = os.posix_spawn(
                argv[0],
                argv,
                dict(pair.split("=", 1) for pair in env),
                file_actions=[(os.POSIX_SPAWN_DUP2, fd, target) for target, fd in enumerate(high)],
                setsigmask=[],
                setsigdef=[signal.SIGPIPE, signal.SIGXFSZ, signal.SIGINT, signal.SIGCHLD],
            )
        except OSError as error:
            send(self.link, "error", ident, error.errno)
        else:
            self.spawned.add(pid)
            send(self.link, "done", ident, pid)
        finally:
            for fd in high:
                os.close(fd)

    def kill(self, pid: str, number: str) -> None:
        if int(pid) in self.spawned:
            os.kill(int(pid), int(number))

    def socket(self, ident: str, family: str, kind: str, protocol: str) -> None:
        try:
            with socket.socket(int(family), int(kind) | socket.SOCK_CLOEXEC, int(protocol)) as made:
                send(self.link, "done", ident, 0, fds=(made.fileno(),))
        except OSError as error:
            send(self.link, "error", ident, error.errno)

    def reap(self) -> None:
        while True:
            try:
                pid, status = os.waitpid(-1, os.WNOHANG)
            except ChildProcessError:
                return
            if pid == 0:
                return
            if pid in self.spawned:
                self.spawned.discard(pid)
                send(self.link, "exit", pid, status)

    def request(self) -> bool:
        """Serves one request; false at end of file."""
        fields, fds = receive(self.link)
        try:
            if not fields:
                return False
            if fields[0] == "spawn":
                self.spawn(*fields[1:], fds=fds)
            elif fields[0] == "kill":
                self.kill(*fields[1:])
            elif fields[0] == "socket":
                self.socket(*fields[1:])
            return True
        finally:
            for fd in fds:
                os.close(fd)

    def serve(self) -> None:
        woken, waker = socket.socketpair()
        woken.setblocking(False)
        waker.setblocking(False)
        signal.set_wakeup_fd(waker.fileno(), warn_on_full_buffer=False)
        signal.signal(signal.SIGCHLD, lambda *_: None)
        poll = select.poll()
        poll.register(self.link, select.POLLIN)
        poll.register(woken, select.POLLIN)
        while True:
            ready = {fd for fd, _ in poll.poll()}
            if woken.fileno() in ready:
                woken.recv(4096)
                self.reap()
            if self.link.fileno() in ready and not self.request():
                os._exit(0)  # at once, and the kernel ends everybody else here


def launcher(link: socket.socket, parent: int, world: str) -> None:
    step = "unshare"
    try:
        enter_user_namespace()
        step = "pdeathsig"
        die_with_parent()
        if os.getppid() != parent:  # it died before the line above took effect
            return
        step = "fork"
        pid = os.fork()
        if pid:
            link.close()
            os.waitpid(pid, 0)
            return
        die_with_parent()
        step = "mount"
        mount_own_proc()
        if world == "normal":
            mount_own_sys()
        else:
            check(libc.prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0))
        check(libc.prctl(PR_SET_DUMPABLE, 0, 0, 0, 0))  # nobody in the world can take the lifeline from us
        fds = tuple(os.open(f"/proc/self/ns/{name}", os.O_RDONLY | os.O_CLOEXEC) for name in NAMESPACES)
        send(link, "ready", fds=fds)
        for fd in fds:
            os.close(fd)
        Init(link).serve()
    except BrokenPipeError:
        return  # the supervisor went away while we reported to it
    except OSError as error:
        send(link, "failed", step, error.errno)


if __name__ == "__main__":
    descriptor = int(sys.argv[1])
    os.set_inheritable(descriptor, False)
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        launcher(socket.socket(fileno=descriptor), int(sys.argv[2]), sys.argv[3])
    finally:
        os._exit(0)
