/* SPDX-License-Identifier: MIT */
/* main.c - the Secure world starts: checks what it stands on, runs the control task's first period, and only then lets
 * Linux begin. */
#include <stdint.h>

#include "board.h"
#include "clock.h"
#include "console.h"
#include "fault.h"
#include "gic.h"
#include "mmu.h"
#include "network.h"
#include "restart.h"
#include "schedule.h"
#include "sysreg.h"

static void must(const char *part, const char *failure)
{
    if (failure == 0)
        return;
    console_line(part, " does not hold:");
    fault(failure);
}

_Noreturn void main(uint64_t seed_low, uint64_t seed_high);

_Noreturn void main(uint64_t seed_low, uint64_t seed_high)
{
    const uint64_t seed[2] = {seed_low, seed_high};

    restart_prepare();
    console_init();
    console_line("secure world on ", BOARD_NAME);
    must("address space", mmu_check());
    must("interrupt controller", gic_init());
    clock_init();
    must("network", network_init(seed));
    schedule_start();
    interrupts_on();
    while (schedule_periods() == 0)
        __asm__ volatile("wfi");
    console_line("first period done", ", Linux may start");
    network_run();
}
