/* SPDX-License-Identifier: MIT */
/* start.S - from the monitor's ERET to main(), and every exception.
 *
 * Two stacks: the main one is SP_EL0, where all ordinary code runs (EL1t); exceptions switch to SP_EL1 by themselves, so
 * the control task has a stack of its own, and a fault of the main stack can still be told. */

    .macro address reg, symbol
    adrp \reg, \symbol
    add \reg, \reg, :lo12:\symbol
    .endm

/* x0, x1: the seed of random numbers, from the monitor. EL1h, MMU off, all exceptions masked. */
    .section .text.start, "ax"
    .global _start
_start:
    mov x19, x0
    mov x20, x1
    address x0, vectors
    msr vbar_el1, x0
    address x0, __exception_stack_high
    mov sp, x0
    msr spsel, #0
    address x0, __main_stack_high
    mov sp, x0
    isb

    address x0, __bss_start
    address x1, __bss_end
1:  stp xzr, xzr, [x0], #16
    cmp x0, x1
    b.lo 1b

    bl mmu_on
    mov x29, #0
    mov x30, #0
    mov x0, x19
    mov x1, x20
    bl main
    b .

/* ---- the core given away ------------------------------------------------------------------------------------------ */

/* x0: READY or YIELD, x1: why. Comes back with the result in x0 and the events in x1. The instruction counter knows the
 * two labels. */
    .text
    .global yield, yield_end
yield:
    smc #0
    ret
yield_end:

/* ---- exceptions -------------------------------------------------------------------------------------------------- */

    .macro entry handler, what
    .balign 128
    stp x0, x1, [sp, #-192]!
    mov x0, #\what
    b \handler
    .endm

    .text
    .balign 2048
vectors:
    entry fault_entry, 0 /* EL1t: synchronous, IRQ, FIQ, SError */
    entry irq_entry, 1
    entry fault_entry, 2
    entry fault_entry, 3
    entry fault_entry, 4 /* EL1h: in a handler */
    entry fault_entry, 5
    entry fault_entry, 6
    entry fault_entry, 7
    .rept 8 /* there is nothing at EL0 */
    entry fault_entry, 8
    .endr

irq_entry:
    stp x2, x3, [sp, #16]
    stp x4, x5, [sp, #32]
    stp x6, x7, [sp, #48]
    stp x8, x9, [sp, #64]
    stp x10, x11, [sp, #80]
    stp x12, x13, [sp, #96]
    stp x14, x15, [sp, #112]
    stp x16, x17, [sp, #128]
    stp x18, x29, [sp, #144]
    mrs x0, elr_el1
    mrs x1, spsr_el1
    stp x30, x0, [sp, #160]
    str x1, [sp, #176]
    bl on_interrupt
    ldr x1, [sp, #176]
    ldp x30, x0, [sp, #160]
    msr spsr_el1, x1
    msr elr_el1, x0
    ldp x18, x29, [sp, #144]
    ldp x16, x17, [sp, #128]
    ldp x14, x15, [sp, #112]
    ldp x12, x13, [sp, #96]
    ldp x10, x11, [sp, #80]
    ldp x8, x9, [sp, #64]
    ldp x6, x7, [sp, #48]
    ldp x4, x5, [sp, #32]
    ldp x2, x3, [sp, #16]
    ldp x0, x1, [sp], #192
    eret

/* x0: which of the vectors. Nothing is ever returned to. */
fault_entry:
    mrs x1, esr_el1
    mrs x2, elr_el1
    mrs x3, far_el1
    mrs x4, spsr_el1
    mov x5, x30
    b on_fault
