/* SPDX-License-Identifier: MIT */
/* turn.h - which of two tasks has the channel's endpoints, and when nobody looks for frames.
 *
 *     network task   after an interrupt, a period's included: turn_serve()
 *     IP task        around each send: turn_take(), turn_give(); before it waits for an event: turn_before_wait()
 *
 * To switch tasks is to wake a thread here: a frame that is found by the task that deals with it needs none. So the IP task
 * looks for frames itself, for as long as that has paid off. Who has the turn alone uses the endpoints: a session's end
 * takes the peer's memory away, and a task may lose the processor anywhere. Whoever receives last asks for a doorbell, but
 * where the IP task looks on or more may be taken at once. */
#ifndef ISTHMUS_FREERTOS_TURN_H
#define ISTHMUS_FREERTOS_TURN_H

#include "FreeRTOS.h"
#include "semphr.h"
#include "task.h"

#include "busypoll.h"
#include "netport.h"

struct turn {
    /* Set before either task runs: */
    const struct netport_lane *lane;
    uint32_t lanes;
    UBaseType_t look;               /* priority of a look: whoever has work goes before it */
    TaskHandle_t network;
    void (*attend)(void);           /* with the turn, in the network task: bell, period, session */
    enum ist_verdict (*step)(void); /* with the turn: takes what the budget allows, as isthmus_step(), and tells `busy` */
    struct busypoll busy;           /* max set */
    /* Its own: */
    SemaphoreHandle_t mutex;
    enum ist_verdict last; /* why nothing more was taken */
    int armed;             /* a doorbell was asked for wherever it helps */
    volatile int looking;  /* the IP task does, and receives at its end */
};

/* 0, or -1 where there is no memory. */
int turn_init(struct turn *t);

void turn_take(struct turn *t);
void turn_give(struct turn *t);

/* In the network task, over and over: one turn, then waits for a notification, or yields where there is more. */
void turn_serve(struct turn *t);

/* In the IP task, as ipconfigWATCHDOG_TIMER(). */
void turn_before_wait(struct turn *t);

#endif
