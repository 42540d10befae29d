# SPDX-License-Identifier: MIT
"""Makes the Normal world's interface: `python -P interface.py SOCKET`.

A program of its own, never imported: it joins the Normal world's network namespace, makes the interface
there, sends the packet descriptor back over SOCKET and exits. It configures nothing outside that namespace.

    tap      /dev/net/tun with vnet headers, not persistent: it lives as long as the descriptor
    packet   where /dev/net/tun cannot be opened: a veth pair, whose far end lies in a network namespace
             without a name and without a process, held by the AF_PACKET socket that reads and writes it

It waits on SOCKET for one packet of JSON, {"name", "mac", "ip", "ip6": "" for none, "mtu", "kind":
"auto"|"tap"|"packet", "vnet": also on packet, "whole": bytes of TCP's segments that tap may hand over in one
piece and with a checksum to be filled in, 0 for none}, with the descriptors of the user and the network
namespace. Its answer is {"kind"} with the packet descriptor, or {"error"}.
"""

from __future__ import annotations

import array
import contextlib
import ctypes
import fcntl
import json
import os
import socket
import struct
import sys
from typing import Any

from pyroute2 import IPRoute

NEWUSER, NEWNET = 0x10000000, 0x40000000
TUNSETIFF, TUNSETOFFLOAD, TUNSETVNETHDRSZ = 0x400454CA, 0x400454D0, 0x400454D8
IFF_TAP, IFF_NO_PI, IFF_VNET_HDR = 0x0002, 0x1000, 0x4000
VNET_HEADER = 10
TUN_F_CSUM, TUN_F_TSO4, TUN_F_TSO6 = 1, 2, 4
GSO_MOST = 65536  # what a kernel hands to a device in one piece if it is not told otherwise
SIOCETHTOOL, ETHTOOL_STXCSUM = 0x8946, 0x17
SOL_PACKET, PACKET_VNET_HDR, PACKET_QDISC_BYPASS, PACKET_IGNORE_OUTGOING = 263, 15, 20, 23
ETH_P_ALL = 3
RECEIVE_BUFFER = 4 << 20
IFA_F_NODAD = 0x02  # the board sees to it that nobody else has the address
FAR = "port"

libc = ctypes.CDLL(None, use_errno=True)


def check(result: int) -> None:
    if result < 0:
        raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))


def quiet(name: str, off: bool = True) -> None:
    """No IPv6 on an interface that carries the channel, unless the board has addresses for it: no router
    solicitations, no MLD reports."""
    with contextlib.suppress(OSError), open(f"/proc/sys/net/ipv6/conf/{name}/disable_ipv6", "w") as file:
        file.write("1" if off else "0")


def without_checksum_offload(name: str) -> None:
    """Checksums are complete, and segments cut, before a frame reaches the far end."""
    value = array.array("I", [ETHTOOL_STXCSUM, 0])
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as any_socket:
        fcntl.ioctl(any_socket, SIOCETHTOOL, struct.pack("16sP", name.encode(), value.buffer_info()[0]))


def make_tap(name: str, whole: int) -> int:
    fd = os.open("/dev/net/tun", os.O_RDWR | os.O_CLOEXEC | os.O_NONBLOCK)
    try:
        fcntl.ioctl(fd, TUNSETIFF, struct.pack("16sH22x", name.encode(), IFF_TAP | IFF_NO_PI | IFF_VNET_HDR))
        fcntl.ioctl(fd, TUNSETVNETHDRSZ, struct.pack("i", VNET_HEADER))
        fcntl.ioctl(fd, TUNSETOFFLOAD, TUN_F_CSUM | TUN_F_TSO4 | TUN_F_TSO6 if whole else 0)
    except OSError:
        os.close(fd)
        raise
    return fd


