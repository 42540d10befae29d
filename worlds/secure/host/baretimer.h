/* SPDX-License-Identifier: MIT */
/* baretimer.h - a thread that only sleeps until the next period, under this process' policy and priority: how late
 * Linux is for anybody. Beside the critical task's lateness it tells what part of that is ours. */
#ifndef ISTHMUS_BARETIMER_H
#define ISTHMUS_BARETIMER_H

#include <stdint.h>

struct lateness;

/* 0 or -errno. */
int baretimer_start(uint64_t period_ns);
void baretimer_fill(struct lateness *l);

#endif
