/* SPDX-License-Identifier: MIT */
#include "turn.h"

#include <sched.h>

#include "link.h"

#include "FreeRTOS_IP.h"

#include "FreeRTOS_IP_Private.h" /* the IP task's queue, */
#include "FreeRTOS_IP_Timers.h"  /* and its timers */

int turn_init(struct turn *t)
{
    t->last = IST_V_DOWN;
    t->mutex = xSemaphoreCreateMutex();
    return t->mutex != NULL ? 0 : -1;
}

void turn_take(struct turn *t)
{
    (void)xSemaphoreTake(t->mutex, portMAX_DELAY);
}

void turn_give(struct turn *t)
{
    (void)xSemaphoreGive(t->mutex);
}

/* Asks for a doorbell in each lane that can take more. True: there is work already. */
static int arm(struct turn *t)
{
    for (uint32_t k = 0; k < t->lanes; k++)
        if (t->lane[k].last == IST_V_EMPTY && ist_arm_for_sleep(t->lane[k].ep))
            return 1;
    return 0;
}

static void disarm(struct turn *t)
{
    for (uint32_t k = 0; k < t->lanes; k++)
        ist_disarm(t->lane[k].ep);
}

/* Without the turn: no session may end in the midst of it. */
static int pending(struct turn *t)
{
    int found = 0;

    taskENTER_CRITICAL();
    for (uint32_t k = 0; k < t->lanes; k++)
        found |= ist_pending(t->lane[k].ep);
    taskEXIT_CRITICAL();
    return found;
}

static int events(void)
{
    return uxQueueMessagesWaiting(xNetworkEventQueue) > 0;
}

/* Has looking on paid off for as long as this? */
static int enough(struct turn *t)
{
    return ist_now() >= busypoll_until(&t->busy);
}

/* With the turn: takes what there is. `rest`: nobody looks for more, so ask for a doorbell. */
static void receive(struct turn *t, int rest)
{
    disarm(t);
    t->last = t->step();
    t->armed = rest && t->last != IST_V_OK && !arm(t);
}

void turn_serve(struct turn *t)
{
    int wait;

    turn_take(t);
    t->attend();
    receive(t, !t->looking);
    wait = t->armed || t->looking;
    turn_give(t);
    if (wait)
        (void)ulTaskNotifyTake(pdTRUE, portMAX_DELAY);
    else
        taskYIELD(); /* the IP task has the same priority: it takes what there is first */
}

/* Until there is a frame or an event, or it was long enough. */
static void look_on(struct turn *t)
{
    vCheckNetworkTimers(); /* sockets hear of what came for them when the stack is about to wait, and it is */
    t->looking = 1;
    disarm(t); /* a bell would only disturb; receive() follows every look, and asks for one again */
    vTaskPrioritySet(NULL, t->look);
    while (!pending(t) && !events() && !enough(t))
        (void)sched_yield();
    t->looking = 0;
    vTaskPrioritySet(NULL, ipconfigIP_TASK_PRIORITY);
}

void turn_before_wait(struct turn *t)
{
    if (events() || (t->armed && (t->last != IST_V_EMPTY || enough(t))))
        return;
    if (t->last == IST_V_EMPTY)
        look_on(t);
    turn_take(t);
    receive(t, t->last != IST_V_EMPTY || enough(t));
    turn_give(t);
    if (!t->armed && !events())
        xTaskNotifyGive(t->network); /* what came was not for the stack; it has timers to look after */
}
