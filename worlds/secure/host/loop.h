/* SPDX-License-Identifier: MIT */
/* loop.h - the Secure world's one thread: the critical task when it is due, and between its periods the network, in
 * steps of a bounded number of frames and bytes.
 *
 *     released? ---- yes --> critical task --> handshake and heartbeat, TCP timers, control socket
 *         |
 *     receive at most one budget of frames, let the stack answer, publish once
 *         |
 *     nothing came: look on while the link was busy just now, then sleep until the bell, control or the next release */
#ifndef ISTHMUS_LOOP_H
#define ISTHMUS_LOOP_H

#include "apps.h"
#include "bell.h"
#include "busypoll.h"
#include "critical.h"
#include "isthmusif.h"
#include "packetif.h"
#include "world.h"

struct loop {
    struct ist_world world;
    int on_channel; /* else on a plain Ethernet device */
    union {
        struct isthmusif channel;
        struct packetif packet;
    } lower;
    struct netif netif;
    struct critical critical;
    struct bell bell;
    uint32_t step_frames, step_bytes; /* budget of one receive step */
    struct busypoll busy;             /* how long to look for frames before sleeping; when the last one came */
};

/* Runs until STOP, or until the supervisor or the packet device is gone. The netif is up, the critical task started. */
void loop_run(struct loop *l);

#endif
