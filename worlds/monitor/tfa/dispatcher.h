/* SPDX-License-Identifier: MIT */
/* dispatcher.h - what the dispatcher's files say to each other. */
#ifndef ISTHMUS_MONITOR_DISPATCHER_H
#define ISTHMUS_MONITOR_DISPATCHER_H

#include <stdbool.h>

/* The Secure world runs on this core. */
bool dispatcher_at_home(void);
/* From now on PSCI does not take the Secure world's core away. After PSCI's own set-up. */
void power_setup(void);

#endif
