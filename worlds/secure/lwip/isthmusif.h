/* SPDX-License-Identifier: MIT */
/* isthmusif.h - lwIP's network interface on a channel. Knows the core and lwIP, nothing of the platform beneath. */
#ifndef ISTHMUS_ISTHMUSIF_H
#define ISTHMUS_ISTHMUSIF_H

#include "lwip/netif.h"
#include "netport.h"
#include "rxpool.h"

#define ISTHMUSIF_MTU_MAX 65500u /* a frame's length must fit lwIP's 16 bits, with its Ethernet header and room to spare */

struct tcp_pcb;

/* The receive buffers of a lane. */
struct isthmusif_buffers {
    struct netif *netif; /* isthmusif_init sets it */
    struct rxpool pool;  /* for frames of any length */
    struct rxpool small; /* for short ones, so that they leave those to the long; may be empty */
};

struct isthmusif {
    ist_u32 lanes; /* at least the bulk lane, lane[0] */
    struct netport_lane lane[IST_LANES_MAX];
    struct isthmusif_buffers buffers[IST_LANES_MAX];
    /* Told of each frame that the guard has accepted, the private copy of it; may be NULL. */
    void (*valid)(const void *frame, ist_u32 length);
    ist_u8 mac[6];
    ist_u16 mtu;
    ist_u64 (*now)(void); /* for the rates of what is sent, in the endpoint's unit; needed where a lane has an `out` */
    ist_u32 blocked;      /* lanes, by bit, whose ring was full: TCP waits for isthmusif_unblock */
};

/* An endpoint that offers IST_FEATURE_OFFLOAD has to carry a tag: then lwIP neither computes nor verifies what it covers.
 * State of the netif is this struct; give it and isthmusif_init to netif_add(). Set lanes, their ep and pool, mac and mtu before; an
 * MTU that is not the channel's is refused. */
err_t isthmusif_init(struct netif *netif);

/* See netport.h. */
enum ist_verdict isthmusif_receive(struct netif *netif, ist_u64 now, ist_u32 frames, ist_u32 bytes, ist_u32 *work);
/* The lanes, by bit, whose doorbell is to be rung. */
ist_u32 isthmusif_flush(struct netif *netif);

/* Lets TCP send as much as a frame of the channel takes in one piece, and no longer than ISTHMUS_LWIP_LONG_FRAME: the
 * peer hands it to its stack as so many segments (receive offload). For data that is written by reference; a
 * copy would need a buffer of that size. Call it before each tcp_write(); does nothing over another interface. */
void isthmusif_long_segments(struct tcp_pcb *pcb);

/* Bytes of the largest frame on a lane: what to pass to ist_arm_tx() while blocked. */
ist_u32 isthmusif_frame_max(const struct netif *netif, ist_u32 lane);

/* Lets TCP go on if it was blocked and there is room again. */
void isthmusif_unblock(struct netif *netif);

/* Link up or down after the channel's state: RUN is up. */
void isthmusif_link(struct netif *netif, enum ist_state state);

#endif
