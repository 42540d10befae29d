/* SPDX-License-Identifier: MIT */
/* start.S - from the monitor's ERET to main(), and how the Secure world gives the core away or ends.
 *
 * All ordinary code runs on SP_EL0 (EL1t), each thread on a stack of its own; exceptions switch to SP_EL1 by themselves,
 * so a fault of a thread's stack can still be told. The vectors are the scheduler's. */
#include "board.h"

#define CPACR_FPEN (3 << 20)

    .macro address reg, symbol
    adrp \reg, \symbol
    add \reg, \reg, :lo12:\symbol
    .endm

/* x0, x1: the seed of random numbers, from the monitor. EL1h, MMU off, all exceptions masked. */
    .section .start, "ax" /* not .text.start: that is where the compiler puts a function of this name */
    .global _start
_start:
    mov x19, x0
    mov x20, x1
    address x0, vectors
    msr vbar_el1, x0
    mov x0, #BOARD_FP_SWITCHED * CPACR_FPEN /* else it traps */
    msr cpacr_el1, x0
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

/* ---- the end ------------------------------------------------------------------------------------------------------ */

/* x0: which of the vectors. Nothing is ever returned to. */
    .global fault_entry
fault_entry:
    mrs x1, esr_el1
    mrs x2, elr_el1
    mrs x3, far_el1
    mrs x4, spsr_el1
    mov x5, x30
    b on_fault
