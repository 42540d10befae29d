/* SPDX-License-Identifier: MIT */
#ifndef DOUBLE_FREERTOS_IP_TIMERS_H
#define DOUBLE_FREERTOS_IP_TIMERS_H

void vCheckNetworkTimers(void);

#endif
