/* SPDX-License-Identifier: MIT */
/* isthmusif.h - lwIP's network interface on a channel. Knows the core and lwIP, nothing of the platform beneath. */
#ifndef ISTHMUS_ISTHMUSIF_H
#define ISTHMUS_ISTHMUSIF_H

#include "budget.h"
#include "filter.h"
#include "isthmus.h"
#include "lwip/netif.h"
#include "rxpool.h"

#define ISTHMUSIF_MTU_MAX 65500u /* a frame's length must fit lwIP's 16 bits, with its Ethernet header and room to spare */

struct isthmusif {
    struct ist_endpoint *ep;
    struct rxpool pool;  /* for frames of any length */
    struct rxpool small; /* for short ones, so that they leave those to the long; may be empty */
    /* Told of each frame that the guard has accepted, the private copy of it; may be NULL. */
    void (*valid)(const void *frame, ist_u32 length);
    ist_u8 mac[6];
    ist_u16 mtu;
    struct budget budget;   /* over time; zeros: none */
    struct ist_filter *out; /* judges what is sent; NULL: nothing is */
    ist_u64 (*now)(void);   /* for its rates, in the endpoint's unit; needed where there is an `out` */
    int blocked; /* the ring was full: TCP waits for isthmusif_unblock */
};

/* State of the netif is this struct; give it and isthmusif_init to netif_add(). Set ep, pool, mac and mtu before; an
 * MTU that is not the channel's is refused. */
err_t isthmusif_init(struct netif *netif);

/* See netport.h. */
enum ist_verdict isthmusif_receive(struct netif *netif, ist_u64 now, ist_u32 frames, ist_u32 bytes, ist_u32 *work);
int isthmusif_flush(struct netif *netif);

/* Bytes of the largest frame: what to pass to ist_arm_tx() while blocked. */
ist_u32 isthmusif_frame_max(const struct netif *netif);

/* Lets TCP go on if it was blocked and there is room again. */
void isthmusif_unblock(struct netif *netif);

/* Link up or down after the channel's state: RUN is up. */
void isthmusif_link(struct netif *netif, enum ist_state state);

#endif
