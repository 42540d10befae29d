/* SPDX-License-Identifier: MIT */
/* loader.S - the Normal world's first instructions, after every start of Linux (TF-A's BL33).
 *
 * It makes of whatever Linux left behind what a cold boot gives, copies pristine images from read-only storage into
 * Linux's memory, and enters the kernel. All of it in the Normal world: the secure timer pre-empts every instruction, and
 * nothing here can reach what is not Linux's anyway.
 *
 *     x0 = 0: start Linux        x0 = 1: make everything quiet, and stay off
 *
 * It runs where it is stored, with MMU and caches off and exceptions masked, in registers alone: until the other cores
 * are off and the bus masters are quiet, memory is no place to keep anything. What to do is the table behind it
 * (src/isthmus/build/storage.py), four words a step:
 *
 *     0 ENTER  address, x0 for it
 *     1 WAIT   for the core with this affinity to be off
 *     2 WRITE  first register, how many | distance << 32, value           32 bits each
 *     3 COPY   from, to, bytes                                            all multiples of 64 */

#define STEP_WAIT 1
#define STEP_WRITE 2
#define STEP_COPY 3

#define PSCI_AFFINITY_INFO 0xc4000004
#define PSCI_ON 0
#define PSCI_ON_PENDING 2

#define HCR_EL2_RW (1 << 31)
#define CNTHCTL_EL2_EL1_MAY (3 << 0)
#define CPTR_EL2_NO_TRAPS 0x33ff
#define ICC_AP1R0_EL1 S3_0_C12_C9_0
#define ICC_EOIR1_EL1 S3_0_C12_C12_1
#define ICC_RPR_EL1 S3_0_C12_C11_3
#define PRIORITIES 128
#define IDLE 0xff
#define ICC_BPR1_EL1 S3_0_C12_C12_3
#define ICC_IGRPEN1_EL1 S3_0_C12_C12_7
#define ICC_PMR_EL1 S3_0_C4_C6_0

    .text
    .global _start
_start:
    mov x28, x0

    /* EL2, where there is one: no second stage, no traps, no offset between the counters. */
    mrs x0, CurrentEL
    cmp x0, #(2 << 2)
    b.ne 1f
    mov x0, #HCR_EL2_RW
    msr hcr_el2, x0
    isb
    mov x0, #CNTHCTL_EL2_EL1_MAY
    msr cnthctl_el2, x0
    msr cntvoff_el2, xzr
    msr cnthp_ctl_el2, xzr
    msr vttbr_el2, xzr
    msr hstr_el2, xzr
    mov x0, #CPTR_EL2_NO_TRAPS
    msr cptr_el2, x0
1:
    msr mdscr_el1, xzr
    msr cntkctl_el1, xzr
    msr cntp_ctl_el0, xzr
    msr cntv_ctl_el0, xzr

    /* The interrupt controller's interface, where it is one of system registers: nothing enabled, nothing active. */
    mrs x0, id_aa64pfr0_el1
    tst x0, #(0xf << 24)
    b.eq 1f
    msr ICC_IGRPEN1_EL1, xzr
    msr ICC_PMR_EL1, xzr
    msr ICC_BPR1_EL1, xzr
    msr ICC_AP1R0_EL1, xzr
    mov x1, #PRIORITIES /* and for a controller that ignores that write: ended one by one, whatever they were */
2:  mrs x0, ICC_RPR_EL1
    and x0, x0, #0xff
    cmp x0, #IDLE
    b.eq 1f
    msr ICC_EOIR1_EL1, xzr
    subs x1, x1, #1
    b.ne 2b
1:
    isb
    adr x20, table

next:
    ldp x21, x22, [x20], #16
    ldp x23, x24, [x20], #16
    cmp x21, #STEP_WAIT
    b.eq wait
    cmp x21, #STEP_WRITE
    b.eq write
    cbnz x28, off
    cmp x21, #STEP_COPY
    b.eq copy

    /* ENTER, as Linux's Documentation/arm64/booting.rst asks for it. */
    dsb sy
    ic iallu
    tlbi vmalle1
    dsb sy
    isb
    mov x0, x23
    mov x1, xzr
    mov x2, xzr
    mov x3, xzr
    br x22

/* Everything is quiet, and nobody is left to enable an interrupt. */
off:
    wfi
    b off

/* The monitor has called it out of Linux by an interrupt that Linux cannot mask. */
wait:
    yield
    ldr x0, =PSCI_AFFINITY_INFO
    mov x1, x22
    mov x2, xzr
    mov x3, xzr
    smc #0
    cmp w0, #PSCI_ON
    b.eq wait
    cmp w0, #PSCI_ON_PENDING
    b.eq wait
    b next

write:
    lsr x1, x23, #32
    mov w0, w23
1:  str w24, [x22]
    add x22, x22, x1
    subs w0, w0, #1
    b.ne 1b
    dsb sy
    b next

/* What an earlier Linux left in caches must not be written over the copy later. */
copy:
    mrs x0, ctr_el0
    ubfx x0, x0, #16, #4
    mov x1, #4
    lsl x1, x1, x0
    mov x0, x23
    add x2, x23, x24
1:  dc civac, x0
    add x0, x0, x1
    cmp x0, x2
    b.lo 1b
    dsb sy
1:  ldp x2, x3, [x22]
    ldp x4, x5, [x22, #16]
    ldp x6, x7, [x22, #32]
    ldp x8, x9, [x22, #48]
    add x22, x22, #64
    stp x2, x3, [x23]
    stp x4, x5, [x23, #16]
    stp x6, x7, [x23, #32]
    stp x8, x9, [x23, #48]
    add x23, x23, #64
    subs x24, x24, #64
    b.hi 1b
    b next

    .ltorg
    .balign 16
table:
