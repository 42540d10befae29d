# SPDX-License-Identifier: MIT
"""What is made of a board file: every number that C, the linker, the monitor and Linux need, written once.

    board.h     constants, for C and assembler, and the two structs' initialisers
    memory.ld   MEMORY regions of the Secure world's payload
    board.dtsi  reserved-memory and channel nodes, as an overlay on the machine's own device tree

Text in, text out: nothing here reads or writes a file.
"""

from __future__ import annotations

import hashlib
from ipaddress import IPv4Address
from typing import Literal

from isthmus.trustzone.board import Secure, TrustZone, Write

FEATURES = 0  # offered on this machine; the sleeper's fence is a host optimisation
_NS = 1_000_000_000
# Registers of a GICv3, by offset: enable, pending and active, each to be cleared by ones.
_GIC_CLEAR = (0x180, 0x280, 0x380)
_GIC_PRIORITY, _GIC_TRIGGER, _GICD_ROUTE = 0x400, 0xC00, 0x6000
_GICD_ARE_NS = 0x10
_GICR_FRAME, _GICR_LPI_TABLES = 0x10000, 0x70
_GICD_TARGETS, _GICC_MASKS, _GICC_ACTIVE = 0x800, 0x4, 0xD0  # GICv2; masks: by priority, and its binary point


def header(board: TrustZone) -> str:
    """board.h. IPv4 addresses are numbers in the host's order."""
    return (
        _banner("board.h")
        + "#ifndef ISTHMUS_BOARD_H\n#define ISTHMUS_BOARD_H\n\n"
        + _lines(*_header(board), f'#define BOARD_DIGEST "{digest(board)}"', "", "#endif")
    )


def digest(board: TrustZone) -> str:
    """16 hexadecimal digits that stand for all of board.h. What is built for the board has them as text."""
    return hashlib.sha256(_lines(*_header(board)).encode()).hexdigest()[:16]


def _header(board: TrustZone) -> list[str]:
    b, s = board, board.secure
    normal, secure = b.buffer_region("normal"), b.buffer_region("secure")
    rate = b.monitor.doorbells_per_second
    numbers = {
        "SECURE_RAM_BASE": b.memory.secure.base,
        "SECURE_RAM_SIZE": b.memory.secure.size,
        "NORMAL_BUFFER_BASE": normal.base,
        "NORMAL_BUFFER_SIZE": normal.size,
        "SECURE_BUFFER_BASE": secure.base,
        "SECURE_BUFFER_SIZE": secure.size,
        "CONSOLE_BASE": b.device.console.base,
        "CONSOLE_SIZE": b.device.console.size,
        "GICD_BASE": b.device.gic_distributor.base,
        "GICD_SIZE": b.device.gic_distributor.size,
        "GIC_VERSION": b.gic.version,
        "GIC_PRIVATE_BASE": b.gic_private.base,
        "GIC_PRIVATE_SIZE": b.gic_private.size,
        "TIMER_INTERRUPT": b.interrupt.timer,
        "KICK_INTERRUPT": b.interrupt.kick,
        "DOORBELL_INTERRUPT": b.interrupt.doorbell,
        "TIMER_PRIORITY": b.interrupt.timer_priority,
        "KICK_PRIORITY": b.interrupt.kick_priority,
        "PRIORITIES_MOVE": int(b.priorities_move),
        "SECURE_CORE": b.core.secure,
        "RESTART_SILENT_MS": b.restart.silent_ms,
        "RESTART_BOOT_MS": b.restart.boot_ms,
        "RESTART_BURST": b.restart.burst,
        "RESTART_INTERVAL_MS": b.restart.interval_ms,
        "CORE_SHARED": int(b.core.shared),
        "DOORBELL_POLL": int(b.core.doorbell == "poll"),
        "FIRST_CORE": b.core.normal[0],
        "NORMAL_CORES": sum(1 << core for core in b.core.normal),
        "CORES": b.core.count,
        "FP_SWITCHED": int(s.fp == "switched"),
        "DOORBELL_INTERVAL_NS": _NS // rate,
        "DOORBELL_BURST": b.monitor.doorbell_burst,
        "INSECURE_TEST_KEY": int(b.monitor.insecure_test_key),
        "WATCHDOG_NS": s.watchdog_us * 1000,
        "NETWORK_COST_NS": s.network.cost_us * 1000,
        "NETWORK_PERIOD_NS": s.network.period_us * 1000,
        "STEP_FRAMES": s.budget.step_frames,
        "STEP_BYTES": s.budget.step_bytes,
        "BUDGET_PERIOD_NS": s.budget.period_us * 1000,
        "BUDGET_FRAMES": s.budget.frames,
        "BUDGET_BYTES": s.budget.bytes,
        "MTU": b.channel.mtu,
    }
    lines = [f"#define BOARD_{name} {value:#x}" for name, value in numbers.items()]
    lines.append(f'#define BOARD_NAME "{b.name}"')
    for role in ("normal", "secure"):
        side, name = b.side(role), role.upper()
        lines.append(f"#define BOARD_{name}_MAC {{{', '.join(f'0x{byte}' for byte in side.mac.split(':'))}}}")
        lines.append(f"#define BOARD_{name}_IP {int(IPv4Address(side.address)):#x}")
    lines.append(f"#define BOARD_NETMASK {int(IPv4Address(s.netmask)):#x}")
    lines.append(f"#define BOARD_CONFIG {_config(b, 'secure')}")
    for name, table in (("FILTER", b.filter_table("in")), ("FILTER_OUT", b.filter_table("out"))):
        lines.append(f"#define BOARD_{name}_WORDS {len(table)}")
        lines.append(f"#define BOARD_{name} {{{', '.join(f'{word:#x}' for word in table or [0])}}}")
    lines += _lanes(b)
    lines.append(f"#define BOARD_TASKS {_tasks(s)}")
    lines.append(f"#define BOARD_FLOWS {_flows(b)}")
    return lines


