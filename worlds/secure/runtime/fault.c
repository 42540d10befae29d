/* SPDX-License-Identifier: MIT */
#include "fault.h"

#include "clock.h"
#include "console.h"
#include "platform.h"
#include "restart.h"
#include "schedule.h"
#include "smc.h"
#include "sysreg.h"

static _Noreturn void stop(void)
{
    clock_disarm();
    schedule_leave();
    for (;;)
        call_monitor(&(struct call){{IST_SMC_YIELD, IST_YIELD_STOP}});
}

/* First what matters. Once: what comes of it may fail as well. */
static void enter_safe_state(enum safe_reason why)
{
    static KEPT int entered;

    if (!entered++)
        critical_safe(why);
}

static _Noreturn void end(const char *what, enum safe_reason why)
{
    interrupts_off();
    enter_safe_state(why);
    console_line("stopped: ", what);
    stop();
}

_Noreturn void fault(const char *what)
{
    end(what, SAFE_FAULT);
}

_Noreturn void fault_unfed(void)
{
    end("the watchdog was not fed", SAFE_WATCHDOG);
}

_Noreturn void on_fault(uint64_t vector, uint64_t esr, uint64_t elr, uint64_t far, uint64_t spsr, uint64_t lr)
{
    static const char *const names[] = {"synchronous", "IRQ", "FIQ", "SError"};
    static KEPT int again;

    if (again++) /* the report itself fails */
        stop();
    enter_safe_state(SAFE_FAULT);
    console_line("stopped: unexpected exception, ", names[vector % 4]);
    console_hex("  in a handler ", vector >= 4);
    console_hex("  esr  ", esr);
    console_hex("  elr  ", elr);
    console_hex("  far  ", far);
    console_hex("  spsr ", spsr);
    console_hex("  lr   ", lr);
    stop();
}
