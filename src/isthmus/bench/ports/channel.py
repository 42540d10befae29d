# SPDX-License-Identifier: MIT
"""Endpoints of the channel over sealed memfds. They spin, spin before they sleep, or sleep at once."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from contextlib import contextmanager

import isthmus
from isthmus.bench.ports import Make, Port

SPIN_SECONDS = (1.0, 50e-6, 0.0)  # by the settings' `wait`; 1.0 is the most, and no wait here is that long


@contextmanager
def ends() -> Iterator[Make]:
    sockets = socket.socketpair()

    def make(end: int, settings: dict[str, int]) -> Port:
        config = isthmus.ChannelConfig(ring_normal=settings["ring"], ring_secure=settings["ring"])
        spin = SPIN_SECONDS[settings["wait"]]
        endpoint = isthmus.join(sockets[end], isthmus.Role(end), config, spin=spin)
        return Port(
            endpoint.send,
            endpoint.receive,
            endpoint.send_batch,
            endpoint.receive_batch,
            endpoint.send_batch_from,
            endpoint.receive_batch_into,
        )

    try:
        yield make
    finally:
        for s in sockets:
            s.close()
