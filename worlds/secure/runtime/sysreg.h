/* SPDX-License-Identifier: MIT */
/* sysreg.h - system registers and the call to the monitor. */
#ifndef ISTHMUS_RUNTIME_SYSREG_H
#define ISTHMUS_RUNTIME_SYSREG_H

#include <stdint.h>

#include "board.h"

#define read_sysreg(name)                                         \
    __extension__({                                               \
        uint64_t value_;                                          \
        __asm__ volatile("mrs %0, " #name : "=r"(value_)::"memory"); \
        value_;                                                   \
    })
#define write_sysreg(name, value) __asm__ volatile("msr " #name ", %0" ::"r"((uint64_t)(value)) : "memory")

/* Of IRQ and FIQ, the one that stands for our own (gic.h). The other stands for Linux's, which wait. */
#if BOARD_GIC_VERSION == 2
#define OWN_INTERRUPTS "#1"
#define PSTATE_OTHERS (1u << 7) /* masked: IRQ */
#else
#define OWN_INTERRUPTS "#2"
#define PSTATE_OTHERS (1u << 6) /* FIQ */
#endif

static inline void interrupts_on(void)
{
    __asm__ volatile("msr daifclr, " OWN_INTERRUPTS ::: "memory");
}

static inline void interrupts_off(void)
{
    __asm__ volatile("msr daifset, " OWN_INTERRUPTS ::: "memory");
}

/* start.S: gives the core away, by READY or YIELD; it comes back with IST_EVENT_*. */
struct yielded {
    int64_t result; /* IST_SMC_* */
    uint64_t events;
};
struct yielded yield(uint64_t function, uint64_t why);

struct call {
    uint64_t x[7];
};

/* x0 = function, x1..x6 = arguments; the results come back in the same places. SMCCC 1.2: the rest is kept. */
static inline void call_monitor(struct call *c)
{
    register uint64_t x0 __asm__("x0") = c->x[0];
    register uint64_t x1 __asm__("x1") = c->x[1];
    register uint64_t x2 __asm__("x2") = c->x[2];
    register uint64_t x3 __asm__("x3") = c->x[3];
    register uint64_t x4 __asm__("x4") = c->x[4];
    register uint64_t x5 __asm__("x5") = c->x[5];
    register uint64_t x6 __asm__("x6") = c->x[6];

    __asm__ volatile("smc #0"
                     : "+r"(x0), "+r"(x1), "+r"(x2), "+r"(x3), "+r"(x4), "+r"(x5), "+r"(x6)
                     :
                     : "memory");
    c->x[0] = x0;
    c->x[1] = x1;
    c->x[2] = x2;
    c->x[3] = x3;
    c->x[4] = x4;
    c->x[5] = x5;
    c->x[6] = x6;
}

#endif
