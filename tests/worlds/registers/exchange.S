/* SPDX-License-Identifier: MIT OR GPL-2.0 */
/* exchange.S - fills every register of this world, calls the monitor or waits for a pre-emption, and notes what the
 * registers hold then. The same code for Linux and for the Secure world.
 *
 * x0: struct exchange. All is put back before it returns, but for the notes. x19 points to the struct throughout, so a
 * change of it shows in another way. */
#include "list.h"

    .macro step
    .set at, at + 8
    .endm

#define SAVE(r, n, s) mrs x20, r; str x20, [x19, #EXCHANGE_OWN + at]; step;
#define FILL(r, n, s) ldr x20, [x19, #EXCHANGE_IN + at]; msr r, x20; step;
#define READ_FILLED(r, n, s) mrs x20, r; str x20, [x19, #EXCHANGE_FILLED + at]; step;
#define READ(r, n, s) mrs x20, r; str x20, [x19, #EXCHANGE_OUT + at]; step;
#define RESTORE(r, n, s) ldr x20, [x19, #EXCHANGE_OWN + at]; msr r, x20; step;
#define ALL_OF(what) .set at, 0; LISTED_REGISTERS(what)
#define SP_OF(where) [x19, where + 8 * EXCHANGE_SP]

    .macro exchange name, action
    .globl \name
\name:
    stp x19, x20, [sp, #-96]!
    stp x21, x22, [sp, #16]
    stp x23, x24, [sp, #32]
    stp x25, x26, [sp, #48]
    stp x27, x28, [sp, #64]
    stp x29, x30, [sp, #80]
    mrs x1, daif
    str x1, [sp, #-16]!
    msr daifset, #0xf
    mov x19, x0

    ALL_OF(SAVE)
    mov x20, sp
    str x20, SP_OF(EXCHANGE_OWN)
    ALL_OF(FILL)
    ldr x20, SP_OF(EXCHANGE_IN)
    mov sp, x20
    isb
    ALL_OF(READ_FILLED)
    mov x20, sp
    str x20, SP_OF(EXCHANGE_FILLED)
#if EXCHANGE_FP
    .irp n, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16, 17, 18, 19, 20, 21, 22, 23, 24, 25, 26, 27, 28, 29, 30, 31
    ldr q\n, [x19, #EXCHANGE_Q_IN + 16 * \n]
    .endr
#endif
    .irp n, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16, 17, 18, 20, 21, 22, 23, 24, 25, 26, 27, 28, 29, 30
    ldr x\n, [x19, #EXCHANGE_X_IN + 8 * \n]
    .endr

    \action

    .irp n, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16, 17, 18, 20, 21, 22, 23, 24, 25, 26, 27, 28, 29, 30
    str x\n, [x19, #EXCHANGE_X_OUT + 8 * \n]
    .endr
#if EXCHANGE_FP
    .irp n, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16, 17, 18, 19, 20, 21, 22, 23, 24, 25, 26, 27, 28, 29, 30, 31
    str q\n, [x19, #EXCHANGE_Q_OUT + 16 * \n]
    .endr
#endif
    ALL_OF(READ)
    mov x20, sp
    str x20, SP_OF(EXCHANGE_OUT)
    ALL_OF(RESTORE)
    ldr x20, SP_OF(EXCHANGE_OWN)
    mov sp, x20
    isb

    ldr x1, [sp], #16
    msr daif, x1
    ldp x21, x22, [sp, #16]
    ldp x23, x24, [sp, #32]
    ldp x25, x26, [sp, #48]
    ldp x27, x28, [sp, #64]
    ldp x29, x30, [sp, #80]
    ldp x19, x20, [sp], #96
    ret
    .endm

    /* x0 turns of a loop that changes no flag. */
    .macro spin
1:  sub x0, x0, #1
    cbnz x0, 1b
    .endm

    .text
    exchange exchange_call, "smc #0"
    exchange exchange_spin, spin
