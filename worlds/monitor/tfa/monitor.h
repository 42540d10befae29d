/* SPDX-License-Identifier: MIT */
/* monitor.h - what the monitor knows, and what its files offer each other.
 *
 *     dispatcher.c   the service: set-up, interrupts, who may call what
 *     normal.c       calls of the Normal world
 *     secure.c       calls of the Secure world
 *     switch.c       one world leaves the core, the other gets it; registers.h lists what changes hands
 *     session.c      who may use the channel
 *     power.c        what PSCI may do */
#ifndef ISTHMUS_MONITOR_H
#define ISTHMUS_MONITOR_H

#include <stdbool.h>
#include <stdint.h>

#include <arch_helpers.h>
#include <lib/spinlock.h>

#include "isthmus.h"
#include "session.h"
#include "switch.h"

enum secure_state {
    SECURE_BOOTING, /* until READY: Linux does not run yet */
    SECURE_UP,
    SECURE_STOPPED, /* it said so, after a fault: never entered again */
};

/* Under the lock, all of it. */
struct monitor {
    spinlock_t lock;
    enum secure_state secure; /* written by the Secure world's own calls, which may read it without the lock */
    struct session session;
    struct ist_limit rate;  /* of doorbells that enter the Secure world, in ticks of the system counter */
    uint64_t latched;       /* doorbells beyond it */
    uint32_t events, lanes; /* not yet told to the Secure world */
    uint64_t home_mpidr;    /* MPIDR_EL1 of the core that the Secure world runs on */
};

extern struct monitor monitor;

/* The Secure world runs on this core. */
static inline bool at_home(void)
{
    return read_mpidr_el1() == monitor.home_mpidr;
}

/* What an SMC returns to TF-A: its caller's context, with `result` in x0. Lock held; gives it back. */
uintptr_t reply(void *handle, long result);

/* The calls of each world; the lock is not held. */
uintptr_t from_normal(uint32_t fid, uint64_t x1, uint64_t x2, uint64_t x3, uint64_t x4, void *handle);
uintptr_t from_either(uint32_t fid, void *handle); /* what the two leave over */
uintptr_t from_secure(uint32_t fid, uint64_t x1, uint64_t x2, uint64_t x3, uint64_t x4, void *handle);

/* Enters the Secure world with all events that have come up. Home core, lock held, which it gives back; the Normal
 * world's x0 is ready. */
static inline uintptr_t tell_secure(void)
{
    uint32_t events = monitor.events, lanes = monitor.lanes;

    monitor.events = monitor.lanes = 0;
    spin_unlock(&monitor.lock);
    return enter_secure(events, lanes);
}

/* The two that entry.S calls as well. */
uintptr_t on_doorbell(void *handle, uint64_t channel, uint64_t lanes);
uintptr_t on_yield(void *handle, uint64_t why);

/* From now on PSCI does not take the Secure world's core away. After PSCI's own set-up. */
void power_setup(void);

#endif
