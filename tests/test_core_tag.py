# SPDX-License-Identifier: MIT
"""The integrity tags against an independent implementation, written from their definitions."""

from __future__ import annotations

import random
from collections.abc import Iterator

import pytest

from core_programs import SANITIZED, build, run

CRC32C, SIPHASH = 1, 2
MASK = (1 << 64) - 1


def crc32c(data: bytes) -> int:
    """Bit by bit: the reflected Castagnoli polynomial, initial value and final inversion of RFC 3720."""
    crc = 0xFFFFFFFF
    for byte in data:
        crc ^= byte
        for _ in range(8):
            crc = (crc >> 1) ^ (0x82F63B78 if crc & 1 else 0)
    return crc ^ 0xFFFFFFFF


def siphash_2_4_128(k0: int, k1: int, data: bytes) -> tuple[int, int]:
    """Figure 2.1 of the paper, with the 128-bit output of its reference code, on unbounded integers."""

    def rotate(x: int, bits: int) -> int:
        return (x << bits | x >> (64 - bits)) & MASK

    def rounds(v: list[int], n: int) -> None:
        for _ in range(n):
            for a, b, c, d, left, right in ((0, 1, 2, 3, 13, 16), (2, 1, 0, 3, 17, 21)):
                v[a] = (v[a] + v[b]) & MASK
                v[c] = (v[c] + v[d]) & MASK
                v[b] = rotate(v[b], left) ^ v[a]
                v[d] = rotate(v[d], right) ^ v[c]
                v[a] = rotate(v[a], 32)

    v = [k0 ^ 0x736F6D6570736575, k1 ^ 0x646F72616E646F6D, k0 ^ 0x6C7967656E657261, k1 ^ 0x7465646279746573]
    v[1] ^= 0xEE
    padded = data + bytes(-(len(data) + 1) % 8) + bytes([len(data) & 0xFF])
    for i in range(0, len(padded), 8):
        word = int.from_bytes(padded[i : i + 8], "little")
        v[3] ^= word
        rounds(v, 2)
        v[0] ^= word
    v[2] ^= 0xEE
    rounds(v, 4)
    low = v[0] ^ v[1] ^ v[2] ^ v[3]
    v[1] ^= 0xDD
    rounds(v, 4)
    return low, v[0] ^ v[1] ^ v[2] ^ v[3]


def test_the_oracle_itself() -> None:
    """Published vectors."""
    assert crc32c(b"123456789") == 0xE3069283
    k0, k1 = 0x0706050403020100, 0x0F0E0D0C0B0A0908
    for data, published in (
        (b"", "a3817f04ba25a8e66df67214c7550293"),
        (bytes(range(15)), "5493e99933b0a8117e08ec0f97cfc3d9"),
    ):
        low, high = siphash_2_4_128(k0, k1, data)
        assert (low | high << 64).to_bytes(16, "little").hex() == published


def messages(dice: random.Random) -> Iterator[bytes]:
    yield from (bytes(range(n)) for n in range(64))
    for n in (*range(64, 300, 13), 1500, 1518, 9000):
        yield dice.randbytes(n)


@pytest.mark.parametrize("flags", [(), ("-O3",), ("-Os",)], ids=["O1", "O3", "Os"])
def test_tags_equal_the_oracle(
    flags: tuple[str, ...], tmp_path_factory: pytest.TempPathFactory, seed: int
) -> None:
    dice = random.Random(seed)
    program = build(tmp_path_factory, "unit_tag", *SANITIZED, *flags)
    cases = [
        (kind, dice.getrandbits(64), dice.getrandbits(64), data)
        for kind in (CRC32C, SIPHASH)
        for data in messages(dice)
    ]
    lines = "".join(f"{kind} {k0:x} {k1:x} {data.hex() or '-'}\n" for kind, k0, k1, data in cases)
    answers = run(program, "--lines", stdin=lines).splitlines()
    assert len(answers) == len(cases)
    for (kind, k0, k1, data), answer in zip(cases, answers, strict=True):
        want = (crc32c(data), 0) if kind == CRC32C else siphash_2_4_128(k0, k1, data)
        assert tuple(int(word, 16) for word in answer.split()) == want, (kind, len(data))
