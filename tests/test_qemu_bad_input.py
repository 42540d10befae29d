# SPDX-License-Identifier: MIT
"""The TrustZone machine's commands where something is wrong: exit status 2 and one line that names it, or 130
for Ctrl-C; nothing is left, neither a process nor a file.
"""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from host_tools import descendants, eventually
from isthmus.build import folder, guest
from isthmus.build.packages import Kernel, debian_kernel
from isthmus.errors import EnvironmentProblem
from isthmus.qemu import linked
from isthmus.qemu.linked import LinkedMachine
from isthmus.trustzone.board import load

ISTHMUS = [sys.executable, "-m", "isthmus"]
COMMANDS = {
    "build": ("build",),
    "run": ("run", "--for", "1"),
    "check": ("check",),
    "bench": ("bench", "--machine", "qemu"),
    "attack": ("attack", "--machine", "qemu", "--only", "smc-66"),
}
LIMIT_S = 300


def one_line(*arguments: str, env: dict[str, str] | None = None) -> str:
    done = subprocess.run(
        [*ISTHMUS, *arguments], capture_output=True, text=True, timeout=LIMIT_S, check=False, env=env
    )
    assert (done.returncode, done.stdout, done.stderr.count("\n")) == (2, "", 1), done.stderr
    assert done.stderr.startswith("isthmus: ")
    return done.stderr


# ---- what is found before anything starts ----------------------------------------------------------------


@pytest.mark.parametrize("command", COMMANDS)
def test_a_mistake_in_the_board_file(command: str, tmp_path: Path) -> None:
    source = Path(__file__).parent.parent / "boards" / "qemu-virt.toml"
    board = tmp_path / "mine.toml"
    text = re.sub(r"(?m)^base = 0x0e100000", "base = 0x0e000000", source.read_text())
    assert text != source.read_text()
    board.write_text(text)
    said = one_line(*COMMANDS[command], "--board", str(board))
    assert f"{board}: memory.secure: 0x0e000000..0x0ef00000 overlaps memory.monitor" in said


TOOLS = ("qemu-system-aarch64", "aarch64-linux-gnu-gcc", "dtc", "make")


@pytest.fixture
def without(tmp_path: Path) -> Callable[[str], dict[str, str]]:
    """An environment that has every command but one."""

    def environment(absent: str) -> dict[str, str]:
        place = tmp_path / "bin"
        place.mkdir()
        for source in (Path("/usr/sbin"), Path("/usr/bin")):
            for tool in source.iterdir():
                if tool.name != absent and not (place / tool.name).is_symlink():
                    (place / tool.name).symlink_to(tool)
        return {**os.environ, "PATH": str(place)}

    return environment


@pytest.mark.qemu
@pytest.mark.parametrize("tool", TOOLS)
@pytest.mark.parametrize("command", ["build", "check", "attack", "bench"])
def test_a_missing_tool(command: str, tool: str, without: Callable[[str], dict[str, str]]) -> None:
    said = one_line(*COMMANDS[command], env=without(tool))
    assert tool in said
    assert "install" in said


@pytest.mark.qemu
def test_a_module_for_another_kernel(tmp_path: Path) -> None:
    kernel = debian_kernel()
    ours = guest.driver(kernel).read_bytes()
    other = kernel.release.replace("6.", "7.", 1)
    module = tmp_path / "isthmus.ko"
    module.write_bytes(ours.replace(kernel.release.encode(), other.encode()))
    guest.match(kernel, [guest.driver(kernel)])
    said = rf"isthmus\.ko was built for {other}, but .* is {kernel.release}"
    with pytest.raises(EnvironmentProblem, match=said):
        guest.match(kernel, [module])
    image = tmp_path / "boot" / f"vmlinuz-{kernel.release}"
    image.parent.mkdir()
    image.write_bytes(b"not a kernel")
    with pytest.raises(EnvironmentProblem, match="of a version that it does not tell"):
        guest.match(Kernel(tmp_path, kernel.release), [guest.driver(kernel)])


# ---- what is found while it starts -----------------------------------------------------------------------


