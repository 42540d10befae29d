/* SPDX-License-Identifier: MIT */
/* monitor.h - what the monitor knows, and what its files offer each other.
 *
 *     dispatcher.c   the service: set-up, interrupts, who may call what
 *     normal.c       calls of the Normal world
 *     secure.c       calls of the Secure world
 *     switch.c       one world leaves the core, the other gets it; registers.h lists what changes hands
 *     priority.c     the interrupt controller's part of that, for an OS whose interrupts lie among Linux's priorities
 *     own.c          the same, where the Secure world has a core of its own
 *     session.c      who may use the channel
 *     lock.h         the lock that all of it is under
 *     kick.h         the interrupt from one core to another
 *     power.c        what PSCI may do: nothing to anybody but Linux
 *     restart.c      Linux stops, alone, and begins again */
#ifndef ISTHMUS_MONITOR_H
#define ISTHMUS_MONITOR_H

#include <stdbool.h>
#include <stdint.h>

#include <arch_helpers.h>

#include "board.h"
#include "isthmus.h"
#include "lock.h"
#include "own.h"
#include "session.h"
#include "switch.h"

enum secure_state {
    SECURE_BOOTING, /* until READY: Linux does not run yet */
    SECURE_UP,
    SECURE_STOPPED, /* it said so, after a fault: never entered again */
};

/* Under the lock, all of it. */
struct monitor {
    struct lock lock;
    enum secure_state secure; /* written by the Secure world's own calls, which may read it without the lock */
    struct session session;
    struct ist_limit rate;  /* of doorbells that enter the Secure world, in ticks of the system counter */
    uint64_t latched;       /* doorbells beyond it */
    uint32_t events, lanes; /* not yet told to the Secure world */
    uint64_t home_mpidr;    /* MPIDR_EL1 of the core that the Secure world runs on */

    uint32_t normal;        /* IST_NORMAL_*: what Linux's first core does, or will do once it is called; RUNNING at first */
    uint32_t on, called;    /* cores of Linux's that are on; those of them that are to leave it. Bits by position */
    uint64_t starts;        /* of Linux */
    uint64_t mpidr[BOARD_CORES];
};

extern struct monitor monitor;

/* The Secure world runs on this core. */
static inline bool at_home(void)
{
    return BOARD_CORES == 1 || read_mpidr_el1() == monitor.home_mpidr;
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
    lock_give(&monitor.lock);
    return enter_secure(events, lanes);
}

/* What entry.S calls by itself. */
uintptr_t on_doorbell(void *handle, uint64_t channel, uint64_t lanes);
uintptr_t on_yield(void *handle, uint64_t why);
uintptr_t on_fp(void *handle);

/* From now on PSCI does not take the Secure world's core away, and what it does to the system it does to Linux. After
 * PSCI's own set-up. */
void power_setup(void);
/* The machine is switched off, by the platform. */
void __dead2 power_off(void);

/* Linux stops wherever it runs: its session ends, every core of its is called. `next`, IST_NORMAL_*: what follows. Lock
 * held. */
void normal_stop(uint32_t next);
/* This core was called. Needs no lock: the interrupt that calls it comes after what it says here. */
static inline bool normal_called(unsigned int this_core)
{
    return (__atomic_load_n(&monitor.called, __ATOMIC_RELAXED) & 1u << this_core) != 0;
}
/* This core leaves Linux for good: the first one begins again, the others are off until they are asked for. What the
 * core's caller returns to TF-A; lock held, which it gives back. */
uintptr_t normal_leave(void);
/* The same, and does not return: for where Linux was in the middle of a call. */
void __dead2 normal_quit(void);

#endif
