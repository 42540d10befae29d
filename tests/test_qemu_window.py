# SPDX-License-Identifier: MIT
"""Each world asks its processor, at its start, what it makes of the window: Normal, write-back, inner
shareable memory, in the Secure world non-secure and never executable. Where it is not, the world says so and
begins no session; here each is built with such a mistake.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from isthmus import resources
from isthmus.build import guest, payload
from isthmus.build.packages import debian_kernel
from isthmus.qemu.machine import QemuMachine

pytestmark = pytest.mark.qemu


def changed(file: Path, was: str, becomes: str) -> None:
    text = file.read_text()
    assert text.count(was) == 1, f"{file.name} no longer says {was!r}"
    file.write_text(text.replace(was, becomes))


# ---- Linux ----------------------------------------------------------------------------------------------

#: What the driver maps the buffers as, and the memory type that the processor then reports (MAIR's bytes).
MAPPINGS = {
    "write-combining": ("MEMREMAP_WB", "MEMREMAP_WC", "44"),
    "device": (
        "devm_memremap(d, r.start, resource_size(&r), MEMREMAP_WB)",
        "(void __force *)devm_ioremap(d, r.start, resource_size(&r))",
        "04",
    ),
}


@pytest.fixture(scope="module")
def machine(tmp_path_factory: pytest.TempPathFactory) -> Iterator[QemuMachine]:
    kernel = debian_kernel()
    files = {"good.ko": guest.driver(kernel)}
    for name, (was, becomes, _) in MAPPINGS.items():
        source = tmp_path_factory.mktemp("driver") / "linux"
        shutil.copytree(resources.tree() / "worlds" / "normal" / "linux", source)
        changed(source / "isthmus_memory.c", was, becomes)
        folders = {"": source, "core": resources.tree() / "core"}
        files[f"{name}.ko"] = guest.kernel_module(kernel, "isthmus", folders)
    with QemuMachine(files=files) as machine:
        yield machine


def loaded(machine: QemuMachine, module: str) -> tuple[bool, str]:
    """Whether the interface came with the module, and what Linux's log says of it."""
    script = f"dmesg -c >/dev/null; insmod /{module}.ko; ls /sys/class/net; dmesg; rmmod isthmus"
    done = machine.run(script)
    assert done.status == 0, done.errors
    return machine.board.normal.interface in done.output.split(), done.output


def test_linux_accepts_its_mapping(machine: QemuMachine) -> None:
    there, log = loaded(machine, "good")
    assert there
    assert "memory-region" not in log


@pytest.mark.parametrize("name", MAPPINGS)
def test_linux_refuses_another_mapping(machine: QemuMachine, name: str) -> None:
    there, log = loaded(machine, name)
    assert not there
    lines = [line for line in log.splitlines() if "memory-region" in line]
    assert len(lines) == 1, log
    assert "memory-region normal is not Normal, write-back, inner shareable" in lines[0]
    assert f"PAR_EL1 0x{MAPPINGS[name][2].lstrip('0')}" in lines[0]


# ---- the Secure world -----------------------------------------------------------------------------------

ATTRIBUTES = "the window is not Normal, write-back, inner shareable, non-secure memory"
MISTAKES = {
    "executable": ("#define OWN (DATA | NON_SECURE)",
                   "#define OWN (ATTR_NORMAL | INNER_SHAREABLE | NON_SECURE)", "the window can be executed"),
    "not shareable": ("#define PEER (CONSTANTS | NON_SECURE)",
                      "#define PEER ((CONSTANTS & ~INNER_SHAREABLE) | NON_SECURE)", ATTRIBUTES),
    "device": ("#define OWN (DATA | NON_SECURE)", "#define OWN (DEVICE | NON_SECURE)", ATTRIBUTES),
    "secure": ("#define PEER (CONSTANTS | NON_SECURE)", "#define PEER CONSTANTS", ATTRIBUTES),
    "writable": ("#define PEER (CONSTANTS | NON_SECURE)", "#define PEER (DATA | NON_SECURE)",
                 "the peer's buffer can be written"),
}  # fmt: skip


@pytest.fixture
def tree_with(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[str, str], None]:
    """Makes the runtime be built from a copy of the tree with one change in mmu.c."""

    def change(was: str, becomes: str) -> None:
        copy = tmp_path / "tree"
        for part in ("core", "worlds", "boards"):
            shutil.copytree(resources.tree() / part, copy / part)
        changed(copy / "worlds" / "secure" / "runtime" / "mmu.c", was, becomes)
        monkeypatch.setattr(payload, "tree", lambda: copy)

    return change


@pytest.mark.parametrize(
    "name", ["executable", *(pytest.param(n, marks=pytest.mark.slow) for n in MISTAKES if n != "executable")]
)
def test_the_secure_world_refuses_another_mapping(name: str, tree_with: Callable[[str, str], None]) -> None:
    """It stops, its console says why, and Linux starts all the same, without a session."""
    was, becomes, why = MISTAKES[name]
    tree_with(was, becomes)
    with QemuMachine(modules=[guest.driver(debian_kernel())]) as machine:
        console = (machine.logs / "secure.log").read_text()
        assert "address space does not hold:" in console
        assert why in console
        interface = machine.board.normal.interface
        done = machine.run(f"ip link set {interface} up; usleep 50000; dmesg | grep {interface}")
        assert "registration refused: the Secure world is not there" in done.output
