/* SPDX-License-Identifier: MIT */
#ifndef DOUBLE_TASK_H
#define DOUBLE_TASK_H

#include "FreeRTOS.h"

#define tskIDLE_PRIORITY ((UBaseType_t)0)

TaskHandle_t xTaskCreateStatic(TaskFunction_t entry, const char *name, uint32_t words, void *argument, UBaseType_t priority,
                               StackType_t *stack, StaticTask_t *memory);
void vTaskDelete(TaskHandle_t task);
void vTaskStartScheduler(void);
TaskHandle_t xTaskGetCurrentTaskHandle(void);
TickType_t xTaskGetTickCount(void);
BaseType_t xTaskDelayUntil(TickType_t *released, TickType_t every);
void vTaskDelay(TickType_t ticks);
void vTaskPrioritySet(TaskHandle_t task, UBaseType_t priority);
BaseType_t xTaskNotifyGive(TaskHandle_t task);
void vTaskNotifyGiveFromISR(TaskHandle_t task, BaseType_t *woken);
uint32_t ulTaskNotifyTake(BaseType_t clear, TickType_t wait);
void taskENTER_CRITICAL(void);
void taskEXIT_CRITICAL(void);
void taskYIELD(void);
void vApplicationIdleHook(void);
void vApplicationStackOverflowHook(TaskHandle_t task, char *name);

#endif
