/* SPDX-License-Identifier: MIT */
/* isthmus_aarch64.h - FreeRTOS at Secure EL1 on the board: who calls whom.
 *
 *     main.c        checks what it stands on, creates the tasks, starts the scheduler
 *     interrupts.c  tick on the secure timer, kick; their priorities
 *     tasks.c       the critical tasks, and the account of everybody's time
 *     border.c      session, network task; the idle hook, which gives the core to Linux
 *     stack.c       FreeRTOS+TCP and the applications, which may end and begin anew
 *
 * The runtime beneath (worlds/secure/runtime) gives start-up, address space, console, clock, interrupt controller and the
 * end after a fault. */
#ifndef ISTHMUS_AARCH64_H
#define ISTHMUS_AARCH64_H

#include "freertosapps.h"

struct ist_endpoint;
struct isthmus_freertos;

/* Above those of freertosapps.h, highest last: the task below once the network has used up its cost; the kernel's timer
 * task, which does what an interrupt leaves to a task; the task above. */
enum { PRIORITY_BELOW_FIRST = PRIORITY_ABOVE, PRIORITY_DEFERRED, PRIORITY_CONTROL };

/* ---- interrupts.c ------------------------------------------------------------------------------------------------ */

/* NULL, or what does not hold. */
const char *interrupts_init(void);
/* The timer's interrupt comes at `when`, or with the next tick if that is sooner. From tasks_switched() alone. */
void interrupts_limit(uint64_t when);
#define NO_LIMIT UINT64_MAX
/* Around the time that is Linux's. Interrupts are masked. */
void interrupts_give(void);
void interrupts_back(void);

/* ---- tasks.c ----------------------------------------------------------------------------------------------------- */

/* Before the scheduler starts. NULL, or what does not hold. */
const char *tasks_init(void);
/* The kernel's tick number 1 and those after it; from the tick's interrupt, before the kernel knows, and without a call of
 * it. True: the task below is to be behind the network again. */
int tasks_tick(uint64_t released);
/* The tick is done with: its time was nobody's whom it interrupted. */
void tasks_ticked(void);
/* The task below before the network, or behind it. From the interrupt; true: a task may be ready that was not. */
long tasks_reorder(uint32_t first);
/* A limit has passed. From the interrupt; true: a task may be ready that was not. */
long tasks_limit(void);
/* The first periods of the critical tasks are done. */
int tasks_began(void);
/* The network's tasks have used up their cost in this period. */
int tasks_spent(void);
/* Linux is owed its share of the core (share.h). */
int tasks_owe(void);
/* Around the time that is Linux's. Interrupts are masked. */
void tasks_give(void);
void tasks_back(void);
void tasks_report(struct critical_report *report);

/* ---- border.c ---------------------------------------------------------------------------------------------------- */

/* Before the scheduler starts; the seed is the monitor's. NULL, or what does not hold. */
const char *border_init(const uint64_t seed[2]);
/* From the kick's interrupt: a doorbell was rung on another core. True: a task is ready that was not. */
long border_kick(void);

/* ---- stack.c ----------------------------------------------------------------------------------------------------- */

/* Interface, end point, IP task, applications. `port` is ready but for the interface. NULL, or what does not hold. */
const char *stack_start(struct isthmus_freertos *port);
/* Ends all of the stack's tasks. Then nobody uses its memory, which may get back what it had at the start. */
void stack_stop(void);
/* A task was made. */
void stack_adopt(TaskHandle_t task);

#endif
