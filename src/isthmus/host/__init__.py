# SPDX-License-Identifier: MIT
"""Both worlds as processes on one Linux machine: namespaces, interface, supervisor."""

from __future__ import annotations

from isthmus.host.machine import Event, HostMachine, Restart, World

__all__ = ["Event", "HostMachine", "Restart", "World"]
