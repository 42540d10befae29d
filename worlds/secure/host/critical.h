/* SPDX-License-Identifier: MIT */
/* critical.h - the critical periodic task and the account of its deadlines.
 *
 * The task is released every T, works for its stated cost C and has to be done by its deadline D. What keeps it from
 * its work is told apart:
 *
 *   ours     what this thread did besides (receiving, the stack, timers, status) between the release and the start
 *   kernel   the rest of that time: Linux, or a hypervisor beneath it, did not run us
 *
 * A period is missed by us when ours + the task's own time exceed D.
 *
 * Both are sums of pieces: one frame in, one frame out, one look of the task at the clock. The clock of a thread's
 * processor time would not do: most kernels charge an interrupt to the thread that it hits, and a guest's goes on while
 * the hypervisor takes the processor away, for milliseconds. A piece counts no more than it can take by itself, so such
 * a gap weighs little once, while work that is too slow or too much weighs in every piece. All times in nanoseconds. */
#ifndef ISTHMUS_CRITICAL_H
#define ISTHMUS_CRITICAL_H

#include <stdint.h>

#include "histogram.h"

struct critical_report;

struct critical {
    uint64_t period, cost, deadline;
    uint64_t born;   /* when the world started */
    uint64_t next;   /* the next release */
    uint64_t ours;   /* done besides since critical_mark() */
    uint64_t looked; /* when the last piece ended */
    uint64_t periods, missed, skipped;
    uint64_t cost_max, wait_max, first_done;
    struct histogram late_kernel;
    int32_t level, setpoint, integral, output; /* the plant and its controller, Q16 */
};

/* "period cost deadline" in microseconds, 0 < C <= D <= T <= 1 s. 0, or -1. */
int critical_parse(struct critical *c, const char *text);
/* The first release is now. */
void critical_start(struct critical *c, uint64_t born);
/* What this thread does from here on is not the task: call before anything that may stand in a release's way. */
void critical_mark(struct critical *c);
/* A piece of it is done. */
void critical_piece(struct critical *c);
/* Runs the task for the release that is due (now >= c->next). Releases before it that passed altogether are accounted
 * for and skipped: after a long stop the task does not run many times in a row. Ends with critical_mark(). */
void critical_run(struct critical *c, uint64_t now);
void critical_fill(const struct critical *c, struct critical_report *report);

/* Works besides for so long: the tests' fault injection. */
void critical_burn(struct critical *c, uint64_t ns);

#endif
