/* SPDX-License-Identifier: MIT */
#ifndef DOUBLE_FREERTOS_IP_H
#define DOUBLE_FREERTOS_IP_H

#include "task.h"

typedef struct xNETWORK_BUFFER NetworkBufferDescriptor_t;
BaseType_t FreeRTOS_IPInit_Multi(void);

#endif
