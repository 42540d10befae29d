# SPDX-License-Identifier: MIT
"""Programs that run in the Normal world while it attacks: plain Python without packages."""
