/* SPDX-License-Identifier: MIT */
/* orders.h - what is asked for on the Secure world's console, which Linux cannot reach. One byte:
 *
 *     s   the status, as /status.json has it, on a line
 *     r   channel and stack to begin anew; the tasks go on
 *     l   Linux to be restarted
 *     o   the machine to be switched off
 *     c   the next period of the task above to use more than its C      (these two show that the defences against it
 *     h   the watchdog to go hungry: it is not fed any more             hold)
 *     t   the control task's latest periods and what happened beside them (record.h), on a line, on from the last
 *         time; there are more where it ends before "written"
 *     e   likewise the ends of the other tasks' periods; "left" says how many there are more */
#ifndef ISTHMUS_RUNTIME_ORDERS_H
#define ISTHMUS_RUNTIME_ORDERS_H

/* Once per period, in the network work: obeys one. `restart` is how this world's channel and stack begin anew. */
void orders_obey(void (*restart)(void));

#endif
