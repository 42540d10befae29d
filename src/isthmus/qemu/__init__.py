# SPDX-License-Identifier: MIT
"""The TrustZone machine as QEMU plays it."""
