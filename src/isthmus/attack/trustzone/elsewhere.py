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

for machine in ("memory", "host"):
    missing = dict(_MONITOR)
    if machine == "memory":  # which speaks of these two itself
        del missing["mem-21"], missing["life-57"]
    elsewhere(machine, "no monitor, cores or interrupt controller here: --machine qemu", missing)

elsewhere(
    "qemu",
    "the Secure world is no process there: --machine host",
    {
        "host-74": "writing, remapping, truncating the Secure world's memory",
        "host-75": "ptrace, /proc/PID/mem, process_vm_readv, pidfd_getfd on the Secure process",
        "host-76": "wake-up theft",
        "host-77": "membarrier flood",
    },
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
