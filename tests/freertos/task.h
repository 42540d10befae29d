/* SPDX-License-Identifier: MIT */
#ifndef DOUBLE_TASK_H
#define DOUBLE_TASK_H

#include "FreeRTOS.h"

TaskHandle_t xTaskGetCurrentTaskHandle(void);
void vTaskNotifyGiveFromISR(TaskHandle_t task, BaseType_t *woken);
void xTaskNotifyGive(TaskHandle_t task);
uint32_t ulTaskNotifyTake(BaseType_t clear, TickType_t wait);
void vTaskPrioritySet(TaskHandle_t task, UBaseType_t priority);
void taskYIELD(void);
void taskENTER_CRITICAL(void);
void taskEXIT_CRITICAL(void);

#endif
