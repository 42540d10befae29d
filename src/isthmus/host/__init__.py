# SPDX-License-Identifier: MIT
"""Both worlds as processes on one Linux machine: namespaces, interface, supervisor."""

from __future__ import annotations

from isthmus.host.machine import HostMachine
from isthmus.host.namespaces import World
from isthmus.host.supervisor import Event, Restart

__all__ = ["Event", "HostMachine", "Restart", "World"]
