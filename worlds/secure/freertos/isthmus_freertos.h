/* SPDX-License-Identifier: MIT */
/* isthmus_freertos.h - FreeRTOS+TCP's network interface on a channel. Knows the core and FreeRTOS, nothing of the
 * platform beneath: how a doorbell comes in and goes out, and what time it is, are the platform's.
 *
 *     doorbell's interrupt --isthmus_wake()--> network task --isthmus_step()--> IP task
 *     IP task --pfOutput--> channel --ring()--> the peer
 *
 * One network task per channel, of the IP task's priority or above. It alone receives and polls (or the IP task in
 * its turn: posix/turn.h); the IP task alone sends. That is what the core allows, and nothing here locks. */
#ifndef ISTHMUS_FREERTOS_H
#define ISTHMUS_FREERTOS_H

#include "FreeRTOS.h"
#include "task.h"

#include "FreeRTOS_IP.h"
#include "FreeRTOS_Routing.h"

#include "netport.h"

struct isthmus_freertos {
    /* The platform's, set before isthmus_fill_interface(), all else zero: */
    struct netport_lane lane[IST_LANES_MAX]; /* ep, budget, out of each; the bulk lane first */
    ist_u32 lanes, frames, bytes; /* how many there are; what one step may take */
    ist_u64 (*now)(void);
    void (*ring)(void *of, ist_u32 lanes); /* the peer's doorbell, for lanes by bit; from the IP task and the network task */
    void *of;
    void (*valid)(const void *frame, ist_u32 length); /* told of each frame that the guard accepted */
    /* The port's: */
    NetworkInterface_t *nif;
    TaskHandle_t task;        /* the network task, NULL before its first step */
    BaseType_t up;            /* link, as the stack was told last */
    NetworkBufferDescriptor_t *first, *last; /* received in this step, not yet handed over */
    ist_u32 unknown, busy;    /* frames that no end point of ours wants; that the IP task's queue had no room for */
};

/* Fills and adds the interface; both structs stay as long as the stack runs. pdFAIL: the stack's MTU
 * (ipconfigNETWORK_MTU) is not the channel's. End points are added to it as to any other interface. */
BaseType_t isthmus_fill_interface(struct isthmus_freertos *i, NetworkInterface_t *nif);

/* In the network task: receives within the budget, hands over what came, publishes and rings. What ist_peek() said
 * last: OK means that the budget is used up and there may be more. */
enum ist_verdict isthmus_step(struct isthmus_freertos *i, ist_u64 now);

/* In the network task, after every ist_poll(): tells the stack when the link came or went. */
void isthmus_link(struct isthmus_freertos *i, enum ist_state state);

/* In the doorbell's interrupt: wakes the network task. True: yield at the interrupt's end. */
BaseType_t isthmus_wake(struct isthmus_freertos *i);

#endif
