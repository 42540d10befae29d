/* SPDX-License-Identifier: MIT */
/* restart.c - Linux stops, alone, and begins again.
 *
 * Every core of Linux's is called, by an interrupt that Linux cannot mask. The first core enters the loader, in a context
 * as after a cold boot; each of the others takes PSCI's own way to be off. The loader waits for them, where the Secure
 * world's timer pre-empts it: nothing is waited for, copied or looped over here. On the home core the Secure world may
 * have been called from Linux, or Linux from it: it stands in YIELD, or goes on to its next one. */
#include <arch_helpers.h>
#include <common/debug.h>
#include <lib/psci/psci.h>
#include <plat/common/platform.h>

#include "kick.h"
#include "monitor.h"
#include "smc.h"

static uint32_t self(void)
{
    return 1u << plat_my_core_pos();
}

void normal_stop(uint32_t next)
{
    struct session *s = &monitor.session;

    monitor.normal = next;
    monitor.events |= IST_EVENT_SESSION | IST_EVENT_NORMAL;
    session_end(s);
    if (monitor.secure != SECURE_UP) /* nobody is left to say so */
        (void)session_quiesced(s, 0, s->epoch);
    if (monitor.called != 0) /* on its way already */
        return;
    monitor.called = monitor.on;
    for (unsigned int core = 0; core < BOARD_CORES; core++)
        if ((monitor.called & ~self() & 1u << core) != 0)
            kick(monitor.mpidr[core]);
}

uintptr_t normal_leave(void)
{
    monitor.called &= ~self();
    if (plat_my_core_pos() == BOARD_FIRST_CORE) {
        bool off = monitor.normal == IST_NORMAL_OFF;

        monitor.starts += !off;
        lock_give(&monitor.lock);
        return start_normal(off);
    }
    lock_give(&monitor.lock);
    (void)psci_cpu_off();
    panic(); /* it refuses the first core alone */
}

/* From the bottom of this core's stack, as TF-A's own warm boot does. */
void __dead2 normal_quit(void)
{
    (void)normal_leave();
    __asm__ volatile("bl plat_set_my_stack\n\tb el3_exit" ::: "memory");
    __builtin_unreachable();
}
