/* SPDX-License-Identifier: MIT */
/* schedule.h - who gets the core: fixed priorities, three threads, one timer.
 *
 *     control    the task above: released every T, runs at once
 *     network    channel, stack and the task inside; while it has some of its cost left in this period of its own
 *     below      the task below, on a stack of its own
 *     Linux      when none of them is ready: the network thread, which never ends, says YIELD
 *
 * One interrupt handler decides: at a release, when a thread's time is up, and when a thread says that its work is done.
 * It swaps the whole of the registers; no thread waits for another, nothing is allocated, no queue is kept. All periods
 * are whole numbers of the control task's, so one timer releases everything, at the same instant.
 *
 * A thread that uses more than its cost is found out by the timer: a task has overrun (counted, safe state), the network
 * work waits for its next period if the task below is ready. Times in nanoseconds of the system counter. */
#ifndef ISTHMUS_RUNTIME_SCHEDULE_H
#define ISTHMUS_RUNTIME_SCHEDULE_H

#include <stdint.h>

#include "board.h"
#include "periodic.h"

struct critical_report;

/* What an exception saves; start.S knows the layout. */
struct registers {
    uint64_t x[31], sp, pc, pstate;
#if BOARD_FP_SWITCHED
    uint64_t fpsr, fpcr, v[64];
#endif
};

/* The caller becomes the network thread. The first release is now; the timer is armed. Interrupts are to be on. */
void schedule_start(void);
/* The control task has done so many periods. */
uint64_t schedule_periods(void);
/* Releases so far: what happens once per period asks for this. */
uint64_t schedule_ticks(void);
/* The network work has used up what it may in this period of its own, as far as it was charged for it: by the timer, by
 * schedule_rest(), and by itself where it works on and on. */
int schedule_spent(void);
void schedule_charge(void);
/* Linux is owed its share of the core (share.h). */
int schedule_owes(void);
/* The network work has nothing to do, or no time left, and has seen so many ticks: lets the task below run. True: nobody
 * is ready, and interrupts are masked until schedule_back(), so that nobody gets ready between this and YIELD. False:
 * look again. */
int schedule_rest(uint64_t seen);
void schedule_back(void);

/* Ends the interrupt in hand, if there is one: the Secure world stops. Never ended, it would stand before all of Linux's. */
void schedule_leave(void);

void schedule_report(struct critical_report *report);

/* From start.S: an IRQ, a call by SVC. `r` is what was interrupted, and on return what goes on. True: a task's. */
int on_interrupt(struct registers *r);
int on_call(struct registers *r);

#endif
