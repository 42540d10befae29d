/* SPDX-License-Identifier: MIT */
/* owntime.h - the processor time that a thread has really had.
 *
 * Under a hypervisor the clock of a thread's processor time goes on while the processor itself is taken away, and a
 * guest is not told: milliseconds that nobody here has spent. A timer signal comes every 100 us while the thread works.
 * It interrupts our own work on time, however long that is and whatever it does; a processor that is not there it cannot
 * interrupt. So of the time between two samples more than twice as far apart only one interval is ours. */
#ifndef ISTHMUS_OWNTIME_H
#define ISTHMUS_OWNTIME_H

#include <stdint.h>

/* Begins to watch the calling thread; there can be one. 0 or -errno. */
int owntime_start(void);
/* This thread's processor time in ns, less what was taken from it. Never runs backwards. */
uint64_t owntime(void);
/* The thread is about to sleep: no samples meanwhile. */
void owntime_rest(void);
/* ... and is back. */
void owntime_resume(void);

#endif