def memory_map(board: TrustZone) -> str:
    """memory.ld, included by the payload's linker script."""
    ram = board.memory.secure
    return _banner("memory.ld") + _lines(
        "MEMORY", "{", f"    RAM (rwx) : ORIGIN = {ram.base:#x}, LENGTH = {ram.size:#x}", "}"
    )


def device_tree(board: TrustZone) -> str:
    """board.dtsi, appended to the machine's own source: see worlds/normal/linux/isthmus,channel.yaml."""
    c, rings = board.channel, (board.normal.ring_bytes, board.secure.ring_bytes)
    reserved = []
    for role in ("normal", "secure"):
        region = board.buffer_region(role)
        reserved += [
            f"        isthmus_{role}: isthmus@{region.base:x} {{",
            '            compatible = "isthmus,buffer";',
            f"            reg = <{_cells(region.base)} {_cells(region.size)}>;",
            "            no-map;",
            "        };",
        ]
    mac = board.normal.mac.replace(":", " ")
    cpus = (f'        cpu@{core:x} {{ enable-method = "psci"; }};' for core in board.core.normal)
    return _banner("board.dtsi") + _lines(
        "/ {",
        "    cpus {",
        *cpus,
        "    };",
        "    psci {",
        '        compatible = "arm,psci-1.0", "arm,psci-0.2";',
        '        method = "smc";',
        "    };",
        "    reserved-memory {",
        "        #address-cells = <2>;",
        "        #size-cells = <2>;",
        "        ranges;",
        *reserved,
        "    };",
        "    isthmus {",
        '        compatible = "isthmus,channel";',
        "        isthmus,channel = <0>;",
        "        memory-region = <&isthmus_normal>, <&isthmus_secure>;",
        '        memory-region-names = "normal", "secure";',
        f"        interrupts = <0 {board.interrupt.doorbell - 32} 1>; /* shared, rising edge */",
        f"        local-mac-address = [{mac}];",
        f"        isthmus,ring-bytes = <{rings[0]} {rings[1]}>;",
        f"        isthmus,frame-max = <{c.frame_max}>;",
        f"        isthmus,mtu = <{c.mtu}>;",
        f"        isthmus,tag = <{board.config('normal')['tag']}>;",
        f"        isthmus,features = <{FEATURES}>;",
        f"        isthmus,silence-ms = <{c.silence_ms}>;",
        f"        isthmus,first-cursor = <{c.first_cursor}>;",
        f"        isthmus,first-sequence = <{_cells(c.first_sequence)}>;",
        *_lane_nodes(board),
        "    };",
        "};",
    )


