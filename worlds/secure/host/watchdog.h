/* SPDX-License-Identifier: MIT */
/* watchdog.h - ends the process when the task above does not feed it: a thread that looks whether it was fed.
 *
 * It counts looks, not time: where Linux stops the whole process, it stops this thread too. */
#ifndef ISTHMUS_WATCHDOG_H
#define ISTHMUS_WATCHDOG_H

#include <stdint.h>

/* The longest time without food. 0, or -errno. */
int watchdog_start(uint64_t limit_ns);

#endif
