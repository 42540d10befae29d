# SPDX-License-Identifier: MIT
"""What `check` runs in the Normal world: small programs of their own, never imported.

Each needs the standard library alone, sends and verifies one kind of traffic, and answers with one JSON
object on standard output. Those without an end of their own go on until standard input is closed.
"""
