# SPDX-License-Identifier: MIT
"""Builds the C programs that the worlds run, into the user's cache, keyed by the hash of all that went in.

    build_program(name, sources, ...)   any program
    secure_world()                      the Secure world of the host machine; fetches lwIP first

A second call with the same inputs runs no compiler. Two processes may build the same program at once. Nothing
is ever written beside the sources. Every failure is an EnvironmentProblem whose one line says what to do.
"""

from __future__ import annotations

from isthmus.build.cache import folder
from isthmus.build.program import Unit, build_program
from isthmus.build.secure import secure_world

__all__ = ["Unit", "build_program", "folder", "secure_world"]
