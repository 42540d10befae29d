/* SPDX-License-Identifier: MIT */
/* FreeRTOSConfig.h - the kernel at Secure EL1, with the port portable/GCC/ARM_AARCH64_SRE and -DGUEST. What a product may
 * change stands first; what follows is what this world rests on. */
#ifndef FREERTOS_CONFIG_H
#define FREERTOS_CONFIG_H

#include <stdint.h>

#include "board.h"

/* ---- yours ------------------------------------------------------------------------------------------------------- */

/* All that is allocated: buffers, sockets, the stacks of the network's tasks. The kernel's own objects and the critical
 * tasks are static. */
#define configTOTAL_HEAP_SIZE ((size_t)8 << 20)
#define configMINIMAL_STACK_SIZE 1024u /* words of 8 bytes */
#define configMAX_TASK_NAME_LEN 16
#define configCHECK_FOR_STACK_OVERFLOW 2 /* the critical tasks' stacks have a page beneath that is not mapped, too */

/* ---- time: one tick is one period of the task above -------------------------------------------------------------- */

#define configTICK_RATE_HZ 1000u /* main.c refuses a board whose task above has another period */
#define configTICK_TYPE_WIDTH_IN_BITS TICK_TYPE_WIDTH_64_BITS
#define configSETUP_TICK_INTERRUPT() tick_setup()
#define configCLEAR_TICK_INTERRUPT() tick_clear()

/* ---- interrupt priorities -------------------------------------------------------------------------------------------
 *
 *     0x00..0x3f   never masked by the kernel; must not call it
 *     0x40..0x7f   the kernel's: kick 0x60, tick 0x70, the lowest that it accepts
 *     0x80..0xff   Linux's: it masks them and leaves them un-ended as it likes
 *
 * The port is written for an OS that sees half of the levels, or all: it demands of its preprocessor that the kernel's
 * interrupts begin in the upper half, where Linux could mask the tick. A Secure OS whose tick is to come whatever Linux
 * does has to live in the lower half. So the levels are told twice: as 32 to the preprocessor, to which a name is 0, for
 * the width of a level (3 bits of 8 are unused); and as the 16 below 0x80 to the compiler, for every value that goes into
 * the interrupt controller or is compared with what it says. interrupts.c asserts the results. */
enum { configLINUX_LEVELS = 16 };
#define configUNIQUE_INTERRUPT_PRIORITIES (32 - configLINUX_LEVELS)
#define configMAX_API_CALL_INTERRUPT_PRIORITY (24 - configLINUX_LEVELS)

/* ---- scheduling: isthmus_aarch64.h has who has which priority ---------------------------------------------------- */

#define configMAX_PRIORITIES 11
#define configUSE_PREEMPTION 1
#define configUSE_TIME_SLICING 0
#define configUSE_IDLE_HOOK 1
#define configIDLE_SHOULD_YIELD 0
#define configUSE_TICK_HOOK 0
#define configUSE_TICKLESS_IDLE 0
#define configUSE_TASK_FPU_SUPPORT 1 /* no task has the FP registers unless it asks: build with -mgeneral-regs-only */

#define configUSE_TIMERS 1 /* for xTimerPendFunctionCallFromISR() alone */
#define configTIMER_TASK_PRIORITY 8
#define configTIMER_QUEUE_LENGTH 4
#define configTIMER_TASK_STACK_DEPTH configMINIMAL_STACK_SIZE
#define configUSE_EVENT_GROUPS 1
#define configUSE_MUTEXES 1
#define configUSE_COUNTING_SEMAPHORES 1
#define configUSE_TASK_NOTIFICATIONS 1
#define configSUPPORT_STATIC_ALLOCATION 1
#define configSUPPORT_DYNAMIC_ALLOCATION 1
#define configKERNEL_PROVIDED_STATIC_MEMORY 1

#define INCLUDE_vTaskPrioritySet 1
#define INCLUDE_vTaskDelay 1
#define INCLUDE_xTaskDelayUntil 1
#define INCLUDE_vTaskDelete 1
#define INCLUDE_vTaskSuspend 1
#define INCLUDE_xTaskGetCurrentTaskHandle 1
#define INCLUDE_xTaskGetSchedulerState 1
#define INCLUDE_xTimerPendFunctionCall 1

/* ---- FreeRTOS+TCP: the rest is in freertos/example/FreeRTOSIPConfig.h -------------------------------------------- */

#define ipconfigNETWORK_MTU BOARD_MTU /* the channel's */

/* ---- what the kernel tells us ------------------------------------------------------------------------------------ */

/* isthmus_aarch64.h has what these do. */
void tick_setup(void);
void tick_clear(void);
void tasks_switched(const void *task);
void tasks_created(void *task, volatile uint64_t *saved);
_Noreturn void fault(const char *what);

#define configASSERT(holds) ((holds) ? (void)0 : fault("FreeRTOS: " #holds))
#define traceTASK_SWITCHED_IN() tasks_switched(pxCurrentTCB)
#define traceTASK_CREATE(task) tasks_created((task), (task)->pxTopOfStack)

#endif
