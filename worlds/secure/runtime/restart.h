/* SPDX-License-Identifier: MIT */
/* restart.h - the channel, lwIP and the applications begin anew, while the control task goes on.
 *
 * All of their memory gets back what it had when main() was entered. What has to survive is marked KEPT: the control
 * task's state, and whatever its interrupt uses. */
#ifndef ISTHMUS_RUNTIME_RESTART_H
#define ISTHMUS_RUNTIME_RESTART_H

#define KEPT __attribute__((section(".bss.kept"))) /* starts as zeros, like everything in .bss */

/* Notes what initialised memory looks like. The first thing of all. */
void restart_prepare(void);
/* Puts it back. On the main stack, which stays; interrupts may be on. */
void restart_memory(void);

#endif
