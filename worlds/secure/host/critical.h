/* SPDX-License-Identifier: MIT */
/* critical.h - the critical application's tasks in a process of Linux, and the account of their deadlines.
 *
 *     above     in the loop's thread, between two frames of the network work
 *     inside    there too, as part of the network work
 *     below     in a thread of its own
 *
 * The task above is released every T, and has to be done by its deadline D. What keeps it from its work is told apart:
 *
 *   ours     what this thread did besides (receiving, the stack, timers, status) between the release and the start
 *   kernel   the rest of that time: Linux, or a hypervisor beneath it, did not run us
 *
 * A period is missed by us when ours + the task's own time exceed D. The task below waits for nothing of ours, so its
 * own time alone counts.
 *
 * All of them are sums of pieces: one frame in, one frame out, one look of a task at the clock. The clock of a thread's
 * processor time would not do: most kernels charge an interrupt to the thread that it hits, and a guest's goes on while
 * the hypervisor takes the processor away, for milliseconds. A piece counts no more than it can take by itself, so such
 * a gap weighs little once, while work that is too slow or too much weighs in every piece. So an overrun is told from
 * what the kernel took only beyond one and a half times C, or a few such gaps. All times in nanoseconds. */
#ifndef ISTHMUS_CRITICAL_H
#define ISTHMUS_CRITICAL_H

#include <stdint.h>

#include "periodic.h"

struct critical_report;

struct critical {
    struct task tasks[TASKS];
    uint64_t born;   /* when the world started */
    uint64_t next;   /* the next release */
    uint64_t next_below;
    uint64_t ours;   /* done besides since critical_mark() */
    uint64_t looked; /* when the last piece ended */
    uint64_t first_done;
};

/* The first release is now. */
void critical_start(struct critical *c, uint64_t born);
/* Then: a thread of its own for the task below. 0, or -errno. */
int critical_thread_below(struct critical *c);
/* What this thread does from here on is not the task: call before anything that may stand in a release's way. */
void critical_mark(struct critical *c);
/* A piece of it is done. True: a release is due, so let the task run soon. */
int critical_piece(struct critical *c);
/* Runs the task for the release that is due (now >= c->next). Releases before it that passed altogether are accounted
 * for and skipped: after a long stop the task does not run many times in a row. Ends with critical_mark(). */
void critical_run(struct critical *c, uint64_t now);
/* Likewise the task below, once (now >= c->next_below). */
void critical_run_below(struct critical *c, uint64_t now);
void critical_fill(const struct critical *c, struct critical_report *report);

/* Works besides for so long: the tests' fault injection. */
void critical_burn(struct critical *c, uint64_t ns);

#endif
