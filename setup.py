# SPDX-License-Identifier: MIT
"""What pyproject.toml cannot say: the native extension, and the C tree that travels inside the package."""

from __future__ import annotations

import shutil
import sysconfig
from pathlib import Path

from setuptools import Extension, setup
from setuptools.command.build_py import build_py

ROOT = Path(__file__).parent
PORT = "worlds/secure/port"  # the poll that serves many channels
TREE = ("core", "host", "worlds", "boards")  # isthmus.resources.tree() finds them again

# One binary serves every Python from 3.11 on, but free-threaded ones: the limited API has no layout for them.
LIMITED = not sysconfig.get_config_var("Py_GIL_DISABLED")


def paths(*patterns: str) -> list[str]:
    return sorted(str(p.relative_to(ROOT)) for pattern in patterns for p in ROOT.glob(pattern))


def native() -> list[Extension]:
    own = paths("src/isthmus/_native/*.c")
    if not own:
        return []
    return [
        Extension(
            "isthmus._native",
            own + paths("core/*.c", "host/link.c"),
            include_dirs=["core", "host", "src/isthmus/_native", PORT],
            depends=paths("core/*.h", "host/*.h", "src/isthmus/_native/*.h", f"{PORT}/*.h"),
            define_macros=[("Py_LIMITED_API", "0x030b0000")] if LIMITED else [],
            extra_compile_args=["-std=c11", "-O2", "-g0", "-Wall", "-Wextra", "-fvisibility=hidden"],
            py_limited_api=LIMITED,
        )
    ]


class BuildWithTree(build_py):
    """Copies the C tree into the wheel as isthmus/_tree. An editable install uses the checkout's own."""

    def run(self) -> None:
        super().run()
        if self.editable_mode:
            return
        inside = Path(self.build_lib) / "isthmus" / "_tree"
        shutil.rmtree(inside, ignore_errors=True)  # a build folder may hold files that the tree no longer has
        for part in TREE:
            shutil.copytree(ROOT / part, inside / part, ignore=shutil.ignore_patterns(".*", "__pycache__"))


setup(
    ext_modules=native(),
    cmdclass={"build_py": BuildWithTree},
    options={"bdist_wheel": {"py_limited_api": "cp311"}} if LIMITED else {},
)
