/* SPDX-License-Identifier: MIT */
/* registers.h - which EL1 and EL0 registers change hands with the core. Read by C and by assembler.
 *
 *     switched    saved for the world that leaves, loaded for the one that comes. In pairs, as they are stored.
 *     constant    the same for both worlds, since the processor takes no other value: checked at start.
 *
 * Every other register of EL1 and EL0 is irrelevant; docs/SPEC.md says why, one by one, and a test compares its table
 * with these lists. x0..x30, SP_EL0 and what EL3 needs to return (SPSR_EL3, ELR_EL3, SCR_EL3, CPTR_EL3) are TF-A's. */
#ifndef ISTHMUS_MONITOR_REGISTERS_H
#define ISTHMUS_MONITOR_REGISTERS_H

#define SWITCHED_REGISTERS(pair)     \
    pair(sctlr_el1, tcr_el1)         \
    pair(ttbr0_el1, ttbr1_el1)       \
    pair(mair_el1, contextidr_el1)   \
    pair(vbar_el1, cpacr_el1)        \
    pair(sp_el1, tpidr_el1)          \
    pair(elr_el1, spsr_el1)          \
    pair(esr_el1, far_el1)           \
    pair(par_el1, csselr_el1)        \
    pair(tpidr_el0, tpidrro_el0)     \
    pair(cntkctl_el1, amair_el1)

#define CONSTANT_REGISTERS(one) \
    one(actlr_el1)              \
    one(afsr0_el1)              \
    one(afsr1_el1)

/* Where the board says fp = "switched". Where it says "none", the Secure world's use of them traps. */
#define FP_CONTROLS(pair) pair(fpsr, fpcr)
#define FP_REGISTERS(pair) \
    pair(q0, q1)       \
    pair(q2, q3)       \
    pair(q4, q5)       \
    pair(q6, q7)       \
    pair(q8, q9)       \
    pair(q10, q11)     \
    pair(q12, q13)     \
    pair(q14, q15)     \
    pair(q16, q17)     \
    pair(q18, q19)     \
    pair(q20, q21)     \
    pair(q22, q23)     \
    pair(q24, q25)     \
    pair(q26, q27)     \
    pair(q28, q29)     \
    pair(q30, q31)

#endif
