/* SPDX-License-Identifier: MIT */
/* vectors.S - every exception, for FreeRTOS: its port takes SVC (a yield) and IRQ (the Secure world's own interrupts),
 * at any nesting; what else may come is a fault. FIQ are Linux's interrupts, masked in every task (FreeRTOSConfig.h). */
#define EC_SVC 0x15

    .macro fault, what
    .balign 128
    mov x0, #\what
    b fault_entry
    .endm

    .text
    .balign 2048
    .global vectors, _freertos_vector_table
vectors:
_freertos_vector_table:
    stp x0, x1, [sp, #-16]! /* EL1t: synchronous, IRQ, FIQ, SError */
    mrs x0, esr_el1
    lsr x0, x0, #26
    cmp x0, #EC_SVC
    b.ne 1f
    ldp x0, x1, [sp], #16
    b FreeRTOS_SWI_Handler
1:  mov x0, #0
    b fault_entry
    .balign 128
    b FreeRTOS_IRQ_Handler
    fault 2
    fault 3
    fault 4 /* EL1h: in a handler */
    .balign 128
    b FreeRTOS_IRQ_Handler
    fault 6
    fault 7
    .rept 8 /* there is nothing at EL0 */
    fault 8
    .endr
    .balign 128

/* Passed on the way to one of the critical tasks, and on the way from it. The instruction counter knows the two. */
    .global decide, network_goes_on
decide:
    ret
network_goes_on:
    ret
