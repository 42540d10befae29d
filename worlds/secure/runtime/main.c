/* SPDX-License-Identifier: MIT */
/* main.c - the Secure world starts: checks what it stands on, runs the control task's first period, and only then lets
 * Linux begin. */
#include <stdint.h>

#include "begin.h"
#include "console.h"
#include "gic.h"
#include "network.h"
#include "schedule.h"
#include "sysreg.h"

_Noreturn void main(uint64_t seed_low, uint64_t seed_high);

_Noreturn void main(uint64_t seed_low, uint64_t seed_high)
{
    const uint64_t seed[2] = {seed_low, seed_high};

    begin();
    must("interrupt controller", gic_init(BOARD_TIMER_PRIORITY, BOARD_KICK_PRIORITY));
    must("network", network_init(seed));
    schedule_start();
    interrupts_on();
    while (schedule_periods() == 0)
        __asm__ volatile("wfi");
    console_line("first period done", ", Linux may start");
    network_run();
}
