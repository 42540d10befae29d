# SPDX-License-Identifier: MIT
"""What the machine itself runs in the Normal world; never imported."""
