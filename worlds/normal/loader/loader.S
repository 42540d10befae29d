/* SPDX-License-Identifier: MIT */
/* loader.S - the Normal world's first instructions, after every start of Linux (TF-A's BL33).
 *
 * It makes of whatever Linux left behind what a cold boot gives, copies pristine images from read-only storage into
 * Linux's memory, and enters the kernel. All of it in the Normal world: the secure timer pre-empts every instruction, and
 * nothing here can reach what is not Linux's anyway.
 *
 *     x0 = 0: start Linux        x0 = 1: make everything quiet, and stay off        x0 = 2: another core, go off again
 *
 * It runs where it is stored, with MMU and caches off and exceptions masked, in registers alone: until the other cores
 * are off and the bus masters are quiet, memory is no place to keep anything. What to do is the table behind it
 * (src/isthmus/build/storage.py), four words a step:
 *
 *     0 ENTER  address, x0 for it
 *     1 WAIT   for the core with this affinity to be off
 *     2 WRITE  first register, how many | distance << 32, value           32 bits each
 *     3 COPY   from, to, bytes                                            all multiples of 64
 *     4 VISIT  the core with this affinity, which makes itself quiet and goes off; memory to call it from
 *
 * Every core of Linux's comes by here: firmware that only parks a core leaves its timers, counters, breakpoints and FP
 * registers as they were, and nobody else reaches them. */

#define STEP_WAIT 1
#define STEP_WRITE 2
#define STEP_COPY 3
#define STEP_VISIT 4
#define STAY_OFF 1
#define GO_OFF 2

#define PSCI_CPU_OFF 0x84000002
#define PSCI_CPU_ON 0xc4000003
#define PSCI_AFFINITY_INFO 0xc4000004
#define PSCI_ON 0
#define PSCI_ON_PENDING 2

#define HCR_EL2_RW (1 << 31)
#define CNTHCTL_EL2_EL1_MAY (3 << 0)
#define CPTR_EL2_NO_TRAPS 0x33ff
#define CPACR_EL1_FP (3 << 20)
#define PMCR_EL0_CLEAR 0xe6 /* LP, LC, DP: as the firmware leaves it; C, P: all counters to zero */
#define ICC_AP1R0_EL1 S3_0_C12_C9_0
#define ICC_EOIR1_EL1 S3_0_C12_C12_1
#define ICC_RPR_EL1 S3_0_C12_C11_3
#define PRIORITIES 128
#define IDLE 0xff
#define ICC_BPR1_EL1 S3_0_C12_C12_3
#define ICC_CTLR_EL1 S3_0_C12_C12_4
#define ICC_IGRPEN1_EL1 S3_0_C12_C12_7
#define ICC_PMR_EL1 S3_0_C4_C6_0

/* Zero to the registers a<n>b and c<n>d for each n below x0, which is at most `count`: two instructions each. */
    .macro clear_pairs count, a, b, c, d
    adr x1, .Lend\@
    sub x1, x1, x0, lsl #3
    br x1
    .set n, \count
    .rept \count
    .set n, n - 1
    clear_pair \a, \b, \c, \d, %n
    .endr
.Lend\@:
    .endm
    .altmacro
    .macro clear_pair a, b, c, d, n
    msr \a&\n&\b, xzr
    msr \c&\n&\d, xzr
    .endm

    .text
    .global _start
_start:
    mov x28, x0

    /* EL2, where there is one: no second stage, no traps, no offset between the counters, no hypervisor's traces. */
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
    mrs x0, midr_el1
    msr vpidr_el2, x0
    mrs x0, mpidr_el1
    msr vmpidr_el2, x0
    mov x0, #0
    mov sp, x0
    .irp name, sp_el1, tcr_el2, ttbr0_el2, vtcr_el2, mair_el2, amair_el2, vbar_el2, tpidr_el2, cnthp_cval_el2
    msr \name, xzr
    .endr
    .irp name, elr_el2, spsr_el2, esr_el2, far_el2, hpfar_el2
    msr \name, xzr
    .endr
1:
    /* Timers. */
    msr cntkctl_el1, xzr
    msr cntp_ctl_el0, xzr
    msr cntv_ctl_el0, xzr
    msr cntp_cval_el0, xzr
    msr cntv_cval_el0, xzr

    /* Breakpoints and watchpoints, as many as there are, and the lock that a reset leaves on them. */
    msr mdscr_el1, xzr
    msr mdccint_el1, xzr
    mrs x2, id_aa64dfr0_el1
    ubfx x0, x2, #12, #4
    add x0, x0, #1
    clear_pairs 16, dbgbcr, _el1, dbgbvr, _el1
    ubfx x0, x2, #20, #4
    add x0, x0, #1
    clear_pairs 16, dbgwcr, _el1, dbgwvr, _el1
    mov x0, #1
    msr oslar_el1, x0

    /* Performance counters, where they are the architecture's. */
    ubfx x0, x2, #8, #4
    cbz x0, 1f
    cmp x0, #0xf
    b.eq 1f
    mov x0, #0xffffffff
    msr pmcntenclr_el0, x0
    msr pmintenclr_el1, x0
    msr pmovsclr_el0, x0
    msr pmuserenr_el0, xzr
    msr pmselr_el0, xzr
    msr pmccfiltr_el0, xzr
    mov x0, #PMCR_EL0_CLEAR
    msr pmcr_el0, x0
    mrs x0, pmcr_el0
    ubfx x0, x0, #11, #5
    clear_pairs 31, pmevtyper, _el0, pmevcntr, _el0
1:
    /* FP registers, where there are any. */
    mrs x0, id_aa64pfr0_el1
    ubfx x0, x0, #16, #4
    cmp x0, #0xf
    b.eq 1f
    mov x0, #CPACR_EL1_FP
    msr cpacr_el1, x0
    isb
    .irp n, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16, 17, 18, 19, 20, 21, 22, 23, 24, 25, 26, 27, 28, 29, 30, 31
    movi v\n\().2d, #0
    .endr
    msr fpcr, xzr
    msr fpsr, xzr
    msr cpacr_el1, xzr
1:
    /* The interrupt controller's interface, where it is one of system registers: nothing enabled, nothing active. */
    mrs x0, id_aa64pfr0_el1
    tst x0, #(0xf << 24)
    b.eq 1f
    msr ICC_IGRPEN1_EL1, xzr
    msr ICC_PMR_EL1, xzr
    msr ICC_BPR1_EL1, xzr
    msr ICC_CTLR_EL1, xzr
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
    cmp x21, #STEP_WRITE
    b.eq write
    cmp x28, #GO_OFF
    b.eq other
    cmp x21, #STEP_WAIT
    b.eq wait
    cmp x21, #STEP_VISIT
    b.eq visit
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

/* Another core does what is written, and nothing else. */
other:
    cmp x21, #STEP_WAIT
    b.eq next
    cmp x21, #STEP_VISIT
    b.eq next
    ldr x0, =PSCI_CPU_OFF
    smc #0
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

/* The firmware starts cores in memory alone: two instructions there lead here. */
visit:
    ldr x0, call
    ldr x1, =_start
    dc civac, x23
    dsb sy
    stp x0, x1, [x23]
    dsb sy
    ic ialluis
    dsb sy
    isb
    ldr x0, =PSCI_CPU_ON
    mov x1, x22
    mov x2, x23
    mov x3, #GO_OFF
    smc #0
    cbnz w0, next /* it cannot be started: neither can it by Linux */
    b wait
    .balign 8
call:
    ldr x1, . + 8
    br x1

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
