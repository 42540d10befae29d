# SPDX-License-Identifier: MIT
"""Makes two UDP sockets, each in a network namespace of its own, joined by a veth pair: `udp_sockets.py
DESCRIPTOR`.

    namespace A                              namespace B
    10.255.77.1  a ------- veth ------- b  10.255.77.2
    UDP socket, connected                    UDP socket, connected

A program of its own, never imported. It sends the two sockets over the inherited DESCRIPTOR and exits. The
namespaces have no names: from then on the sockets alone keep them and their interfaces alive, so nothing can
be left behind. The machine's own interfaces and routes are not touched.
"""

from __future__ import annotations

import ctypes
import os
import socket
import sys
from contextlib import closing

from pyroute2 import IPRoute

NEWUSER, NEWNET = 0x10000000, 0x40000000
MTU = 9000  # a frame of 1500 bytes is one datagram, not fragments
ADDRESSES = ("10.255.77.1", "10.255.77.2")
PORT = 7077


def call(name: str, *arguments: int) -> None:
    libc = ctypes.CDLL(None, use_errno=True)
    if getattr(libc, name)(*arguments) != 0:
        error = ctypes.get_errno()
        raise OSError(error, f"{name}: {os.strerror(error)}")


def new_namespace() -> int:
    """Enters a new network namespace; returns a descriptor of it."""
    call("unshare", NEWNET)
    return os.open("/proc/self/ns/net", os.O_RDONLY | os.O_CLOEXEC)


def become_root_of_a_user_namespace() -> None:
    """What gives an ordinary user the right to a network namespace."""
    uid, gid = os.getuid(), os.getgid()
    call("unshare", NEWUSER)
    for name, text in (("setgroups", "deny"), ("uid_map", f"0 {uid} 1"), ("gid_map", f"0 {gid} 1")):
        with open(f"/proc/self/{name}", "w") as file:
            file.write(text)


def connected(end: int) -> socket.socket:
    """A socket in the namespace that we are in."""
    s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    s.bind((ADDRESSES[end], PORT))
    s.connect((ADDRESSES[1 - end], PORT))
    return s


def make() -> tuple[socket.socket, socket.socket]:
    if os.geteuid() != 0:
        become_root_of_a_user_namespace()
    namespaces = (new_namespace(), new_namespace())  # we are in the second one now
    with closing(IPRoute()) as ip:
        ip.link("add", ifname="b", kind="veth", peer={"ifname": "a", "net_ns_fd": namespaces[0]})
    sockets = []
    for end, interface in ((1, "b"), (0, "a")):
        call("setns", namespaces[end], NEWNET)
        with closing(IPRoute()) as ip:
            index = ip.link_lookup(ifname=interface)[0]
            ip.addr("add", index=index, address=ADDRESSES[end], prefixlen=30)
            ip.link("set", index=index, mtu=MTU, state="up")
        sockets.append(connected(end))
    return sockets[1], sockets[0]


def main(descriptor: int) -> int:
    try:
        a, b = make()
    except Exception as error:  # whatever it was, the peer is missing and this line is the reason
        sys.stderr.write(f"no network namespaces: {error}\n")
        return 2
    with socket.socket(fileno=descriptor) as out:
        socket.send_fds(out, [b"+"], [a.fileno(), b.fileno()])
    return 0


if __name__ == "__main__":
    sys.exit(main(int(sys.argv[1])))
