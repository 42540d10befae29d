# SPDX-License-Identifier: MIT
"""What Linux starts from: the loader's table says what the board file says, and images that do not fit are
refused by name."""

from __future__ import annotations

import io
import struct
from dataclasses import dataclass
from pathlib import Path

import msgspec
import pytest

from isthmus.build.storage import loader, write_storage
from isthmus.errors import EnvironmentProblem
from isthmus.trustzone.board import TrustZone, load

pytestmark = pytest.mark.qemu

STEP = struct.Struct("<QQQQ")
ENTER, WAIT, WRITE, COPY, VISIT = range(5)


@dataclass
class Images:
    """Files of the given sizes; the kernel's header says what it needs of memory."""

    folder: Path

    def __call__(self, kernel: int, needed: int, tree: int, initramfs: int) -> dict[str, Path]:
        content = {
            "kernel": (bytes(16) + struct.pack("<Q", needed)).ljust(kernel, b"K"),
            "device_tree": b"T" * tree,
            "initramfs": b"I" * initramfs,
        }
        for name, data in content.items():
            (self.folder / name).write_bytes(data)
        return {name: self.folder / name for name in content}


@pytest.fixture
def images(tmp_path: Path) -> Images:
    return Images(tmp_path)


def written(board: TrustZone, images: dict[str, Path]) -> bytes:
    out = io.BytesIO()
    write_storage(board, images, out)
    return out.getvalue()


def steps(board: TrustZone, data: bytes) -> list[tuple[int, ...]]:
    found: list[tuple[int, ...]] = []
    at = len(loader(board))
    while not found or found[-1][0] != ENTER:
        found.append(STEP.unpack_from(data, at))
        at += STEP.size
    return found


def test_copies_hold_the_images_at_the_boards_places(images: Images) -> None:
    board = load()
    data = written(board, images(1000, 5000, 100, 10_000))
    table = steps(board, data)
    copies = [step[1:] for step in table if step[0] == COPY]
    boot = board.boot
    assert [to for _, to, _ in copies] == [boot.kernel, boot.device_tree, boot.initramfs]
    for (source, _, size), letter, exact in zip(copies, b"KTI", (1000, 100, 10_000), strict=True):
        at = source - boot.storage.base
        assert size % 64 == 0
        assert exact <= size < exact + 64
        assert data[at + exact - 1] == letter
        assert not any(data[at + exact : at + size])
    assert table[-1] == (ENTER, boot.kernel, boot.device_tree, 0)
    assert len(data) == boot.storage.size


def test_other_cores_first_then_registers_then_copies(images: Images) -> None:
    board = load()
    board = msgspec.structs.replace(board, core=msgspec.structs.replace(board.core, normal=(0, 1, 2)))
    table = steps(board, written(board, images(1000, 5000, 100, 100)))
    kinds = [step[0] for step in table]
    assert kinds == sorted(kinds, key=(WAIT, WRITE, VISIT, COPY, ENTER).index)
    assert [step[1] for step in table if step[0] == WAIT] == [1, 2]
    assert [step[1:] for step in table if step[0] == VISIT] == [(n, board.boot.kernel, 0) for n in (1, 2)]
    writes = [step for step in table if step[0] == WRITE]
    for quiet in board.boot.quiet:
        assert (WRITE, quiet.base, quiet.count | quiet.stride << 32, quiet.value) in writes


@pytest.mark.parametrize(
    ("sizes", "expected"),
    [
        (
            (1000, 0x8000000, 100, 100),
            "boot.initramfs: 0x48000000..0x48000064 overlaps boot.kernel 0x40200000",
        ),
        ((1000, 5000, 0x300000, 100), "boot.device_tree: 0x40000000..0x40300000 overlaps boot.kernel"),
        ((1000, 0x20000000, 100, 100), "boot.kernel: 0x40200000..0x60200000 is not within memory.normal"),
        ((1000, 5000, 100, 0x4000000), "loader and images have 0x4003000 bytes, beyond boot.storage.size"),
    ],
)
def test_what_does_not_fit_is_named(images: Images, sizes: tuple[int, ...], expected: str) -> None:
    with pytest.raises(EnvironmentProblem) as caught:
        written(load(), images(*sizes))
    assert expected in str(caught.value)
    assert "\n" not in str(caught.value)
