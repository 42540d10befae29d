# SPDX-License-Identifier: MIT
"""The Secure world of the host machine as a program: lwIP, its port, the applications and the loop."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from isthmus.build.program import Unit, build_program
from isthmus.build.source import debian_source, read_pin
from isthmus.resources import tree

__all__ = ["LWIP", "secure_units", "secure_world"]

# Nothing is tuned to this processor. The program reads what its peer writes: what hardens it stays on.
_C = ("-std=c11", "-O2", "-fno-strict-aliasing", "-fstack-protector-strong", "-fPIE")
# As much as comes in while the task above runs for 200 us: lwIP need not be waited for behind it. Segments in
# one piece are as long as a pbuf's 16 bits allow: a TAP takes them in pages.
_LWIP = ("-DISTHMUS_LWIP_WINDOW=524288", "-DISTHMUS_LWIP_LONG_FRAME=65535u")
_WARNINGS = ("-Wall", "-Wextra", "-Wconversion", "-pedantic")
_LINK = ("-pie", "-Wl,-z,relro,-z,now", "-pthread")

# lwIP's files that are used. lwiperf comes in through worlds/secure/lwip/iperf.c.
LWIP = (
    *(f"core/{name}.c" for name in ("altcp", "altcp_alloc", "altcp_tcp", "def", "inet_chksum", "init", "ip")),
    *(f"core/{name}.c" for name in ("mem", "memp", "netif", "pbuf", "stats", "sys", "timeouts")),
    *(f"core/{name}.c" for name in ("tcp", "tcp_in", "tcp_out", "udp")),
    *(f"core/ipv4/{name}.c" for name in ("etharp", "icmp", "ip4", "ip4_addr", "ip4_frag")),
    "netif/ethernet.c",
    "apps/http/httpd.c",
    "apps/http/fs.c",
)


def secure_world(alter: Callable[[Unit], list[Unit]] | None = None) -> Path:
    """The program `isthmus-secure`. What it wants in its environment is written at the top of its main.c.

    `alter` makes a test build of our own sources. Fetches lwIP at the first call. Raises EnvironmentProblem,
    one line.
    """
    lwip = debian_source(read_pin(tree() / "worlds" / "secure" / "lwip" / "source.toml"))
    own, upstream = secure_units(lwip)
    units = [*(alter(own) if alter else [own]), upstream]
    return build_program("isthmus-secure", (), ldflags=_LINK, more=units)


def secure_units(lwip: Path) -> tuple[Unit, Unit]:
    """What `isthmus-secure` is made of: our own sources under our warnings, and lwIP's, taken as they are."""
    core, host, world = tree() / "core", tree() / "host", tree() / "worlds" / "secure"
    names = ("port", "lwip", "apps", "critical", "host")
    shared, port, apps, critical, loop = (world / name for name in names)
    own = [*_all(core, port, apps, critical, loop), host / "link.c", host / "world.c"]
    upstream = lwip / "src" / "include"
    folders = [core, host, shared, port, apps, critical, loop]
    return (
        Unit(own, folders, [*_C, *_LWIP, *_WARNINGS], [upstream, lwip / "src/apps/lwiperf"]),
        Unit([lwip / "src" / name for name in LWIP], [port], [*_C, *_LWIP, "-w"], [upstream]),
    )


def _all(*folders: Path) -> list[Path]:
    return [p for folder in folders for p in sorted(folder.glob("*.c"))]
