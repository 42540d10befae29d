# SPDX-License-Identifier: MIT
"""What the TrustZone machine has no place for, and what has none but it."""

from __future__ import annotations

from isthmus.attack.catalogue import elsewhere

__all__: list[str] = []

_MONITOR = {
    "mem-21": "registered buffer overlaps secure RAM",
    "smc-65": "bad arguments, the wrong width, calls before their time",
    "smc-66": "the Secure world's own calls",
    "smc-67": "registers filled with a pattern across every call",
    "irq-68": "Linux masks interrupts by their priority",
    "irq-69": "Linux acknowledges an interrupt and never ends it",
    "irq-70": "interrupts at the Secure world's core",
    "psci-71": "power control",
    "life-57": "the Normal world reboots",
    "life-73": "doorbells, attach and status from all cores at once",
}

_REGISTRATION = {
    "mem-22": "boundary +-1 byte and +-1 page, both ends",
    "mem-23": "base + size wraps",
    "mem-24": "misaligned or zero size",
    "mem-25": "the two buffers alias each other",
    "mem-27": "two registrations at once",
    "mem-28": "ends the session in its use, and registers at once",
    "dos-03": "interrupt storm after disarm",
    "dos-04": "flood of calls that nobody knows",
}
_HOST = {
    "host-74": "writing, remapping, truncating the Secure world's memory",
    "host-75": "ptrace, /proc/PID/mem, process_vm_readv, pidfd_getfd on the Secure process",
    "host-76": "wake-up theft",
    "host-77": "membarrier flood",
}

for machine in ("memory", "host"):
    missing = dict(_MONITOR)
    if machine == "memory":  # which speaks of these two itself
        del missing["mem-21"], missing["life-57"]
    else:
        missing |= _REGISTRATION
    elsewhere(machine, "no monitor, cores or interrupt controller here: --machine qemu", missing)

elsewhere("memory", "no kernel between the worlds here: --machine host", _HOST, "U")
elsewhere(
    "memory",
    "no stack, tasks or addresses here: --machine qemu",
    {
        "dos-18": "flood of the critical flow's own lane",
        "leak-63": "secure addresses in shared memory",
        "mem-41": "requests for doorbells that lie (tests/c/hostile.c)",
    },
)
elsewhere(
    "memory",
    "no Linux to send from here: --machine host, qemu",
    {"pkt-81": "hostile frames of every shape, crafted with scapy"},
    "U",
)
elsewhere(
    "memory",
    "one lane here: --machine host, qemu; tests/c/unit_lane.c",
    {"dos-19": "bulk lane kept full beside a critical flow"},
)
elsewhere(
    "host",
    "the same code as there, judged in one process: --machine memory, qemu",
    {
        "dos-06": "peer never consumes what it is sent",
        "dos-09": "maximum-size flood",
        "dos-11": "burst across the replenishment boundary",
        "dos-15": "SYN flood",
        "dos-17": "IP fragment bomb",
        "mem-32": "rewrites the cursor that the Secure world published",
        "mem-33": "tail moved past what was sent",
        "mem-35": "length 0 or 0xFFFFFFFF",
        "mem-38": "geometry rewritten after the handshake",
        "mem-40": "unknown flags",
        "pkt-43": "flipped bits",
        "pkt-45": "forged frame",
        "pkt-47": "reordering",
        "pkt-78": "checksum left out",
        "pkt-79": "the Secure world's own frames sent back",
        "pkt-80": "offload fields that contradict the frame",
        "life-56": "stale epoch",
        "life-58": "memory garbage at boot",
        "life-60": "partial attach",
        "leak-62": "old slot contents and padding",
    },
)
elsewhere(
    "host",
    "lanes and stack alike there: --machine qemu",
    {
        "dos-18": "flood of the critical flow's own lane",
        "leak-63": "secure addresses in shared memory (tests/test_leaks.py)",
        "mem-41": "requests for doorbells that lie (tests/c/hostile.c)",
    },
)
elsewhere(
    "host",
    "needs a sleeper that no period wakes, or connections: tests/test_core_threads.py, test_secure_world.py",
    {"dos-13": "race on doorbell suppression", "dos-16": "slow-loris"},
)
elsewhere("host", "a property of the binary: tests/test_core_trace.py", {"mem-42": "the compiler re-reads"})

elsewhere(
    "qemu",
    "the Secure world is no process there: --machine host",
    _HOST,
    "U",
)
elsewhere("qemu", "a property of the binary: tests/test_core_trace.py", {"mem-42": "the compiler re-reads"})
elsewhere(
    "qemu",
    "needs a Secure world of its own: tests/test_qemu_registers.py",
    {"smc-67": "registers filled with a pattern across every call"},
)
elsewhere(
    "qemu",
    "needs two cores: tests/test_qemu_cores.py, tests/test_qemu_smc.py",
    {"life-73": "doorbells, attach and status from all cores at once"},
)
elsewhere(
    "qemu",
    "needs a sleeper that no period wakes, or connections: tests/test_core_threads.py, test_secure_world.py",
    {"dos-13": "race on doorbell suppression", "dos-16": "slow-loris"},
)
elsewhere(
    "qemu",
    "the same for every machine: --machine memory",
    {
        "life-55": "kill -9 of a peer in mid-write",
        "life-56": "stale epoch",
        "mem-33": "tail moved past what was sent",
        "pkt-47": "reordering",
    },
)
elsewhere("qemu", "refused as pkt-49a, by its source", {"pkt-79": "the Secure world's own frames sent back"})
elsewhere("qemu", "the flood of dos-01 rings for an empty ring", {"dos-02": "doorbell with an empty ring"})
elsewhere(
    "qemu",
    "Linux cannot raise the Secure world's interrupts: irq-70, tests/test_qemu_interrupts.py",
    {"dos-03": "interrupt storm after disarm"},
)
