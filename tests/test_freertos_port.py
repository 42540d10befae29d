# SPDX-License-Identifier: MIT
"""The port for FreeRTOS+TCP against a double of its interface: who owns each buffer, on every path.

The double is written from the published contract; the real stack is not part of this project.
"""

from __future__ import annotations

import re
import subprocess
from itertools import product
from pathlib import Path

import pytest

from isthmus.filter import Ends, Rule, compile_table

ROOT = Path(__file__).parent.parent
PORT = ROOT / "worlds" / "secure" / "freertos"
LINES_MAX = 150
FLAGS = ["-std=c11", "-g", "-O1", "-Wall", "-Wextra", "-Wconversion", "-pedantic", "-Werror"]
SANITIZE = ["-fsanitize=address,undefined", "-fno-sanitize-recover=all"]
SHAPES = [
    {"USE_LINKED_RX_MESSAGES": linked, "ETHERNET_DRIVER_FILTERS_FRAME_TYPES": filters}
    for linked, filters in product((0, 1), (0, 1))
]


def compiled(folder: Path, sources: list[Path], *more: str) -> list[str]:
    """The sources' objects in `folder`."""
    includes = [ROOT / "core", ROOT / "worlds/secure/port", PORT, ROOT / "tests/freertos"]
    command = ["gcc", *FLAGS, *SANITIZE, *more, *(f"-I{place}" for place in includes), "-c"]
    subprocess.run([*command, *map(str, sources)], check=True, cwd=folder)
    return [str(folder / f"{source.stem}.o") for source in sources]


@pytest.fixture(scope="module")
def core(tmp_path_factory: pytest.TempPathFactory) -> list[str]:
    return compiled(tmp_path_factory.mktemp("core"), sorted((ROOT / "core").glob("*.c")))


def build(folder: Path, core: list[str], shape: dict[str, int], port: Path = PORT) -> Path:
    """The contract's test with this configuration; `port`: another folder of the port's files."""
    ends = Ends("02:49:53:00:00:02", "10.77.0.2/24", "02:49:53:00:00:01", "10.77.0.1/24")
    arp = Rule(name="arp", ethertype="arp", direction="out", group="broadcast")
    table = ",".join(f"{word:#x}u" for word in compile_table([arp], ends, "out"))
    defines = [f"-DTABLE={table}", *(f"-Dipconfig{name}={value}" for name, value in shape.items())]
    own = compiled(folder, [*sorted(port.glob("*.c")), ROOT / "tests/freertos/contract.c"], *defines)
    program = folder / "contract"
    subprocess.run(["gcc", *SANITIZE, *own, *core, "-o", str(program)], check=True)
    return program


@pytest.mark.parametrize("shape", SHAPES, ids=lambda s: "-".join(map(str, s.values())))
def test_the_contract_holds(shape: dict[str, int], core: list[str], tmp_path: Path) -> None:
    done = subprocess.run([build(tmp_path, core, shape)], check=False, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr


MISTAKES = {
    "a buffer kept when the queue is full": (
        "            vReleaseNetworkBufferAndDescriptor(b);\n        }",
        "}",
    ),
    "a foreign frame kept": ("        vReleaseNetworkBufferAndDescriptor(b);\n        return;", "return;"),
    "the rounded length": ("b->xDataLength = length;", ""),
    "the stack's buffer given back": ("if (release)\n", "if (release || 1)\n"),
    "a wait for a buffer": ("Descriptor(length, 0)", "Descriptor(length, 9)"),
    "what may not leave": ("k > 0 || netport_admits(", "1 || netport_admits("),
    "no word of a frame": ("    i->valid(b->pucEthernetBuffer, (ist_u32)b->xDataLength);\n", ""),
    "no doorbell": ("if (v == IST_V_OK && ist_publish(ep))", "if (ist_publish(ep) && 0)"),
    "a link that is not told": ("FreeRTOS_NetworkDown(i->nif);", ""),
    "an old chain posted again": (
        "    i->first = i->last = NULL;\n}\n\n/* The private copy",
        "}\n\n/* The private copy",
    ),
}


@pytest.mark.parametrize("name", MISTAKES)
def test_a_mistake_is_noticed(name: str, core: list[str], tmp_path: Path) -> None:
    old, new = MISTAKES[name]
    port = tmp_path / "port"
    port.mkdir()
    for file in PORT.glob("*.c"):
        text = file.read_text()
        if file.name == "NetworkInterface.c":
            assert old in text
            text = text.replace(old, new)
        (port / file.name).write_text(text)
    done = subprocess.run(
        [build(tmp_path, core, SHAPES[-1], port)], check=False, capture_output=True, text=True
    )
    assert done.returncode != 0, done.stdout


def test_checksums_that_nobody_computes_are_refused(core: list[str], tmp_path: Path) -> None:
    with pytest.raises(subprocess.CalledProcessError):
        build(tmp_path, core, {"DRIVER_INCLUDED_RX_IP_CHECKSUM": 1})


def test_it_is_small() -> None:
    """Lines of C without comments and blanks: what a user adds to what is shared."""
    lines = 0
    for file in sorted(PORT.glob("*.[ch]")):
        text = re.sub(r"/\*.*?\*/", "", file.read_text(), flags=re.DOTALL)
        lines += sum(bool(line.strip()) for line in text.splitlines())
    assert 0 < lines <= LINES_MAX
