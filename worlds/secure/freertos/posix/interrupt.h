/* SPDX-License-Identifier: MIT */
/* interrupt.h - interrupts of the FreeRTOS POSIX port: signals to the process.
 *
 * The port runs each task in a thread and lets one of them run. Every other thread blocks all signals, and so does the
 * running one in a critical section: "interrupts disabled". So a signal that is sent to the process, not to a thread,
 * comes when an interrupt would: to the task that runs, once it enables interrupts, and stays pending until then. Its
 * handler is the interrupt's. (The port sends its tick to one thread, and may send it to one that has just lost its
 * turn.) A thread that is no task of FreeRTOS' must block all signals. */
#ifndef ISTHMUS_INTERRUPT_H
#define ISTHMUS_INTERRUPT_H

#include "FreeRTOS.h"

/* An interrupt's handler: what FreeRTOS allows one. True: a task of a higher priority became ready. */
typedef BaseType_t (*interrupt_fn)(void);

/* Each returns 0, or -errno. */

/* What comes when a descriptor has something to read. */
int interrupt_on_input(interrupt_fn handler);
/* From now on `fd` is such a descriptor: the edge counts, as with any doorbell, so look once after this. `on` 0: not any
 * more. */
int interrupt_watch(int fd, int on);
/* A timer: at `first`, then every `period`; ns of CLOCK_MONOTONIC. */
int interrupt_timer(interrupt_fn handler, uint64_t first, uint64_t period);

/* In a critical section, in place of a processor's wait-for-interrupt: sleeps until one comes, which is handled. */
void interrupt_wait(void);

#endif
