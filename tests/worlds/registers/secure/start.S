/* SPDX-License-Identifier: MIT */
/* start.S - the test's Secure world begins: a stack, zeroed memory, vectors that stop. No MMU. */
    .section .text.start, "ax"
    .globl _start
_start:
    adr x0, vectors
    msr vbar_el1, x0
#if EXCHANGE_FP
    mov x0, #(3 << 20)
    msr cpacr_el1, x0
#endif
    isb
    adrp x0, __stack_high
    mov sp, x0
    adrp x0, __bss_start
    adrp x1, __bss_end
1:  stp xzr, xzr, [x0], #16
    cmp x0, x1
    b.lo 1b
    bl main

/* Every exception is a mistake: "!" on the console, then the syndrome. */
    .text
    .balign 2048
vectors:
    .rept 16
    .balign 128
    mrs x0, esr_el1
    mrs x1, elr_el1
    b on_exception
    .endr