def interrupt_reset(board: TrustZone) -> list[Write]:
    """What gives the Normal world's part of the interrupt controller the state of a cold boot: nothing
    enabled, pending or active, no message interrupts, every shared interrupt at the lowest address's core
    (GICv2: at none). Written from the Normal world, so that the Secure world's interrupts are out of reach.

    Every core of Linux's writes all of it: of a GICv2's private interrupts it reaches its own alone."""
    gicd, ones = board.device.gic_distributor.base, 0xFFFFFFFF
    words, shared = 31, 1020 - 32  # of one bit per shared interrupt; shared interrupts
    every = [
        *(Write(gicd + offset + 4, ones, words) for offset in _GIC_CLEAR),
        Write(gicd + _GIC_PRIORITY + 32, 0, shared // 4),
        Write(gicd + _GIC_TRIGGER + 8, 0, shared // 16 + 1),
    ]
    if board.gic.version == 2:
        gicc = board.gic_private.base
        return [
            Write(gicd),
            *every,
            Write(gicd + _GICD_TARGETS + 32, 0, shared // 4),
            *_private_reset(gicd),
            Write(gicc),
            Write(gicc + _GICC_MASKS, 0, 2),
            Write(gicc + _GICC_ACTIVE, 0, 4),
        ]
    made = [Write(gicd, _GICD_ARE_NS), *every, Write(gicd + _GICD_ROUTE + 32 * 8, 0, shared * 2)]
    for core in board.core.normal:
        control = board.gic_private.base + core * 2 * _GICR_FRAME
        made += [
            Write(control),
            Write(control + _GICR_LPI_TABLES, 0, 4),
            *_private_reset(control + _GICR_FRAME),
        ]
    return made


def _private_reset(frame: int) -> list[Write]:
    return [
        *(Write(frame + offset, 0xFFFFFFFF) for offset in _GIC_CLEAR),
        Write(frame + _GIC_PRIORITY, 0, 32 // 4),
        Write(frame + _GIC_TRIGGER + 4),
    ]


def _lanes(board: TrustZone) -> list[str]:
    """What each lane has of its own, the bulk lane first. All allow-lists are one array of words."""
    words: list[int] = []
    places, lanes = [], range(len(board.lanes))
    for k in lanes:
        place = []
        for table in (board.filter_table("in", k), board.filter_table("out", k)):
            place += [len(words), len(table)]
            words += table
        places.append(f"{{{', '.join(map(str, place))}}}")
    values = {
        "CONFIGS": ", ".join(_config(board, "secure", k) for k in lanes),
        "BUDGETS": ", ".join(f"{{{lane.frames}u, {lane.bytes}u}}" for lane in board.lanes),
        "FILTERS": ", ".join(places),
        "TABLES": ", ".join(f"{word:#x}" for word in words),
    }
    return [
        f"#define BOARD_LANES {len(board.lanes)}",
        *(f"#define BOARD_LANE_{name} {{{text}}}" for name, text in values.items()),
    ]


def _lane_nodes(board: TrustZone) -> list[str]:
    """Of the lanes beside the bulk lane, and what goes by each."""
    if not board.lane:
        return []
    lines = ["        #address-cells = <1>;", "        #size-cells = <0>;"]
    for k, lane in enumerate(board.lane, 1):
        words = " ".join(_cells(word) for word in board.choice_table(k))
        lines += [
            f"        lane@{k} {{",
            f"            reg = <{k}>;",
            f"            isthmus,ring-bytes = <{lane.ring_bytes}>;",
            f"            isthmus,choice = <{words}>;",
            "        };",
        ]
    return lines


def _config(board: TrustZone, role: Literal["normal", "secure"], lane: int = 0) -> str:
    """An initialiser of struct ist_config."""
    values = dict(board.config(role, lane), features=FEATURES)
    rings = f"{{{values.pop('ring_normal')}u, {values.pop('ring_secure')}u}}"
    members = [f".ring_bytes = {rings}", *(f".{name} = {value}u" for name, value in values.items())]
    return f"{{{', '.join(members)}}}"


def _tasks(secure: Secure) -> str:
    """An initialiser of struct task_spec[TASKS]; a place without a task has no name."""
    found = []
    for where in ("above", "inside", "below"):
        task = secure.runs(where)
        if task is not None:
            times = (n * 1000 for n in (task.cost_us, task.deadline_us, task.period_us))
            found.append(f'{{"{task.name}", "{task.flow}", {", ".join(f"{n}u" for n in times)}}}')
        else:
            found.append("{0}")
    return f"{{{', '.join(found)}}}"


def _flows(board: TrustZone) -> str:
    """Initialisers of struct flow, and the one that ends them."""
    rows = [f'{{"{f.name}", FLOW_{f.protocol.upper()}, {f.port}u}}' for f in board.flow]
    return f"{{{', '.join([*rows, '{0}'])}}}"


def _cells(value: int) -> str:
    return f"{value >> 32:#x} {value & 0xFFFFFFFF:#x}"


def _lines(*lines: str) -> str:
    return "\n".join(lines) + "\n"


def _banner(name: str) -> str:
    return f"/* {name} - generated from a board file by `isthmus board generate`. */\n"
