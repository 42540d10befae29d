/* SPDX-License-Identifier: MIT */
/* machine.h - a machine of doubles with the monitor in it, as far as a test wants it to have come. */
#ifndef ISTHMUS_TESTS_MACHINE_H
#define ISTHMUS_TESTS_MACHINE_H

#include "did.h"
#include "entropy.h"
#include "harness.h"
#include "monitor.h"
#include "priority.h"
#include "smc.h"

#include <stdio.h>
#include <unistd.h>

enum { LINUX = 1 };
#define EPOCH 77u
#define ANOTHER ((BOARD_FIRST_CORE + 1) % 3) /* a core of Linux's that is not its first */

static cpu_context_t caller;
static plat_psci_ops_t offered;

static void anew(void)
{
    doings[0] = 0;
    memset(caller.x, 0xee, sizeof caller.x);
}

/* What was done since the last look. */
#define DID(...)                                                                              \
    do {                                                                                      \
        char want_[600];                                                                      \
        snprintf(want_, sizeof want_, __VA_ARGS__);                                           \
        if (strcmp(doings, want_) != 0)                                                       \
            fail_at(__FILE__, __LINE__, "did \"%s\", not \"%s\"", doings, want_);             \
        anew();                                                                               \
    } while (0)

/* The core goes elsewhere in `what`. */
#define LEAVES(what)                                                      \
    do {                                                                  \
        if (setjmp(elsewhere) == 0) {                                     \
            (void)(what);                                                 \
            fail_at(__FILE__, __LINE__, "came back from %s", #what);      \
        }                                                                 \
        free_again();                                                     \
    } while (0)

#if BOARD_CORES > 1
void lock_take(struct lock *lock)
{
    CHECK_EQ(lock->next, lock->served); /* not by its holder */
    lock->next++;
}
#endif

static void free_again(void)
{
    CHECK_EQ(monitor.lock.next, monitor.lock.served);
}

static void on_core(unsigned int position)
{
    cpu.position = position;
    cpu.mpidr_el1 = cpu.place[position] | UINT64_C(1) << 31;
}

/* The machine at power-on. The last core that the platform can name has position 1. */
static void cold(void)
{
    memset(&monitor, 0, sizeof monitor);
    memset(images, 0, sizeof images);
    cpu = (struct cpu){.place = {0x001, 0x707, 0x100, 0x800}, .cntfrq_el0 = 62500000, .cntpct_el0 = 1000000000,
                       .id_aa64pfr0_el1 = 1u << 24, .distributor = 0x12, .control = 6u << 8, .entropy = 30,
                       .cptr_el3 = 0x80000000u, .icc_pmr_el1 = 0xf8, .enabled = 0xffff0000u | 1u << BOARD_TIMER_INTERRUPT};
    on_core(BOARD_SECURE_CORE);
    images[SECURE].pc = 0xe100000;
    images[SECURE].args.arg7 = images[NON_SECURE].args.arg3 = 5;
    first_image = &images[SECURE];
    psci_plat_pm_ops = &platform_ops;
    psci_caps = ~0u;
    anew();
}

static uintptr_t ask(unsigned int world, uint32_t fid, uint64_t x1, uint64_t x2, uint64_t x3, uint64_t x4)
{
    free_again();
    const uintptr_t back = service.handle(fid, x1, x2, x3, x4, NULL, &caller, world == LINUX ? SMC_FROM_NON_SECURE : 0);
    free_again();
    return back;
}

/* x0 of a call that returns to its caller. */
static int64_t smc(unsigned int world, uint32_t fid, uint64_t x1, uint64_t x2)
{
    anew();
    CHECK_EQ(ask(world, fid, x1, x2, 0, 0), (uintptr_t)&caller);
    return (int64_t)caller.x[0];
}

#define REFUSED(world, fid, x1, x2, why)                   \
    do {                                                   \
        const struct monitor before_ = monitor;            \
        CHECK_EQ(smc(world, fid, x1, x2), why);            \
        monitor.lock = before_.lock;                       \
        CHECK(memcmp(&before_, &monitor, sizeof monitor) == 0); \
        DID("");                                           \
    } while (0)

static int64_t claimed(void)
{
    anew();
    caller.x[5] = BOARD_SECURE_BUFFER_SIZE;
    CHECK_EQ(ask(LINUX, IST_SMC_REGISTER, 0, BOARD_NORMAL_BUFFER_BASE, BOARD_NORMAL_BUFFER_SIZE, BOARD_SECURE_BUFFER_BASE),
             (uintptr_t)&caller);
    return (int64_t)caller.x[0];
}

static void booted(void)
{
    cold();
    CHECK_EQ(service.setup(), 0);
    anew();
}

/* Linux runs, a session is sealed, nothing is to be told. */
static void running(void)
{
    booted();
    (void)ask(SECURE, IST_SMC_READY, 0, 0, 0, 0);
    offered = *psci_plat_pm_ops;
    if (!BOARD_CORE_SHARED) {
        on_core(BOARD_FIRST_CORE);
        hooks->svc_on_finish(0);
        monitor.on |= 1u << BOARD_FIRST_CORE;
    }
    CHECK_EQ(claimed(), IST_SMC_OK);
    monitor.events = monitor.lanes = 0;
    anew();
}

static uint64_t told_events(void)
{
    return ((cpu_context_t *)secure_context)->x[1];
}

#endif
