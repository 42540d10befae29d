# SPDX-License-Identifier: MIT
"""A TrustZone board file: each mistake is one line with file, key and both parties; what it makes agrees."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

import msgspec
import pytest

from isthmus.errors import ConfigError
from isthmus.resources import tree
from isthmus.trustzone import board, generate

GOOD = (tree() / "boards" / "qemu-virt.toml").read_text()

# What is changed in the board that ships, and how the message must begin.
BAD = {
    "no memory map": (("[memory.secure]", "[memory.other]"), "memory.other: unknown key"),
    "secure overlaps monitor": (
        ("base = 0x0e100000", "base = 0x0e080000"),
        "memory.secure: 0x0e080000..0x0ef80000 overlaps memory.monitor 0x0e000000..0x0e100000",
    ),
    "secure overlaps normal": (
        ("base = 0x0e100000\nsize = 0x00f00000", "base = 0x3ff00000\nsize = 0x00f00000"),
        "memory.normal: 0x40000000..0x60000000 overlaps memory.secure 0x3ff00000..0x40e00000",
    ),
    "device overlaps memory": (
        ("base = 0x09040000", "base = 0x0e200000"),
        "device.console: 0x0e200000..0x0e201000 overlaps memory.secure",
    ),
    "redistributor runs into the console": (
        ("size = 0x00f60000", "size = 0x01000000"),
        "device.gic_redistributor: 0x080a0000..0x090a0000 overlaps device.console 0x09040000..0x09041000",
    ),
    "window outside": (
        ("base = 0x5f800000", "base = 0x5fe00000"),
        "memory.window: 0x5fe00000..0x60200000 is not within memory.normal 0x40000000..0x60000000",
    ),
    "misaligned": (
        ("base = 0x0e100000", "base = 0x0e100800"),
        "memory.secure.base: 0xe100800 is not a multiple",
    ),
    "empty": (("size = 0x00f00000", "size = 0"), "memory.secure.size: 0x0 is not above 0"),
    "beyond the tables": (
        ("size = 0x20000000", "size = 0xd0000000"),
        "memory.normal: 0x40000000..0x110000000 ends",
    ),
    "buffers alias": (
        ("secure = 0x5fa00000", "secure = 0x5f800000"),
        "buffer.secure: 0x5f800000..0x5f911000 overlaps buffer.normal 0x5f800000..0x5f911000",
    ),
    "buffers overlap by a page": (
        ("secure = 0x5fa00000", "secure = 0x5f900000"),
        "buffer.secure: 0x5f900000..0x5fa11000 overlaps buffer.normal 0x5f800000..0x5f911000",
    ),
    "buffer beyond the window": (
        ("secure = 0x5fa00000", "secure = 0x5fb00000"),
        "buffer.secure: 0x5fb00000..0x5fc11000 is not within memory.window 0x5f800000..0x5fc00000",
    ),
    "buffer misaligned": (
        ("secure = 0x5fa00000", "secure = 0x5fa00010"),
        "buffer.secure: 0x5fa00010 is not a",
    ),
    "ring larger than the window": (
        ("ring_bytes = 1048576    #", "ring_bytes = 8388608    #"),
        "buffer.normal: 0x5f800000..0x60011000 is not within memory.window",
    ),
    "shared power": (
        ('owner = "secure"\n\n[device.gic_d', 'owner = "shared"\n\n[device.gic_d'),
        "device.power.owner: the Secure world's power must be its own, not shared",
    ),
    "shared console": (('owner = "secure"', 'owner = "shared"'), "device.console.owner: the Secure world's"),
    "unknown owner": (('owner = "secure"', 'owner = "me"'), "device.console.owner: invalid enum value 'me'"),
    "timer is not private": (
        ("timer = 29", "timer = 40"),
        "interrupt.timer: 40 is not a private interrupt, 16..31",
    ),
    "kick of the Normal world": (
        ("kick = 8", "kick = 7"),
        "interrupt.kick: 7 is not a secure software-generated",
    ),
    "doorbell is private": (
        ("doorbell = 232", "doorbell = 30"),
        "interrupt.doorbell: 30 is not a shared interrupt",
    ),
    "a priority between two": (
        ("timer_priority = 0x20", "timer_priority = 0x21"),
        "interrupt.timer_priority: 0x21 is not a multiple of 8 from 0 to 0xf0",
    ),
    "no core": (("normal = [0]", "normal = []"), "core.normal: the Normal world has no core"),
    "a core twice": (("normal = [0]", "normal = [0, 0]"), "core.normal[1]: core 0 is named twice"),
    "started elsewhere": (
        ("secure = 0 ", "secure = 1 "),
        "core.secure: 1 is not 0, the core that [emulator]",
    ),
    "shared, but not Linux's first": (
        ("normal = [0]", "normal = [1, 0]"),
        "core.secure: core 0 is shared and not Linux's first, core 1",
    ),
    "a shared core that polls": (
        ('doorbell = "interrupt"', 'doorbell = "poll"'),
        "core.doorbell: 'poll' needs a core of the Secure world's own, but core.secure = 0 is in core.normal",
    ),
    "no doorbells": (("_second = 100000", "_second = 0"), "monitor.doorbells_per_second: 0 is not within"),
    "kernel in the window": (
        ("kernel = 0x40200000", "kernel = 0x5fa00000"),
        "boot.kernel: 0x5fa00000 is within memory.window 0x5f800000..0x5fc00000",
    ),
    "kernel misaligned": (("kernel = 0x40200000", "kernel = 0x40280000"), "boot.kernel: 0x40280000 is not a"),
    "initramfs outside": (
        ("initramfs = 0x48000000", "initramfs = 0x60000000"),
        "boot.initramfs: 0x60000000 is not within memory.normal",
    ),
    "initramfs over the kernel": (
        ("initramfs = 0x48000000", "initramfs = 0x40200000"),
        "boot.initramfs: 0x40200000 is boot.kernel too",
    ),
    "device tree misaligned": (
        ("device_tree = 0x40000000", "device_tree = 0x40000010"),
        "boot.device_tree: 0x40000010 is not a multiple of the page",
    ),
    "storage over secure memory": (
        ("base = 0x04000000\nsize = 0x04000000", "base = 0x04000000\nsize = 0x0b000000"),
        "boot.storage: 0x04000000..0x0f000000 overlaps memory.monitor 0x0e000000..0x0e100000",
    ),
    "quiet writes to a secure device": (
        ("base = 0x08080000", "base = 0x09040000"),
        "boot.quiet[0]: 0x09040000..0x09040004 overlaps device.console 0x09040000..0x09041000, which is the",
    ),
    "quiet writes to memory": (
        ("base = 0x08080000", "base = 0x40000000"),
        "boot.quiet[0]: 0x40000000..0x40000004 overlaps memory.normal 0x40000000..0x60000000",
    ),
    "injected option": (
        ('"QEMU_USE_GIC_DRIVER=QEMU_GICV{gic}"', '"A=1; rm -r x"'),
        "firmware.options[0]: 'A=1; rm -r x'",
    ),
    "a second task in a place": (
        ('runs = "below"', 'runs = "above"'),
        "secure.task: 'control' and 'supervision' both run 'above': one task in each place",
    ),
    "no task above": (('runs = "above"', 'runs = "below"'), "secure.task: 'control' and 'supervision' both"),
    "a flow that is not there": (
        ('flow = "setpoints"', 'flow = "other"'),
        "secure.task[1].flow: 'other' is none of the flows ['setpoints']",
    ),
    "a flow of a task above": (
        ('runs = "above"', 'runs = "above"\nflow = "setpoints"'),
        "secure.task[0].flow: 'control' runs 'above': a flow releases a task inside alone",
    ),
    "a flow without a port": (("port = 7700", "port = 0"), "flow[0].port: 0 is not within 1..65535"),
    "a flow of TCP inside": (
        ('protocol = "udp"', 'protocol = "tcp"'),
        "secure.task[1].flow: 'setpoints' is tcp, not udp",
    ),
    "deadline that blocking breaks": (
        ("deadline_us = 500", "deadline_us = 210"),
        "secure.task[0].deadline_us: cannot be done within 210 us beside the rest (us: never settles; c",
    ),
    "network beyond what is left": (
        ("cost_us = 700", "cost_us = 790"),
        "secure.network: cannot be done within 1000 us beside the rest (us: never settles; control 200/",
    ),
    "a task below beyond what is left": (
        ("cost_us = 500", "cost_us = 1000"),
        "secure.task[2].deadline_us: cannot be done within 6400 us beside the rest (us: never settles; contr",
    ),
    "an answer that the network's period breaks": (
        ("deadline_us = 1300", "deadline_us = 1200"),
        "secure.task[1].deadline_us: cannot be done within 1200 us beside the rest (us: needs 1220; control ",
    ),
    "an answer beyond the network's cost": (
        ("cost_us = 60", "cost_us = 701"),
        "secure.task[1].cost_us: 701 is more than secure.network.cost_us = 700",
    ),
    "periods that do not fit the network's": (
        ("period_us = 10000", "period_us = 10500"),
        "secure.task[2].period_us: 10500 is not a multiple of the network's period, 1000",
    ),
    "periods that do not fit the control task's": (
        ("cost_us = 700\nperiod_us = 1000", "cost_us = 700\nperiod_us = 1500"),
        "secure.network.period_us: 1500 is not a multiple of control's period, 1000",
    ),
    "a watchdog that bites in every period": (
        ("watchdog_us = 5000", "watchdog_us = 1500"),
        "secure.watchdog_us: 1500 is not 0 and below two periods of control, 2000",
    ),
}


@pytest.mark.parametrize("name", BAD)
def test_a_mistake_is_one_line_with_file_key_and_both_parties(name: str) -> None:
    (old, new), expected = BAD[name]
    assert old in GOOD
    with pytest.raises(ConfigError) as caught:
        board.decode(GOOD.replace(old, new, 1), "my.toml")
    line = str(caught.value)
    assert line.startswith(f"my.toml: {expected}"), line
    assert "\n" not in line


@pytest.mark.parametrize(
    ("changes", "why"),
    [
        (("gic.version=2",), "takes gic.version = 3"),
        (("core.normal=[0, 1]",), r"takes a Linux of that core alone, not \[0, 1\]"),
    ],
)
@pytest.mark.parametrize("key", ["timer_priority", "kick_priority"])
def test_what_priorities_among_linuxs_take(key: str, changes: tuple[str, ...], why: str) -> None:
    assert not board.load().priorities_move
    among = f"interrupt.{key}=0x80"
    assert board.load(changes=[among]).priorities_move
    with pytest.raises(ConfigError, match=rf"interrupt\.{key}: 0x80 is among Linux's .*, which {why}"):
        board.load(changes=[among, *changes])
    own = board.load(changes=[among, "core.normal=[1]", "gic.version=2"])
    assert not own.priorities_move, "nothing of Linux's is on that core"


def test_the_common_rules_hold_here_too() -> None:
    with pytest.raises(ConfigError, match=r"my\.toml: normal\.ring_bytes: 12345 is not"):
        board.decode(GOOD.replace("ring_bytes = 1048576", "ring_bytes = 12345", 1), "my.toml")


def test_response_times_by_hand() -> None:
    """control: C 200 + B 20. network: 700 + 20, above it 200 in each 1000. setpoints: the network may just
    have spent its 700, 300 before its next. supervision: 500 + 20, above it 900 in each 1000: six of them."""
    assert [(r.name, r.us) for r in board.responses(board.load().secure)] == [
        ("control", 220),
        ("network", 920),
        ("setpoints", 1220),
        ("supervision", 5920),
    ]


def test_the_set_has_little_slack() -> None:
    """So little that what takes a tenth more than it may shows as a missed deadline."""
    assert 0 < board.slack(board.load().secure) <= 0.1


@pytest.mark.parametrize("phase", range(0, 1000, 37))
def test_no_schedule_is_worse_than_the_formula(phase: int) -> None:
    """The runtime's rules, played instant by instant (1 us): everything released together, blocked for as
    long as may be, with the network's work coming from any phase on and never ending."""
    secure = board.load().secure
    above, below, network = secure.runs("above"), secure.runs("below"), secure.network
    assert above is not None
    assert below is not None
    limits = {r.name: r.us for r in board.responses(secure)}
    left, budget = {"above": 0, "below": 0}, 0
    ended: dict[str, int] = {}
    for now in range(below.period_us):
        if now % above.period_us == 0:
            left["above"], released = above.cost_us, now
        if now % network.period_us == 0:
            budget = network.cost_us
        if now == 0:
            left["below"] = below.cost_us
        if now < secure.blocking.us:
            continue
        if left["above"]:
            left["above"] -= 1
            ended["control"] = max(ended.get("control", 0), now + 1 - released)
        elif budget and now >= phase:
            budget -= 1
        elif left["below"]:
            left["below"] -= 1
            ended["supervision"] = now + 1
    assert left["below"] == 0
    for name, us in ended.items():
        worst = limits[name]
        assert worst is not None
        assert us <= worst
    if phase == 0:
        assert ended["supervision"] == limits["supervision"], "the formula is exact"


