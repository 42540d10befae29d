/* SPDX-License-Identifier: MIT */
/* first.S - what Linux finds at its first instruction: it stands before a kernel's image, writes down every register that
 * is listed, of each core, and then lets the kernel begin as if nothing had been.
 *
 * It leaves x30 and memory alone but for the record, which lies in the window, where neither world looks. list.h is the
 * test's: SYSTEM_REGISTERS(one), MEMORY(range), PSCI_CORES(core), OTHER_CORES(core), RECORD, RECORD_SIZE, KERNEL. */
#include "list.h"

#define PSCI_CPU_OFF 0x84000002
#define PSCI_CPU_ON 0xc4000003
#define PSCI_AFFINITY_INFO 0xc4000004
#define OFF 1
#define FP_AT_EL1 (3 << 20)

#define SAY(register) str register, [x8], #8;
#define SYSTEM(name) mrs x9, name; SAY(x9)
#define RANGE(base, words) ldr x9, =base; mov w10, words; bl memory;

    .text
    .global _start
_start:
    ldr x30, =RECORD
    stp x0, x1, [x30, #(8 * 0)]
    stp x2, x3, [x30, #(8 * 2)]
    stp x4, x5, [x30, #(8 * 4)]
    stp x6, x7, [x30, #(8 * 6)]
    stp x8, x9, [x30, #(8 * 8)]
    stp x10, x11, [x30, #(8 * 10)]
    stp x12, x13, [x30, #(8 * 12)]
    stp x14, x15, [x30, #(8 * 14)]
    stp x16, x17, [x30, #(8 * 16)]
    stp x18, x19, [x30, #(8 * 18)]
    stp x20, x21, [x30, #(8 * 20)]
    stp x22, x23, [x30, #(8 * 22)]
    stp x24, x25, [x30, #(8 * 24)]
    stp x26, x27, [x30, #(8 * 26)]
    stp x28, x29, [x30, #(8 * 28)]
    add x8, x30, #(8 * 30)
    bl core

#define STATE(n) ldr x0, =PSCI_AFFINITY_INFO; mov x1, n; mov x2, xzr; smc 0; SAY(x0)
    PSCI_CORES(STATE)

#define VISIT(n) mov x1, n; ldr x3, =(RECORD + (n) * RECORD_SIZE); bl visit;
    OTHER_CORES(VISIT)

    dsb sy
    ldr x30, =RECORD
    ldp x0, x1, [x30, #(8 * 0)]
    ldp x2, x3, [x30, #(8 * 2)]
    ldp x4, x5, [x30, #(8 * 4)]
    ldp x6, x7, [x30, #(8 * 6)]
    ldp x8, x9, [x30, #(8 * 8)]
    ldp x10, x11, [x30, #(8 * 10)]
    ldp x12, x13, [x30, #(8 * 12)]
    ldp x14, x15, [x30, #(8 * 14)]
    ldp x16, x17, [x30, #(8 * 16)]
    ldp x18, x19, [x30, #(8 * 18)]
    ldp x20, x21, [x30, #(8 * 20)]
    ldp x22, x23, [x30, #(8 * 22)]
    ldp x24, x25, [x30, #(8 * 24)]
    ldp x26, x27, [x30, #(8 * 26)]
    ldp x28, x29, [x30, #(8 * 28)]
    ldr x30, =KERNEL
    br x30

/* System and FP registers of this core, and devices as it sees them, to x8. */
core:
    mov x29, x30
    mrs x9, CurrentEL
    SAY(x9)
    SYSTEM(DAIF)
    SYSTEM(SPSel)
    mov x9, sp
    SAY(x9)
    SYSTEM_REGISTERS(SYSTEM)
    mrs x9, cpacr_el1
    orr x10, x9, #FP_AT_EL1
    msr cpacr_el1, x10
    isb
    .irp n, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16, 17, 18, 19, 20, 21, 22, 23, 24, 25, 26, 27, 28, 29, 30, 31
    str q\n, [x8], #16
    .endr
    mrs x10, fpcr
    SAY(x10)
    mrs x10, fpsr
    SAY(x10)
    msr cpacr_el1, x9
    isb
    MEMORY(RANGE)
    ret x29

/* w10 words of devices from x9 on, to x8. */
memory:
    ldr w11, [x9], #4
    str w11, [x8], #4
    subs w10, w10, #1
    b.ne memory
    ret

/* Core x1 comes, writes to x3, and goes. */
visit:
    mov x21, x1
    ldr x0, =PSCI_CPU_ON
    adr x2, other
    smc #0
    SAY(x0)
1:  yield
    ldr x0, =PSCI_AFFINITY_INFO
    mov x1, x21
    mov x2, #0
    smc #0
    cmp w0, #OFF
    b.ne 1b
    ret

other:
    mov x8, x0
    bl core
    dsb sy
    ldr x0, =PSCI_CPU_OFF
    smc #0
    b .

    .ltorg
