# SPDX-License-Identifier: MIT
"""Attacks on the TrustZone machine, from inside Linux's kernel. Importing it registers them."""

from __future__ import annotations

from isthmus.attack.trustzone import (
    calls,
    concurrent,
    crafted,
    elsewhere,
    floods,
    interrupts,
    life,
    races,
    records,
)

__all__ = ["calls", "concurrent", "crafted", "elsewhere", "floods", "interrupts", "life", "races", "records"]