def test_the_header_compiles_and_says_what_the_board_says(tmp_path: Path) -> None:
    b = board.load()
    (tmp_path / "board.h").write_text(generate.header(b))
    (tmp_path / "config.c").write_text(
        '#include "isthmus.h"\n#include "board.h"\n#include <stdio.h>\n'
        "int main(void) { static const struct ist_config c = BOARD_CONFIG;"
        " const unsigned char mac[] = BOARD_SECURE_MAC;"
        " unsigned long end = (unsigned long)BOARD_SECURE_BUFFER_BASE + ist_buffer_size(&c, IST_SECURE);"
        ' return !printf("%u %u %u %lx %x %x", c.ring_bytes[1], c.frame_max, c.role, end,'
        " BOARD_SECURE_IP, mac[5]); }"
    )
    core = tree() / "core"
    command = ["cc", "-std=c11", "-Wall", "-Wextra", "-Wconversion", "-Werror", f"-I{core}", f"-I{tmp_path}"]
    subprocess.run(
        [*command, "-o", tmp_path / "config", tmp_path / "config.c", *core.glob("*.c")], check=True
    )
    said = subprocess.run([tmp_path / "config"], check=True, stdout=subprocess.PIPE, text=True).stdout
    end = b.buffer.secure + b.buffer_bytes("secure")
    assert said == f"{b.secure.ring_bytes} {b.channel.frame_max} 1 {end:x} a4d0002 2"
    assert end <= b.buffer_region("secure").end


def test_the_device_tree_names_each_node_once() -> None:
    text = generate.device_tree(board.load())
    assert re.findall(r"isthmus_(\w+): isthmus@(\w+)", text) == [
        ("normal", "5f800000"),
        ("secure", "5fa00000"),
    ]
    assert "interrupts = <0 200 1>" in text
    assert "local-mac-address = [02 49 53 00 00 01]" in text


def test_how_long_an_interrupt_of_linuxs_waits() -> None:
    """By hand: 20 + 700 + 2 * 200 + 500, the control task coming twice within 1620."""
    usual = board.load()
    assert board.longest_without_linux(usual) == 1620
    assert board.longest_without_linux(board.load(changes=["core.normal=[1]"])) == 0
    control, *others = usual.secure.task
    greedy = msgspec.structs.replace(control, cost_us=control.period_us)
    full = msgspec.structs.replace(
        usual, secure=msgspec.structs.replace(usual.secure, task=(greedy, *others))
    )
    assert board.longest_without_linux(full) is None, "the tasks have the core for ever"
