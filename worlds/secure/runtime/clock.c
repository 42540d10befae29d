/* SPDX-License-Identifier: MIT */
#include "clock.h"

#include "restart.h"
#include "sysreg.h"

#define SECOND 1000000000u
/* CNTPS_CVAL_EL1 and CNTPS_CTL_EL1 by encoding: not every assembler knows the names. */
#define ENABLE 1u

static KEPT uint64_t ns_per_tick; /* 32.32 */
static KEPT uint64_t frequency;

void clock_init(void)
{
    frequency = read_sysreg(cntfrq_el0);
    ns_per_tick = ((uint64_t)SECOND << 32) / frequency;
}

uint64_t clock_now(void)
{
    uint64_t ticks;

    __asm__ volatile("isb\n\tmrs %0, cntpct_el0" : "=r"(ticks)::"memory");
    return (uint64_t)((unsigned __int128)ticks * ns_per_tick >> 32);
}

void clock_arm(uint64_t when)
{
    /* Rounded up: not before `when` as clock_now() tells it. */
    uint64_t ticks = when / SECOND * frequency + (when % SECOND * frequency + SECOND - 1) / SECOND;

    write_sysreg(S3_7_C14_C2_2, ticks);
    write_sysreg(S3_7_C14_C2_1, ENABLE);
    __asm__ volatile("isb" ::: "memory");
}

void clock_disarm(void)
{
    write_sysreg(S3_7_C14_C2_1, 0);
    __asm__ volatile("isb" ::: "memory");
}
