# SPDX-License-Identifier: MIT
"""Makes two ends in network namespaces of our own: `network_ends.py DESCRIPTOR udp|packet|tap`.

    udp, packet     namespace A                         namespace B
                    10.255.77.1  a ------- veth ------- b  10.255.77.2
                    UDP or packet socket                UDP or packet socket

    tap             one namespace:  descriptor -- TAP a -- bridge -- TAP b -- descriptor

A program of its own, never imported. It sends the two descriptors over the inherited DESCRIPTOR and exits.
The namespaces have no names: from then on the descriptors alone keep them and their interfaces alive, so
nothing can be left behind. The machine's own interfaces and routes are not touched.
"""

from __future__ import annotations

import contextlib
import ctypes
import fcntl
import os
import socket
import struct
import sys
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

from pyroute2 import IPRoute

NEWUSER, NEWNET = 0x10000000, 0x40000000
MTU = 9000  # a frame of 1500 bytes is one datagram, not fragments
ADDRESSES = ("10.255.77.1", "10.255.77.2")
PORT = 7077
MACS = ("02:49:53:42:00:0a", "02:49:53:42:00:0b")  # as native/ethernet.h has them
ETHERTYPE = 0x88B5  # IEEE 802's for local experiments
TUNSETIFF, IFF_TAP, IFF_NO_PI = 0x400454CA, 0x0002, 0x1000


def call(name: str, *arguments: int) -> None:
    libc = ctypes.CDLL(None, use_errno=True)
    if getattr(libc, name)(*arguments) != 0:
        error = ctypes.get_errno()
        raise OSError(error, f"{name}: {os.strerror(error)}")


def new_namespace() -> int:
    """Enters a new network namespace; returns a descriptor of it."""
    call("unshare", NEWNET)
    # Neighbour discovery and the like would be frames that no end has sent.
    with contextlib.suppress(OSError):
        Path("/proc/sys/net/ipv6/conf/default/disable_ipv6").write_text("1")
    return os.open("/proc/self/ns/net", os.O_RDONLY | os.O_CLOEXEC)


def become_root_of_a_user_namespace() -> None:
    """What gives an ordinary user the right to a network namespace."""
    uid, gid = os.getuid(), os.getgid()
    call("unshare", NEWUSER)
    for name, text in (("setgroups", "deny"), ("uid_map", f"0 {uid} 1"), ("gid_map", f"0 {gid} 1")):
        with open(f"/proc/self/{name}", "w") as file:
            file.write(text)


def udp(end: int, interface: str) -> int:
    """A connected socket in the namespace that we are in."""
    del interface
    s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    s.bind((ADDRESSES[end], PORT))
    s.connect((ADDRESSES[1 - end], PORT))
    return s.detach()


def packet(end: int, interface: str) -> int:
    """A raw socket that sees one EtherType of one interface."""
    del end
    s = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(ETHERTYPE))
    s.bind((interface, ETHERTYPE))
    return s.detach()


def veth_ends(make: Callable[[int, str], int]) -> tuple[int, int]:
    namespaces = (new_namespace(), new_namespace())  # we are in the second one now
    with closing(IPRoute()) as ip:
        peer = {"ifname": "a", "net_ns_fd": namespaces[0], "address": MACS[0]}
        ip.link("add", ifname="b", kind="veth", address=MACS[1], peer=peer)
    made = []
    for end, interface in ((1, "b"), (0, "a")):
        call("setns", namespaces[end], NEWNET)
        with closing(IPRoute()) as ip:
            index = ip.link_lookup(ifname=interface)[0]
            ip.addr("add", index=index, address=ADDRESSES[end], prefixlen=30)
            ip.link("set", index=index, mtu=MTU, state="up")
        made.append(make(end, interface))
    return made[1], made[0]


def tap(name: str) -> int:
    fd = os.open("/dev/net/tun", os.O_RDWR | os.O_NONBLOCK | os.O_CLOEXEC)
    fcntl.ioctl(fd, TUNSETIFF, struct.pack("16sH22x", name.encode(), IFF_TAP | IFF_NO_PI))
    return fd


def tap_ends() -> tuple[int, int]:
    new_namespace()
    ends = tap("a"), tap("b")
    with closing(IPRoute()) as ip:
        ip.link("add", ifname="bridge", kind="bridge")
        bridge = ip.link_lookup(ifname="bridge")[0]
        ip.link("set", index=bridge, state="up")
        for name in ("a", "b"):
            index = ip.link_lookup(ifname=name)[0]
            ip.link("set", index=index, mtu=MTU, master=bridge, state="up")
    return ends


MAKERS: dict[str, Callable[[], tuple[int, int]]] = {
    "udp": lambda: veth_ends(udp),
    "packet": lambda: veth_ends(packet),
    "tap": tap_ends,
}


def main(descriptor: int, kind: str) -> int:
    try:
        if os.geteuid() != 0:
            become_root_of_a_user_namespace()
        ends = MAKERS[kind]()
    except Exception as error:  # whatever it was, the peer is missing and this line is the reason
        sys.stderr.write(f"no network namespaces: {error}\n")
        return 2
    with socket.socket(fileno=descriptor) as out:
        socket.send_fds(out, [b"+"], list(ends))
    return 0


if __name__ == "__main__":
    sys.exit(main(int(sys.argv[1]), sys.argv[2]))
