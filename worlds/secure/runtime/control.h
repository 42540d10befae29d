/* SPDX-License-Identifier: MIT */
/* control.h - the critical periodic task. It runs in the secure timer's interrupt, on the exception stack: it pre-empts
 * Linux by way of the monitor, and the network work where it stands.
 *
 * Released every T, it works for its stated cost C and has to be done by its deadline D. Times in nanoseconds of the
 * system counter. */
#ifndef ISTHMUS_RUNTIME_CONTROL_H
#define ISTHMUS_RUNTIME_CONTROL_H

#include <stdint.h>

struct critical_report;
struct record;

/* The first release is now; the timer is armed. Interrupts are to be on. */
void control_start(void);
/* The timer's interrupt. */
void control_on_timer(void);
/* Releases that have passed. */
uint64_t control_periods(void);
/* Processor time that the task has used so far: what it took from whatever it pre-empted. */
uint64_t control_spent(void);
void control_report(struct critical_report *report);
/* Its periods one by one. Whoever reads it runs on the task's core, below it. */
extern struct record control_record;

#endif
