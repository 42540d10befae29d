# SPDX-License-Identifier: MIT
"""One binary under every Python that can be had: sub-interpreters, later versions, free-threaded builds."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import sysconfig
import textwrap
from pathlib import Path

import pytest

SOURCE = Path(__file__).parent.parent / "src"
pytestmark = pytest.mark.memory

#: Sends, waits, raises: in any interpreter of a process.
EXERCISE = """
    import sys
    sys.path[:0] = [{source!r}]
    import isthmus
    normal, secure = isthmus.memory_link()
    for n in range(200):
        normal.send(bytes([n]) * 64)
        assert secure.receive() == bytes([n]) * 64
    with normal.reserve(100) as view:
        view[:] = bytes(100)
    assert secure.receive_batch() == [bytes(100)]
    try:
        secure.receive(0.02)
    except TimeoutError:
        pass
    normal.close()
    try:
        secure.receive()
    except isthmus.PeerDead as error:
        assert type(error) is isthmus.PeerDead
    secure.close()
"""

#: The same in sub-interpreters of several threads at once, more than once in each.
SUB_INTERPRETERS = """
    import threading
    try:
        import _interpreters as interpreters  # 3.13
        run = interpreters.exec
    except ImportError:
        import _xxsubinterpreters as interpreters  # 3.11, 3.12
        run = interpreters.run_string
    exercise = {exercise!r}
    problems = []
    exec(exercise)
    def work():
        try:
            sub = interpreters.create()
            for _ in range(3):
                problem = run(sub, exercise)
                if problem:
                    problems.append(problem)
            interpreters.destroy(sub)
        except BaseException as error:
            problems.append(error)
    threads = [threading.Thread(target=work) for _ in range(3)]
    [thread.start() for thread in threads]
    [thread.join() for thread in threads]
    exec(exercise)
    assert not problems, problems
"""

#: Threads without a common lock, on a pair each and on one pair together.
FREE_THREADS = """
    import sys, threading, isthmus
    assert not sys._is_gil_enabled()
    normal, secure = isthmus.memory_link()
    problems = []
    def pump(end):
        try:
            for n in range(20000):
                end.send(n.to_bytes(4, "big") * 16, 30)
        except BaseException as error:
            problems.append(error)
    def drain(end):
        try:
            for n in range(20000):
                assert end.receive(30) == n.to_bytes(4, "big") * 16
        except BaseException as error:
            problems.append(error)
    def look(end):
        for _ in range(2000):
            end.statistics, end.state, end.age
    threads = [threading.Thread(target=f, args=(e,)) for e in (normal, secure) for f in (pump, drain, look)]
    [thread.start() for thread in threads]
    [thread.join() for thread in threads]
    assert not problems, problems
    late = threading.Thread(target=lambda: normal.close())
    late.start()
    try:
        while True:
            normal.send(bytes(60), 1)
            secure.receive(0)
    except (isthmus.ClosedError, isthmus.PeerDead, BlockingIOError):
        pass
    late.join()
    secure.close()
"""


def pythons(*names: str) -> list[Path]:
    """Interpreters by name that run: a version manager's, in its usual place, then those on the path."""
    root = Path(os.environ.get("PYENV_ROOT", Path.home() / ".pyenv"))
    found = [path for name in names for path in sorted(root.glob(f"versions/*/bin/{name}"))]
    found += [Path(path) for name in names if (path := shutil.which(name))]
    return [
        path
        for path in found
        if subprocess.run([path, "-c", ""], capture_output=True, check=False).returncode == 0
    ]


def run(python: Path | str, script: str, path: Path = SOURCE) -> None:
    environment = os.environ | {"PYTHONPATH": str(path), "PYTHONDONTWRITEBYTECODE": "1"}
    done = subprocess.run(
        [str(python), "-c", script], env=environment, capture_output=True, text=True, timeout=120, check=False
    )
    assert done.returncode == 0, done.stderr


def scripts() -> tuple[str, str]:
    exercise = textwrap.dedent(EXERCISE).format(source=str(SOURCE))
    return exercise, textwrap.dedent(SUB_INTERPRETERS).format(exercise=exercise)


def test_sub_interpreters() -> None:
    pytest.importorskip("_xxsubinterpreters" if sys.version_info < (3, 13) else "_interpreters")
    run(sys.executable, scripts()[1])


@pytest.mark.parametrize("version", ["3.12", "3.13", "3.14"])
def test_the_same_binary_under_a_later_python(version: str) -> None:
    found = pythons(f"python{version}")
    if not found:
        pytest.skip(f"interpreter: there is no Python {version} here")
    for script in scripts():
        run(found[0], script)


def test_a_free_threaded_python(tmp_path: Path) -> None:
    """It needs a build of its own: the limited API does not know its objects."""
    found = pythons("python3.13t", "python3.14t")
    if not found:
        pytest.skip("interpreter: there is no free-threaded Python here")
    shutil.copytree(
        SOURCE / "isthmus", tmp_path / "isthmus", ignore=shutil.ignore_patterns("*.so", "__pycache__")
    )
    query = "import sysconfig; print(sysconfig.get_path('include'), sysconfig.get_config_var('EXT_SUFFIX'))"
    include, suffix = subprocess.check_output([found[0], "-c", query], text=True).split()
    build(tmp_path / f"isthmus/_native{suffix}", include)
    run(found[0], textwrap.dedent(FREE_THREADS), tmp_path)


def build(target: Path, include: str, *options: str) -> None:
    root = SOURCE.parent
    sources = [*(SOURCE / "isthmus/_native").glob("*.c"), *(root / "core").glob("*.c"), root / "host/link.c"]
    folders = [
        f"-I{folder}"
        for folder in (
            *(include, root / "core", root / "host"),
            *(root / "worlds/secure/port", SOURCE / "isthmus/_native"),
        )
    ]
    command = ["cc", "-std=c11", "-O1", "-Wall", "-Wextra", "-Werror", "-fPIC", "-shared", *options, *folders]
    done = subprocess.run(
        [*command, *map(str, sources), "-o", str(target)], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr


def test_it_compiles_for_free_threads(tmp_path: Path) -> None:
    """Where there is no such Python, at least its headers have a say: those of 3.13 serve both builds."""
    found = pythons("python3.13", "python3.14")
    if not found:
        pytest.skip("interpreter: there is no Python 3.13 here")
    query = "import sysconfig; print(sysconfig.get_path('include'))"
    include = subprocess.check_output([found[0], "-c", query], text=True).strip()
    build(tmp_path / "native.so", include, "-DPy_GIL_DISABLED=1")


@pytest.mark.parametrize("options", [(), ("-DPy_LIMITED_API=0x030b0000",)], ids=["full-api", "limited-api"])
def test_it_compiles_without_a_warning(tmp_path: Path, options: tuple[str, ...]) -> None:
    build(tmp_path / "native.so", sysconfig.get_path("include"), *options)
