/* SPDX-License-Identifier: MIT */
/* vectors.S - every exception, for the scheduler of schedule.c. */
#include "board.h"

#if BOARD_FP_SWITCHED
#define FRAME 800 /* struct registers of schedule.h: x0..x30, sp, pc, pstate, fpsr, fpcr, v0..v31 */
#else
#define FRAME 272
#endif
#define FP 272
#define V 288
#define EC_SVC 0x15

    .macro address reg, symbol
    adrp \reg, \symbol
    add \reg, \reg, :lo12:\symbol
    .endm

    .macro entry handler, what
    .balign 128
    sub sp, sp, #FRAME
    stp x0, x1, [sp]
    mov x0, #\what
    b \handler
    .endm

    /* Whatever was interrupted, what comes next computes in the default mode. */
    .macro save_fp
#if BOARD_FP_SWITCHED
    mrs x1, fpsr
    mrs x2, fpcr
    stp x1, x2, [sp, #FP]
    msr fpcr, xzr
    .irp n, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16, 17, 18, 19, 20, 21, 22, 23, 24, 25, 26, 27, 28, 29, 30, 31
    str q\n, [sp, #(V + 16 * \n)]
    .endr
#endif
    .endm

    .macro restore_fp
#if BOARD_FP_SWITCHED
    ldp x1, x2, [sp, #FP]
    msr fpsr, x1
    msr fpcr, x2
    .irp n, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16, 17, 18, 19, 20, 21, 22, 23, 24, 25, 26, 27, 28, 29, 30, 31
    ldr q\n, [sp, #(V + 16 * \n)]
    .endr
#endif
    .endm

    .macro restore
    restore_fp
    ldp x1, x2, [sp, #248]
    ldr x3, [sp, #264]
    msr sp_el0, x1
    msr elr_el1, x2
    msr spsr_el1, x3
    ldp x2, x3, [sp, #16]
    ldp x4, x5, [sp, #32]
    ldp x6, x7, [sp, #48]
    ldp x8, x9, [sp, #64]
    ldp x10, x11, [sp, #80]
    ldp x12, x13, [sp, #96]
    ldp x14, x15, [sp, #112]
    ldp x16, x17, [sp, #128]
    ldp x18, x19, [sp, #144]
    ldp x20, x21, [sp, #160]
    ldp x22, x23, [sp, #176]
    ldp x24, x25, [sp, #192]
    ldp x26, x27, [sp, #208]
    ldp x28, x29, [sp, #224]
    ldr x30, [sp, #240]
    ldp x0, x1, [sp]
    add sp, sp, #FRAME
    .endm

    .text
    .balign 2048
    .global vectors
vectors:
    entry call_entry, 0 /* EL1t: synchronous, IRQ, FIQ, SError */
#if BOARD_GIC_VERSION == 2 /* gic.h: which of the two is ours */
    entry fault_entry, 1
    entry own_entry, 2
#else
    entry own_entry, 1
    entry fault_entry, 2
#endif
    entry fault_entry, 3
    entry fault_entry, 4 /* EL1h: in a handler */
    entry fault_entry, 5
    entry fault_entry, 6
    entry fault_entry, 7
    .rept 8 /* there is nothing at EL0 */
    entry fault_entry, 8
    .endr

/* A thread calls the scheduler by SVC; anything else that is synchronous is a fault. */
call_entry:
    mrs x0, esr_el1
    lsr x0, x0, #26
    cmp x0, #EC_SVC
    mov x0, #0
    b.ne fault_entry
    address x0, on_call
    b decide
own_entry:
    address x0, on_interrupt

/* What runs from here to `network_goes_on` is not the network work's: the handler, and the tasks. */
    .global decide, network_goes_on
decide:
    stp x2, x3, [sp, #16]
    stp x4, x5, [sp, #32]
    stp x6, x7, [sp, #48]
    stp x8, x9, [sp, #64]
    stp x10, x11, [sp, #80]
    stp x12, x13, [sp, #96]
    stp x14, x15, [sp, #112]
    stp x16, x17, [sp, #128]
    stp x18, x19, [sp, #144]
    stp x20, x21, [sp, #160]
    stp x22, x23, [sp, #176]
    stp x24, x25, [sp, #192]
    stp x26, x27, [sp, #208]
    stp x28, x29, [sp, #224]
    mrs x1, sp_el0
    stp x30, x1, [sp, #240]
    mrs x1, elr_el1
    mrs x2, spsr_el1
    stp x1, x2, [sp, #256]
    save_fp
    mov x1, x0
    mov x0, sp
    blr x1
    cbz w0, 1f
    restore
    eret
1:  restore
network_goes_on:
    eret
