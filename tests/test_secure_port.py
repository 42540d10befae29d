# SPDX-License-Identifier: MIT
"""The lwIP port and the applications under AddressSanitizer, with this process' C half as the Normal world
(tests/secure/port.c), and the port's arithmetic against plain definitions."""

from __future__ import annotations

import ctypes
import subprocess
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from isthmus.build import build_program
from isthmus.build.secure import secure_units
from isthmus.build.source import debian_source, read_pin
from isthmus.resources import tree

SECURE = tree() / "worlds" / "secure"
SANITIZE = ("-g", "-O1", "-fsanitize=address", "-fno-omit-frame-pointer")


@pytest.fixture(scope="module")
def program() -> Path:
    """Our sources but the loop's, with both sanitizers; lwIP's with the one for addresses."""
    own, upstream = secure_units(debian_source(read_pin(SECURE / "lwip" / "source.toml")))
    here = Path(__file__).with_name("secure")
    portable = [p for p in own.sources if p.parent.name in ("core", "lwip", "apps", "critical")]
    checked = [*own.cflags, *SANITIZE, "-fsanitize=undefined", "-fno-sanitize-recover=all"]
    units = [
        replace(own, sources=[*portable, here / "port.c"], cflags=checked),
        replace(upstream, cflags=[*upstream.cflags, *SANITIZE]),
    ]
    return build_program("secure-port", (), ldflags=["-fsanitize=address,undefined"], more=units)


def test_port_under_sanitizers(program: Path, seed: int) -> None:
    env = {"ASAN_OPTIONS": "detect_leaks=0"}
    done = subprocess.run([program, hex(seed)], check=False, capture_output=True, text=True, env=env)
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stdout.splitlines()[-1] == "hostile frames"


# ---- arithmetic ----------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def arithmetic(tmp_path_factory: pytest.TempPathFactory) -> ctypes.CDLL:
    made = tmp_path_factory.mktemp("arithmetic") / "arithmetic.so"
    lwip = debian_source(read_pin(SECURE / "lwip" / "source.toml"))
    sources = [SECURE / "lwip/chksum.c", SECURE / "apps/histogram.c"]
    includes = [f"-I{SECURE}/lwip", f"-I{lwip}/src/include"]
    subprocess.run(["cc", "-std=c11", "-O2", "-shared", "-fPIC", *includes, *sources, "-o", made], check=True)
    library = ctypes.CDLL(str(made))
    library.isthmus_chksum.restype = ctypes.c_uint16
    library.histogram_quantile.restype = ctypes.c_uint64
    return library


def internet_sum(data: bytes) -> int:
    """RFC 1071 as it is written, in the byte order that lwIP folds in."""
    total = sum(int.from_bytes(data[i : i + 2].ljust(2, b"\0"), "little") for i in range(0, len(data), 2))
    while total >> 16:
        total = (total & 0xFFFF) + (total >> 16)
    return total


@given(data=st.binary(max_size=3000), skip=st.integers(0, 15))
@example(data=b"\xff" * 3000, skip=1)
@example(data=b"\xff" * 65535, skip=0)
@example(data=b"", skip=0)
def test_checksum_is_the_internet_sum(arithmetic: ctypes.CDLL, data: bytes, skip: int) -> None:
    buffer = ctypes.create_string_buffer(bytes(skip) + data, skip + len(data))
    found = arithmetic.isthmus_chksum(ctypes.byref(buffer, skip), len(data))
    assert found == internet_sum(data)


@given(values=st.lists(st.integers(0, 2**63 - 1) | st.integers(0, 5000), min_size=1, max_size=200))
def test_histogram_errs_by_a_sixteenth_upwards(arithmetic: ctypes.CDLL, values: list[int]) -> None:
    histogram = ctypes.create_string_buffer(976 * 4 + 16)
    for value in values:
        arithmetic.histogram_add(histogram, ctypes.c_uint64(value))
    for permille in (1, 500, 990, 1000):
        exact = sorted(values)[-(-len(values) * permille // 1000) - 1]
        found = arithmetic.histogram_quantile(histogram, permille)
        assert exact <= found <= max(exact * 17 // 16 + 1, 0)
