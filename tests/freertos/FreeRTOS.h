/* SPDX-License-Identifier: MIT */
/* FreeRTOS.h - a double of the kernel's and of FreeRTOS+TCP's interface, as far as a network interface uses it, written
 * from their published contract. double.c counts who owns each buffer and where each call comes from. */
#ifndef DOUBLE_FREERTOS_H
#define DOUBLE_FREERTOS_H

#include <stddef.h>
#include <stdint.h>

typedef long BaseType_t;
typedef unsigned long UBaseType_t;
typedef uint32_t TickType_t;
typedef void *TaskHandle_t;
typedef void *QueueHandle_t;
typedef void *SemaphoreHandle_t;

#define portMAX_DELAY 0xffffffffu

#define pdFALSE 0
#define pdTRUE 1
#define pdPASS 1
#define pdFAIL 0

/* An interrupt's end. */
void double_yield(BaseType_t woken);
#define portYIELD_FROM_ISR(woken) double_yield(woken)

/* What a configuration may choose; the compiler's command line does. */
#ifndef ipconfigUSE_LINKED_RX_MESSAGES
#define ipconfigUSE_LINKED_RX_MESSAGES 0
#endif
#ifndef ipconfigETHERNET_DRIVER_FILTERS_FRAME_TYPES
#define ipconfigETHERNET_DRIVER_FILTERS_FRAME_TYPES 1
#endif
#ifndef ipconfigDRIVER_INCLUDED_RX_IP_CHECKSUM
#define ipconfigDRIVER_INCLUDED_RX_IP_CHECKSUM 0
#endif
#ifndef ipconfigDRIVER_INCLUDED_TX_IP_CHECKSUM
#define ipconfigDRIVER_INCLUDED_TX_IP_CHECKSUM 0
#endif
#ifndef ipconfigNETWORK_MTU
#define ipconfigNETWORK_MTU 1500
#endif
#define ipconfigNUM_NETWORK_BUFFER_DESCRIPTORS 8
#define ipconfigIP_TASK_PRIORITY 5

#endif
