/* SPDX-License-Identifier: MIT */
/* normal.h - Linux as the Secure world sees it: whether it runs, and the board's policy for when it falls silent.
 *
 * Linux owes a heartbeat from the first one on until it takes leave (DETACH) or stops; by the board's choice also from
 * its start. One that owes it too long is restarted, no more often than the board allows. What is kept here outlives a
 * restart of the channel and its stack. */
#ifndef ISTHMUS_RUNTIME_NORMAL_H
#define ISTHMUS_RUNTIME_NORMAL_H

#include <stdint.h>

#include "isthmus.h"
#include "text.h"

/* Once, before Linux's first instruction. */
void normal_init(uint64_t now);
/* The monitor says that Linux stopped: what does it do now? */
void normal_told(uint64_t now);
/* Its session has ended in order. */
void normal_took_leave(void);
/* Once per period, with the link's state after looking at the peer. */
void normal_watch(uint64_t now, enum ist_state state);
/* By order: at once, whatever the policy. */
void normal_restart(void);
/* "normal":{...}, a member of the status. */
void normal_json(struct text *t);

#endif
