/* SPDX-License-Identifier: MIT */
/* FreeRTOS.h - a double of what the glue at Secure EL1 uses of the kernel, its port for AArch64 and FreeRTOS+TCP: types,
 * prototypes, and the demands that the port makes of the configuration. Only compiled, never linked. */
#ifndef DOUBLE_FREERTOS_H
#define DOUBLE_FREERTOS_H

#include <stddef.h>
#include <stdint.h>

#define TICK_TYPE_WIDTH_64_BITS 2
#define pdFREERTOS_LITTLE_ENDIAN 0
#include "FreeRTOSConfig.h"
#include "FreeRTOSIPConfig.h"

/* ---- the port ---------------------------------------------------------------------------------------------------- */

typedef long BaseType_t;
typedef uint64_t UBaseType_t, TickType_t;
typedef size_t StackType_t;

#if configUNIQUE_INTERRUPT_PRIORITIES == 16
#define portPRIORITY_SHIFT 4
#elif configUNIQUE_INTERRUPT_PRIORITIES == 32
#define portPRIORITY_SHIFT 3
#else
#error "another number of levels than the emulated controller has"
#endif
#if configMAX_API_CALL_INTERRUPT_PRIORITY <= configUNIQUE_INTERRUPT_PRIORITIES / 2
#error "the kernel's interrupts have to begin in the upper half"
#endif
#if configMAX_API_CALL_INTERRUPT_PRIORITY > configUNIQUE_INTERRUPT_PRIORITIES
#error "no such level"
#endif
#define portLOWEST_USABLE_INTERRUPT_PRIORITY ((uint32_t)configUNIQUE_INTERRUPT_PRIORITIES - 1UL - 1UL)

extern uint64_t ullPortYieldRequired;
#define portYIELD_FROM_ISR(needed) ((needed) != pdFALSE ? (void)(ullPortYieldRequired = pdTRUE) : (void)0)
void vApplicationIRQHandler(uint32_t taken);
void FreeRTOS_Tick_Handler(void);

/* ---- the kernel -------------------------------------------------------------------------------------------------- */

#define pdFALSE 0
#define pdTRUE 1
#define pdPASS 1
#define pdFAIL 0
#define portMAX_DELAY UINT64_MAX

typedef struct tskTaskControlBlock *TaskHandle_t;
typedef struct QueueDefinition *QueueHandle_t;
typedef void (*TaskFunction_t)(void *);
typedef struct {
    uint64_t words[32];
} StaticTask_t;

#endif
