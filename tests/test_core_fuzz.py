# SPDX-License-Identifier: MIT
"""libFuzzer plays the peer (tests/c/fuzz.c): a bounded number of runs, and a longer one in the slow set."""

from __future__ import annotations

from pathlib import Path

import pytest

from core_programs import HOOKED, SANITIZED, Defect, build, defective, run

FLAGS = (*SANITIZED, "-O2", HOOKED, "-fsanitize=fuzzer")
LENGTH_MAX = 512  # bytes of input, enough for some hundred loads


def fuzz(program: Path, runs: int, seed: int, folder: Path, timeout: float = 200) -> str:
    """An input that fails is printed in base64 and kept in `folder`; the program replays its file."""
    return run(
        program,
        f"-runs={runs}",
        f"-seed={seed & 0x7FFFFFFF or 1}",
        f"-max_len={LENGTH_MAX}",
        f"-artifact_prefix={folder}/",
        "-verbosity=0",
        timeout=timeout,
    )


def test_fuzzed_peer(seed: int, tmp_path: Path, tmp_path_factory: pytest.TempPathFactory) -> None:
    fuzz(build(tmp_path_factory, "fuzz", *FLAGS, cc="clang"), 40_000, seed, tmp_path)


@pytest.mark.slow
@pytest.mark.timeout(1800)
def test_fuzzed_peer_at_length(seed: int, tmp_path: Path, tmp_path_factory: pytest.TempPathFactory) -> None:
    program = build(tmp_path_factory, "fuzz", *FLAGS, cc="clang")
    fuzz(program, 4_000_000, seed, tmp_path, timeout=1700)


DEFECTS = {
    "length": Defect("check.h", "if (length > frame_max)", "if (0)"),
    "head": Defect("check.h", "if (head - seen > ring - (seen - tail))", "if (0)"),
}


@pytest.mark.parametrize("name", DEFECTS)
def test_a_defect_is_found(name: str, tmp_path: Path, tmp_path_factory: pytest.TempPathFactory) -> None:
    program = defective(tmp_path_factory, "fuzz", DEFECTS[name], *FLAGS, cc="clang")
    with pytest.raises(pytest.fail.Exception, match="Base64"):
        fuzz(program, 400_000, 1, tmp_path)
    (found,) = tmp_path.glob("crash-*")
    with pytest.raises(pytest.fail.Exception):
        run(program, str(found))
