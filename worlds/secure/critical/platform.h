/* SPDX-License-Identifier: MIT */
/* platform.h - between the critical application's services (application.c) and what runs it: the runtime at Secure EL1,
 * or the process on the host. */
#ifndef ISTHMUS_PLATFORM_H
#define ISTHMUS_PLATFORM_H

#include "application.h"
#include "flow.h"
#include "isthmus.h"
#include "periodic.h"

/* ---- what the platform provides ----------------------------------------------------------------------------------- */

uint64_t platform_now(void);
/* The task that calls, or TASKS for anybody else. */
enum task_place platform_running(void);
/* ns of processor time that the running task has used in this period. */
uint64_t platform_used(void);
/* Around the answer to one datagram. False: it came too soon after the one before, and is not to be answered. */
int platform_inside_begin(void);
void platform_inside_end(void); /* the answer is sent: on its way at once, not with the batch */

/* ---- what it calls ------------------------------------------------------------------------------------------------ */

/* First of all. Tables that stay; `lane`: the channel's, the bulk lane first, `lanes` of them; 0: no channel beneath. The
 * application starts. */
void critical_init(struct task tasks[TASKS], const struct flow *flows, const struct ist_endpoint *lane, uint32_t lanes);
/* Once per period and whenever the link's state may have changed. */
void critical_follow(enum ist_state state);
/* A frame that the guard has accepted, the private copy of it. */
void critical_frame(const void *frame, uint32_t length);
void critical_safe(enum safe_reason why);
/* How often the watchdog was fed. */
uint64_t critical_fed(void);

/* For tests of the defences, asked for by whoever holds the Secure world's console or is its supervisor. */
enum critical_fault {
    CRITICAL_OVERRUN, /* the next period of the task above uses more than its C */
    CRITICAL_HUNGER,  /* the watchdog is not fed any more */
};
void critical_inject(enum critical_fault fault);

/* "app":{...}: a member of the status. */
void critical_json(struct text *t);

#endif
