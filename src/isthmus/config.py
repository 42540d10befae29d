# SPDX-License-Identifier: MIT
"""What both ends of a channel are configured with.

    >>> ChannelConfig(ring_normal=65536).ring_normal
    65536
    >>> ChannelConfig(ring_normal=3000)
    Traceback (most recent call last):
    isthmus.errors.ConfigError: ring size is not a power of two within the limits (BAD_RING): ...
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum

from isthmus import _native
from isthmus.errors import ConfigError

__all__ = ["ChannelConfig", "Role", "Tag"]


class Role(IntEnum):
    """Which world an endpoint stands for."""

    NORMAL = 0
    SECURE = 1

    @property
    def peer(self) -> Role:
        """The other one."""
        return Role(1 - self)


class Tag(IntEnum):
    """Integrity tag behind each frame."""

    NONE = 0
    CRC32C = 1
    SIPHASH = 2


@dataclass(frozen=True, slots=True)
class ChannelConfig:
    """Geometry and limits of a channel; ConfigError names what cannot be.

    The first group must be the same at both ends: the handshake refuses a peer that differs (PEER_GEOMETRY,
    PEER_MTU). The rest is each end's own. Times are in nanoseconds.
    """

    ring_normal: int = 1 << 18  # bytes of the Normal world's ring: a power of two from 4096
    ring_secure: int = 1 << 18
    frame_max: int = 1536  # largest frame in bytes, Ethernet header included: 60 to 65552
    tag: Tag = Tag.NONE
    mtu: int = 1500  # bytes above Ethernet: at most frame_max - 18
    first_cursor: int = 0  # where cursors start in each epoch: a multiple of 16
    first_sequence: int = 0

    features: int = _native.FEATURE_SLEEPER_FENCE if _native.FENCE else 0  # offered
    required: int = 0  # the peer must offer these
    silence: int = 0  # the peer is gone after so long without a heartbeat; 0 = never
    budget_interval: int = 0  # one received frame per so long; 0 = no budget
    budget_tolerance: int = 0  # how far ahead a burst may run

    def __post_init__(self) -> None:
        if self.features & _native.FEATURE_OFFLOAD:
            raise ConfigError("this endpoint does not take offload fields (BAD_FEATURES)")
        _native.check(self, Role.NORMAL)

    def buffer_size(self, role: Role) -> int:
        """Bytes of the buffer that `role` owns, in whole pages."""
        return _native.buffer_size(self, role)

    def digest(self) -> int:
        """Fingerprint of what both ends must agree on, 64 bit."""
        return _native.digest(self, Role.NORMAL)