@pytest.mark.qemu
def test_a_module_that_the_kernel_refuses(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """One symbol has another checksum than the kernel's."""
    data = bytearray(guest.driver(debian_kernel()).read_bytes())
    at = data.index(b"module_layout\0") - 8  # struct modversion_info: checksum, name
    data[at] ^= 0xFF
    module = tmp_path / "isthmus.ko"
    module.write_bytes(data)
    monkeypatch.setattr(linked, "driver", lambda kernel: module)
    machine = LinkedMachine()
    with pytest.raises(EnvironmentProblem) as problem:
        machine.start()
    assert re.fullmatch(
        r"ist0 does not come up: isthmus\.ko made no such interface: .*module_layout.*: read .*/\*\.log",
        str(problem.value),
    )
    assert gone(machine)


@pytest.mark.qemu
def test_a_machine_that_hangs_at_boot() -> None:
    """The Secure world waits for a timer that nobody arms, and Linux for the Secure world."""
    machine = LinkedMachine(load(changes=["interrupt.timer=26"]))
    machine.build()
    with pytest.raises(EnvironmentProblem) as problem:
        machine.start(timeout=5)
    assert re.fullmatch(
        r"Linux did not answer within 5 s; normal\.log ends with 'NOTICE: .*', "
        r"secure\.log ends with 'isthmus: .*': read .*/\*\.log",
        str(problem.value),
    )
    assert gone(machine)


def gone(machine: LinkedMachine) -> bool:
    """No QEMU, and none of its files but the logs."""
    assert machine._qemu is not None
    kinds = {p.suffix for p in machine.logs.iterdir()}
    return machine._qemu.returncode is not None and kinds <= {".log", ".dtb"}


# ---- what happens in the middle --------------------------------------------------------------------------


def named(pid: int, name: str) -> list[int]:
    """Those of them that run this program."""
    found = []
    for child in descendants(pid):
        try:
            if Path(f"/proc/{child}/cmdline").read_bytes().split(b"\0")[0].endswith(name.encode()):
                found.append(child)
        except OSError:
            continue
    return found


def there(pids: list[int]) -> list[int]:
    return [pid for pid in pids if Path(f"/proc/{pid}").exists()]


@pytest.mark.qemu
def test_qemu_killed_in_the_middle(tmp_path: Path) -> None:
    env = {**os.environ, "TMPDIR": str(tmp_path)}
    with subprocess.Popen(
        [*ISTHMUS, "check"], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=env
    ) as run:
        assert run.stderr is not None
        for line in run.stderr:
            if line == "check: traffic\n":
                break
        (emulator,) = named(run.pid, "qemu-system-aarch64")
        os.kill(emulator, signal.SIGKILL)
        out, err = run.communicate(timeout=LIMIT_S)
    lines = err.splitlines()
    assert (run.returncode, out) == (2, "")
    said = r"isthmus: the machine is gone: QEMU was ended by SIGKILL: read .*/\*\.log"
    assert re.fullmatch(said, lines[-1])
    assert all(line.startswith("check: ") for line in lines[:-1]), err
    assert list(tmp_path.iterdir()) == []


@pytest.mark.qemu
def test_ctrl_c_while_it_builds(tmp_path: Path) -> None:
    """The command alone is told, as a supervisor does it. TF-A's make and its compilers end too, and nothing
    half-built stays."""
    cache = tmp_path / "cache" / "isthmus"
    cache.mkdir(parents=True)
    for name in ("sources", "packages"):  # fetched once is enough
        (cache / name).symlink_to(folder(name))
    scratch = tmp_path / "tmp"
    scratch.mkdir()
    env = {**os.environ, "XDG_CACHE_HOME": str(cache.parent), "TMPDIR": str(scratch)}
    argv = [*ISTHMUS, "build"]
    with subprocess.Popen(argv, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=env) as run:
        assert eventually(lambda: any(descendants(make) for make in named(run.pid, "make")), 200)
        started = list(descendants(run.pid))
        run.send_signal(signal.SIGINT)
        out, err = run.communicate(timeout=60)
    assert (run.returncode, out, err) == (130, "", "")
    assert eventually(lambda: there(started) == [], 10), there(started)
    assert list((cache / "staging").iterdir()) == []
    assert list(scratch.iterdir()) == []


@pytest.mark.qemu
def test_ctrl_c_while_it_boots(tmp_path: Path) -> None:
    """From a terminal: QEMU is not in its foreground, so that it ends by us and not beside us."""
    env = {**os.environ, "TMPDIR": str(tmp_path)}
    with subprocess.Popen(
        [*ISTHMUS, "run"],
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=env, start_new_session=True,
    ) as run:  # fmt: skip
        assert eventually(lambda: named(run.pid, "qemu-system-aarch64") != [], 60)
        started = list(descendants(run.pid))
        os.killpg(run.pid, signal.SIGINT)
        out, err = run.communicate(timeout=60)
    assert (run.returncode, out, err) == (130, "", "")
    assert eventually(lambda: there(started) == [], 10), there(started)
    assert list(tmp_path.iterdir()) == []
