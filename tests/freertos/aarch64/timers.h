/* SPDX-License-Identifier: MIT */
#ifndef DOUBLE_TIMERS_H
#define DOUBLE_TIMERS_H

#include "task.h"

typedef void (*PendedFunction_t)(void *, uint32_t);
BaseType_t xTimerPendFunctionCallFromISR(PendedFunction_t function, void *first, uint32_t second, BaseType_t *woken);

#endif
