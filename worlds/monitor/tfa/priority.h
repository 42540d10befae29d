/* SPDX-License-Identifier: MIT */
/* priority.h - a Secure world whose OS wants its interrupts among Linux's priorities, 0x80 and beyond, on the core that
 * both share, and which is all that Linux has (BOARD_PRIORITIES_MOVE; GICv3).
 *
 *     while Linux runs            they stand above everything of Linux's: neither its mask nor what it acknowledged and
 *                                 never ended keeps them from EL3
 *     while the Secure world runs they stand where its OS expects them, and of Linux's there is nothing in the controller
 *                                 that could stand before them: mask and active priorities are away, its group is off
 *
 * Only the home core does this, so what is saved needs no lock. */
#ifndef ISTHMUS_MONITOR_PRIORITY_H
#define ISTHMUS_MONITOR_PRIORITY_H

#include <stdbool.h>

/* Before the Secure world's first instruction. False: this controller does not let the active priorities be written. */
bool priority_init(void);

/* From Linux to the Secure world. */
void priority_enter(void);
/* And back; to a `fresh` Linux, to which no mask and no active priority of an earlier one is given. Leaves SCR_EL3.NS set. */
void priority_leave(bool fresh);

#endif
