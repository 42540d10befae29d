/* SPDX-License-Identifier: MIT */
/* clock.h - the system counter in nanoseconds, and the secure physical timer (CNTPS). */
#ifndef ISTHMUS_RUNTIME_CLOCK_H
#define ISTHMUS_RUNTIME_CLOCK_H

#include <stdint.h>

void clock_init(void);
/* Since the counter started; never goes back. */
uint64_t clock_now(void);
/* The timer's interrupt comes at `when`, at once if that has passed. */
void clock_arm(uint64_t when);
void clock_disarm(void);

#endif
