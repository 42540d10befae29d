/* SPDX-License-Identifier: MIT OR GPL-2.0 */
/* list.h - the registers that a world of the test fills, and which of their bits it can change and still run.
 *
 *     register, bits in Linux, bits in the Secure world
 *
 * Linux keeps its MMU on and its code where it is, so it leaves alone what that hangs on; interrupts are off, so its
 * vectors, exception state and user's tables are free. The Secure world of the test runs without an MMU. */
#ifndef REGISTERS_LIST_H
#define REGISTERS_LIST_H

#define ALL 0xffffffffffffffff
#define EL0_ONLY 0x000000000505c200 /* of SCTLR_EL1: what EL0 may do */

#if EXCHANGE_FP
#define SECURE_CPACR 0x000000001000000f /* all but what lets it use the FP registers */
#else
#define SECURE_CPACR ALL
#endif

#define EL_REGISTERS(one)                                           \
    one(sctlr_el1, EL0_ONLY, EL0_ONLY)                              \
    one(tcr_el1, 0x0000002000003f00, ALL) /* Linux: TTBR0's walks */  \
    one(ttbr0_el1, ALL, ALL)                                        \
    one(ttbr1_el1, 0xffff000000000000, ALL) /* Linux: the ASID */   \
    one(mair_el1, 0xffffff0000000000, ALL) /* Linux: unused kinds */ \
    one(contextidr_el1, ALL, ALL)                                   \
    one(vbar_el1, 0xfffffffffffff800, 0xfffffffffffff800)           \
    one(cpacr_el1, 0x0000000010000000, SECURE_CPACR)                \
    one(tpidr_el1, ALL, ALL)                                        \
    one(elr_el1, ALL, ALL)                                          \
    one(spsr_el1, ALL, ALL)                                         \
    one(esr_el1, ALL, ALL)                                          \
    one(far_el1, ALL, ALL)                                          \
    one(par_el1, ALL, ALL)                                          \
    one(csselr_el1, ALL, ALL)                                       \
    one(tpidr_el0, ALL, ALL)                                        \
    one(tpidrro_el0, ALL, ALL)                                      \
    one(cntkctl_el1, 0x3ff, 0x3ff)                                  \
    one(amair_el1, ALL, ALL)                                        \
    one(sp_el0, ALL, ALL)                                           \
    one(nzcv, 0xf0000000, 0xf0000000)

#define FP_CONTROL_REGISTERS(one) \
    one(fpsr, ALL, ALL)           \
    one(fpcr, ALL, ALL)

#if EXCHANGE_FP
#define LISTED_REGISTERS(one) EL_REGISTERS(one) FP_CONTROL_REGISTERS(one)
#else
#define LISTED_REGISTERS(one) EL_REGISTERS(one)
#endif

/* struct exchange, in bytes. Read by assembler, too. */
#define EXCHANGE_X_IN 0
#define EXCHANGE_X_OUT 256
#define EXCHANGE_Q_IN 512
#define EXCHANGE_Q_OUT 1024
#define EXCHANGE_OWN 1536
#define EXCHANGE_IN 1792
#define EXCHANGE_FILLED 2048
#define EXCHANGE_OUT 2304
#define EXCHANGE_SLOTS 32
#define EXCHANGE_SP 31 /* the slot of the stack pointer */
#define EXCHANGE_BYTES 2560

#endif
