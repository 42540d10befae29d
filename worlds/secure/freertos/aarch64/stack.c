/* SPDX-License-Identifier: MIT */
/* stack.c - FreeRTOS+TCP and the applications: they start, and may end and begin anew while the critical tasks go on. */
#include "isthmus_aarch64.h"

#include "isthmus_freertos.h"

#include "board.h"
#include "clock.h"
#include "fault.h"
#include "normal.h"
#include "platform.h"
#include "random.h"
#include "restart.h"

#define TASKS_MAX 40u
#define OCTETS(a) {(uint8_t)((a) >> 24), (uint8_t)((a) >> 16), (uint8_t)((a) >> 8), (uint8_t)(a)}

static NetworkInterface_t interface;
static NetworkEndPoint_t address;
static uint64_t last_frame; /* when the last one came; 0 = never */
static KEPT struct {
    TaskHandle_t task[TASKS_MAX];
    uint32_t count;
    int starting;
} own;

uint32_t platform_random(void)
{
    return random_draw();
}

/* ---- status ------------------------------------------------------------------------------------------------------ */

static void valid(const void *frame, uint32_t length)
{
    last_frame = clock_now();
    critical_frame(frame, length);
}

static uint64_t when_last_frame(void)
{
    return last_frame;
}

/* ---- start and end ----------------------------------------------------------------------------------------------- */

void stack_adopt(TaskHandle_t task)
{
    if (!own.starting)
        return;
    if (own.count == TASKS_MAX)
        fault("more tasks than stack.c keeps");
    own.task[own.count++] = task;
}

static const char *start(struct isthmus_freertos *port)
{
    static const uint8_t ip[] = OCTETS(BOARD_SECURE_IP), mask[] = OCTETS(BOARD_NETMASK), none[4], mac[] = BOARD_SECURE_MAC;
    static const struct task_spec tasks[TASKS] = BOARD_TASKS;
    static const struct flow flows[] = BOARD_FLOWS;
    static struct status_source source = {
        .stack = freertos_status,
        .critical = tasks_report,
        .now = clock_now,
        .last_frame = when_last_frame,
        .units_per_us = 1000,
        .more = normal_json,
    };

    source.ep = port->lane[0].ep;
    source.budget = &port->lane[0].budget;
    source.lane = port->lane;
    source.lanes = port->lanes;
    port->valid = valid;
    if (isthmus_fill_interface(port, &interface) != pdPASS)
        return "ipconfigNETWORK_MTU is not the channel's";
    FreeRTOS_FillEndPoint(&interface, &address, ip, mask, none, none, mac);
    if (FreeRTOS_IPInit_Multi() != pdPASS)
        return "FreeRTOS+TCP does not start";
    if (apps_start(&source) != 0 || networked_start(&tasks[TASK_INSIDE], flows) != 0)
        return "configTOTAL_HEAP_SIZE is too small for the applications";
    return NULL;
}

const char *stack_start(struct isthmus_freertos *port)
{
    const char *failure;

    own.starting = 1;
    failure = start(port);
    own.starting = 0;
    return failure;
}

/* None of them runs now, so none holds the kernel; what they wait for forgets them. */
void stack_stop(void)
{
    while (own.count > 0)
        vTaskDelete(own.task[--own.count]);
}
