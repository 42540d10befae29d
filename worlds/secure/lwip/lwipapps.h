/* SPDX-License-Identifier: MIT */
/* lwipapps.h - what a platform wants to know of the applications on lwIP, beyond apps.h. */
#ifndef ISTHMUS_LWIPAPPS_H
#define ISTHMUS_LWIPAPPS_H

#include "apps.h"
#include "lwip/netif.h"
#include "rxpool.h"

/* `pool`: the netif's receive buffers. */
void lwip_status(const struct netif *netif, const struct rxpool *pool, struct stack_status *s);

#endif
