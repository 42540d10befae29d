# SPDX-License-Identifier: MIT
"""The C case runners, built from the package's own sources and the C tree: one for what needs nothing, and
one for each peer whose library may be missing.
"""

from __future__ import annotations

import functools
import shutil
import subprocess
from pathlib import Path

from isthmus.bench.rounds import Missing
from isthmus.build import build_program
from isthmus.build.program import Unit
from isthmus.resources import tree

__all__ = ["PEERS", "case_runner", "peer_runner", "tap_echo"]

NATIVE = Path(__file__).parent / "native"
CFLAGS = ("-std=c11", "-O2", "-D_GNU_SOURCE", "-Wall", "-Wextra")

# Peer's runner: (source, pkg-config's name of its library, the package that has it).
PEERS = {
    "zmq-ipc": ("zmq.c", "libzmq", "libzmq3-dev"),
    "dpdk-rte_ring": ("dpdk_ring.c", "libdpdk", "libdpdk-dev"),
    "dpdk-net_memif": ("dpdk_memif.c", "libdpdk", "libdpdk-dev"),
}


def case_runner() -> Path:
    """The finished executable, from the user's cache when nothing has changed. The core is built as it is
    shipped: with every check and optimised as in the Python extension; nothing is tuned to this processor.
    """
    core, host, port = (tree() / folder for folder in ("core", "host", "worlds/secure/port"))
    return build_program(
        "isthmus-bench",
        sources=[*sorted(NATIVE.glob("*.c")), *sorted(core.glob("*.c")), host / "link.c"],
        includes=[core, host, port, NATIVE],
        cflags=[*CFLAGS, "-flto"],
        ldflags=["-O2", "-flto", "-pthread"],
    )


def tap_echo() -> Path:
    """What answers pings on a TAP by itself; started as the Secure world of a machine without a channel."""
    host, secure = tree() / "host", tree() / "worlds" / "secure" / "host"
    return build_program(
        "isthmus-bench-tap-echo",
        sources=[NATIVE / "peers" / "tap_echo.c", secure / "packetfd.c"],
        includes=[host, secure],
        cflags=CFLAGS,
    )


@functools.cache
def peer_runner(name: str) -> Path:
    """The same for one peer of PEERS. Raises Missing without its library, EnvironmentProblem if it does not
    compile.
    """
    source, library, package = PEERS[name]
    cflags, libs = (_flags(what, library, package) for what in ("--cflags", "--libs"))
    system = [Path(flag[2:]) for flag in cflags if flag.startswith("-I")]
    theirs = [flag for flag in cflags if not flag.startswith("-I")]
    unit = Unit(
        [NATIVE / "peers" / source],
        includes=[NATIVE, NATIVE / "peers"],
        cflags=[*CFLAGS, *theirs],
        system=system,
    )
    return build_program(
        f"isthmus-bench-{name}",
        sources=[NATIVE / "main.c", NATIVE / "cacheline.c"],
        includes=[NATIVE],
        cflags=CFLAGS,
        ldflags=["-pthread", *libs],
        more=[unit],
    )


def _flags(what: str, library: str, package: str) -> list[str]:
    if shutil.which("pkg-config") is None:
        raise Missing(f"no pkg-config here; install pkg-config and {package}")
    done = subprocess.run(["pkg-config", what, library], check=False, capture_output=True, text=True)
    if done.returncode:
        raise Missing(f"no {library} here; install {package}")
    return done.stdout.split()