def make_far_end(vnet: bool) -> tuple[int, int]:
    """A network namespace of its own with a packet socket in it. Leaves the caller there."""
    check(libc.unshare(NEWNET))
    quiet("default")
    namespace = os.open("/proc/self/ns/net", os.O_RDONLY | os.O_CLOEXEC)
    packet = socket.socket(socket.AF_PACKET, socket.SOCK_RAW | socket.SOCK_NONBLOCK | socket.SOCK_CLOEXEC, 0)
    packet.setsockopt(SOL_PACKET, PACKET_VNET_HDR, int(vnet))
    packet.setsockopt(SOL_PACKET, PACKET_QDISC_BYPASS, 1)
    packet.setsockopt(SOL_PACKET, PACKET_IGNORE_OUTGOING, 1)
    packet.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, RECEIVE_BUFFER)
    return namespace, packet.detach()


def make_veth(netlink: IPRoute, name: str, mtu: int, far_namespace: int, home: int, packet: int) -> None:
    peer = {"ifname": FAR, "net_ns_fd": far_namespace, "mtu": mtu}
    netlink.link("add", ifname=name, kind="veth", peer=peer)
    without_checksum_offload(name)
    check(libc.setns(far_namespace, NEWNET))
    with IPRoute() as far:
        far.link("set", index=far.link_lookup(ifname=FAR)[0], state="up", arp=False)
    with socket.socket(fileno=os.dup(packet)) as bound:
        bound.bind((FAR, ETH_P_ALL))
    check(libc.setns(home, NEWNET))


def configure(netlink: IPRoute, name: str, wanted: dict[str, Any]) -> None:
    index = netlink.link_lookup(ifname=name)[0]
    address, prefix = wanted["ip"].split("/")
    netlink.link("set", index=index, address=wanted["mac"], mtu=wanted["mtu"])
    if 0 < wanted["whole"] < GSO_MOST:
        netlink.link("set", index=index, gso_max_size=wanted["whole"])
    netlink.addr("add", index=index, address=address, prefixlen=int(prefix))
    netlink.link("set", index=index, state="up")
    if wanted["ip6"]:
        address, prefix = wanted["ip6"].split("/")
        quiet(name, off=False)
        more = {"family": socket.AF_INET6, "flags": IFA_F_NODAD}
        netlink.addr("add", index=index, address=address, prefixlen=int(prefix), **more)
    netlink.link("set", index=netlink.link_lookup(ifname="lo")[0], state="up")


def main(link: socket.socket, user: int, home: int, wanted: dict[str, Any]) -> None:
    name, kind = wanted["name"], wanted["kind"]
    check(libc.setns(user, NEWUSER))
    check(libc.setns(home, NEWNET))
    quiet("default")
    packet = -1
    if kind != "packet":
        try:
            packet, kind = make_tap(name, wanted["whole"]), "tap"
        except OSError as error:
            if kind == "tap":
                raise OSError(error.errno, f"/dev/net/tun: {error.strerror}") from None
            kind = "packet"
    if kind == "packet":
        far_namespace, packet = make_far_end(wanted["vnet"])
        check(libc.setns(home, NEWNET))
        with IPRoute() as netlink:
            make_veth(netlink, name, wanted["mtu"], far_namespace, home, packet)
            configure(netlink, name, wanted)
    else:
        with IPRoute() as netlink:
            configure(netlink, name, wanted)
    socket.send_fds(link, [json.dumps({"kind": kind}).encode()], [packet])


if __name__ == "__main__":
    with socket.socket(fileno=int(sys.argv[1])) as answer:
        request, fds, _, _ = socket.recv_fds(answer, 4096, 2, socket.MSG_CMSG_CLOEXEC)
        if not request:
            sys.exit(0)  # the supervisor is gone
        try:
            main(answer, fds[0], fds[1], json.loads(request))
        except Exception as problem:  # whatever netlink raises: the supervisor says it to the user
            answer.send(json.dumps({"error": str(problem) or type(problem).__name__}).encode())
