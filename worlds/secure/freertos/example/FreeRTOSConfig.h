/* SPDX-License-Identifier: MIT */
/* FreeRTOSConfig.h - an example: the kernel as the Secure world's applications want it. Take it over into your own, or
 * begin with it; what is not here stays at the kernel's default. The priorities are those of apps/freertosapps.h. */
#ifndef FREERTOS_CONFIG_H
#define FREERTOS_CONFIG_H

/* ---- scheduling ------------------------------------------------------------------------------------------------------ */

/* The task above has to interrupt the network work wherever that stands. */
#define configUSE_PREEMPTION 1
/* Network and IP task share a priority: neither may keep the other waiting for longer than a tick. */
#define configUSE_TIME_SLICING 1
/* Idle, and the levels of apps/freertosapps.h. */
#define configMAX_PRIORITIES 8
/* Of TCP's timers and of delays. The critical tasks do not depend on it: a timer's interrupt of their own releases them. */
#define configTICK_RATE_HZ 1000
#define configTICK_TYPE_WIDTH_IN_BITS TICK_TYPE_WIDTH_32_BITS
/* The network task waits for its notification 0, and so do the critical tasks. */
#define configUSE_TASK_NOTIFICATIONS 1
/* posix/main.c sleeps there; a board waits for an interrupt. */
#define configUSE_IDLE_HOOK 1
#define configUSE_TICK_HOOK 0
/* The stack has its own timers in the IP task. */
#define configUSE_TIMERS 0

/* ---- memory ---------------------------------------------------------------------------------------------------------- */

/* In words. A task of the POSIX port runs on its thread's stack, and this one holds little more than a note of that; on a
 * board it is the stack, and the status page is what needs most of it. */
#define configMINIMAL_STACK_SIZE 1024
/* For heap_4: 24 tasks, sockets with windows of 64 and 256 KiB, and with BufferAllocation_2 every network buffer. */
#define configTOTAL_HEAP_SIZE ((size_t)24 << 20)
#define configSUPPORT_DYNAMIC_ALLOCATION 1
#define configSUPPORT_STATIC_ALLOCATION 0
/* The heap belongs to the peer as well, who opens connections: an exhausted one is refused by the stack, which counts on
 * NULL. A hook that ends the world would be the peer's weapon. */
#define configUSE_MALLOC_FAILED_HOOK 0
#define configCHECK_FOR_STACK_OVERFLOW 0
#define configMAX_TASK_NAME_LEN 12

/* ---- what FreeRTOS+TCP needs ------------------------------------------------------------------------------------------ */

#define configUSE_MUTEXES 1
#define configUSE_COUNTING_SEMAPHORES 1
#define configUSE_EVENT_GROUPS 1
#define INCLUDE_vTaskDelay 1
#define INCLUDE_vTaskPrioritySet 1 /* posix/turn.c's look */
#define INCLUDE_vTaskSuspend 1 /* portMAX_DELAY is for ever */
#define INCLUDE_xTaskGetCurrentTaskHandle 1
#define INCLUDE_xTaskGetSchedulerState 1

/* Called by the IP task before it waits for its next event; here, for it is the host's alone. */
#define ipconfigWATCHDOG_TIMER() isthmus_before_wait()
void isthmus_before_wait(void);

/* ---- faults ---------------------------------------------------------------------------------------------------------- */

/* A broken invariant of the kernel's or the stack's: the platform asks for the safe state and ends the world. Never
 * reached by what a peer sends: the guard has judged that before. */
_Noreturn void isthmus_freertos_assert(const char *file, int line);
#define configASSERT(condition) ((condition) ? (void)0 : isthmus_freertos_assert(__FILE__, __LINE__))

#endif
