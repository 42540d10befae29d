/* SPDX-License-Identifier: MIT */
/* periodic.h - a task of the board file, and the account of its deadlines. Times in nanoseconds. */
#ifndef ISTHMUS_PERIODIC_H
#define ISTHMUS_PERIODIC_H

#include <stdint.h>

#include "histogram.h"
#include "text.h"

/* Highest first. The network work stands between the second and the third. */
enum task_place { TASK_ABOVE, TASK_INSIDE, TASK_BELOW, TASKS };

struct task_spec {
    const char *name; /* NULL: no task in this place */
    const char *flow; /* whose datagrams release the one inside; "" elsewhere */
    uint64_t cost, deadline, period;
};

struct task {
    struct task_spec spec;
    uint64_t periods;  /* releases that have passed; skipped ones too, but for the one inside */
    uint64_t missed;   /* of them: not done by the deadline */
    uint64_t skipped;  /* the one before was not done yet; inside: came sooner than T after it */
    uint64_t overruns; /* more than C was used */
    uint64_t cost_max, wait_max, response_max;
    struct histogram late; /* from release to start */
};

/* The task starts, so long after its release; `wait` of that is ours. */
void task_begin(struct task *t, uint64_t late, uint64_t wait);
/* A period's work is done: it used the processor for `used`, and took `response` from release to end. */
void task_end(struct task *t, uint64_t used, uint64_t response);
/* A release that finds the task at work passes. */
void task_skip(struct task *t);

/* "tasks":[...]: one object for each of the TASKS at `t`. */
void tasks_json(struct text *out, const struct task *t);

#endif
