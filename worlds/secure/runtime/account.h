/* SPDX-License-Identifier: MIT */
/* account.h - what is kept of the critical tasks, whichever kernel runs them. */
#ifndef ISTHMUS_RUNTIME_ACCOUNT_H
#define ISTHMUS_RUNTIME_ACCOUNT_H

#include <stdint.h>

#include "periodic.h"
#include "record.h"

/* The control task's periods one by one. Whoever reads it runs on the task's core, below it. */
extern struct record control_record;

/* One of them has passed, that began `late` after its release and took `response` from it; ACCOUNT_SKIPPED for both: it
 * found the one before at work. */
void account_period(uint64_t late, uint64_t response);
#define ACCOUNT_SKIPPED UINT64_MAX

/* A task has used more than its C: the application hears of it at once, not at the end of the period. */
void account_overrun(struct task *t);

/* Was the watchdog fed in time? With each release of the task above, which come so far apart (ns). Looks are counted, not
 * time: a machine that stood still has not fed either, and nobody is to blame. */
void account_food(uint64_t apart);

/* A count of the thread that asks, charged last at *since, with what has passed by now, whoever comes between. */
uint64_t account_now(const uint64_t *count, const uint64_t *since);

#endif
