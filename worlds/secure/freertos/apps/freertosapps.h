/* SPDX-License-Identifier: MIT */
/* freertosapps.h - the applications of apps.h on FreeRTOS+TCP's sockets, on whatever platform: tasks that block.
 *
 *     priority   7  the task above               the platform's
 *                6  the task inside              networked.c: once it has its datagram, a flood waits
 *                5  network task                 the platform's; yields to the IP task after each step
 *                5  IP task                      ipconfigIP_TASK_PRIORITY
 *                4  echo, status page
 *                3  iperf
 *                2  the task below               the platform's
 *                1  IP task that looks for frames, where the platform has a processor to spare for that */
#ifndef ISTHMUS_FREERTOSAPPS_H
#define ISTHMUS_FREERTOSAPPS_H

#include "FreeRTOS.h"
#include "queue.h"
#include "task.h"

#include "FreeRTOS_IP.h"
#include "FreeRTOS_Sockets.h"

#include "apps.h"

enum priority {
    PRIORITY_LOOK = tskIDLE_PRIORITY + 1,
    PRIORITY_BELOW,
    PRIORITY_BULK,
    PRIORITY_APPS,
    PRIORITY_IP,
    PRIORITY_NETWORK = PRIORITY_IP,
    PRIORITY_INSIDE,
    PRIORITY_ABOVE,
};

/* What the stack says of itself. */
void freertos_status(struct stack_status *s);

/* A TCP port and the tasks that serve it, one connection each at a time. Static, with all but `waiting` filled in. */
struct service {
    const char *name;
    uint16_t port;
    uint16_t workers;
    UBaseType_t priority;
    size_t window;                                 /* bytes of a connection's buffer, each way */
    void (*serve)(Socket_t s, unsigned worker);    /* until the connection is done with; its end is service.c's */
    QueueHandle_t waiting;                         /* accepted, and no worker yet */
};

#define SEGMENTS(bytes) ((bytes) / ipconfigTCP_MSS) /* a window, as the stack counts it */

/* 0, or -1 where there is no memory for its tasks. */
int service_start(struct service *s);

/* What has come, at most `most` bytes of it, in place: *data is FreeRTOS_ReleaseTCPPayloadBuffer()'s. 0: the peer has
 * finished, is gone, or was silent for `idle`. */
size_t service_receive(Socket_t s, void **data, size_t most, TickType_t idle);

/* All of it, in as many pieces as it takes. 0, or -1 when the connection is broken or takes nothing for 2 s. */
int service_send(Socket_t s, const void *data, size_t bytes);

/* A datagram in the stack's buffer, which is given back with FreeRTOS_ReleaseUDPPayloadBuffer() or sent with
 * FREERTOS_ZERO_COPY. */
typedef void (*datagram_fn)(Socket_t s, void *data, size_t bytes, const struct freertos_sockaddr *from);

/* Waits for datagrams to the port, and calls `serve` with each; sending never waits. Does not return. */
_Noreturn void datagram_serve(uint16_t port, datagram_fn serve);

/* ---- what the platform provides -------------------------------------------------------------------------------------- */

/* Not to be guessed. */
uint32_t platform_random(void);

#endif
