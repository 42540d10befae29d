/* SPDX-License-Identifier: MIT */
#include "fault.h"

#include "clock.h"
#include "console.h"
#include "restart.h"
#include "smc.h"
#include "sysreg.h"

static _Noreturn void stop(void)
{
    clock_disarm();
    for (;;)
        call_monitor(&(struct call){{IST_SMC_YIELD, IST_YIELD_STOP}});
}

_Noreturn void fault(const char *what)
{
    interrupts_off();
    console_line("stopped: ", what);
    stop();
}

_Noreturn void on_fault(uint64_t vector, uint64_t esr, uint64_t elr, uint64_t far, uint64_t spsr, uint64_t lr)
{
    static const char *const names[] = {"synchronous", "IRQ", "FIQ", "SError"};
    static KEPT int again;

    if (again++) /* the report itself fails */
        stop();
    console_line("stopped: unexpected exception, ", names[vector % 4]);
    console_hex("  in a handler ", vector >= 4);
    console_hex("  esr  ", esr);
    console_hex("  elr  ", elr);
    console_hex("  far  ", far);
    console_hex("  spsr ", spsr);
    console_hex("  lr   ", lr);
    stop();
}
