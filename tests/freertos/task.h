/* SPDX-License-Identifier: MIT */
#ifndef DOUBLE_TASK_H
#define DOUBLE_TASK_H

#include "FreeRTOS.h"

TaskHandle_t xTaskGetCurrentTaskHandle(void);
void vTaskNotifyGiveFromISR(TaskHandle_t task, BaseType_t *woken);

#endif
