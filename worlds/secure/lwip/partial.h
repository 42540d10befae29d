/* SPDX-License-Identifier: MIT */
/* partial.h - transport checksums that are left out (IST_FLAG_CSUM_PARTIAL): where OFFLOAD was agreed, which a world offers
 * only where a tag covers each frame. A frame without the flag is verified, whatever was agreed. */
#ifndef ISTHMUS_PARTIAL_H
#define ISTHMUS_PARTIAL_H

#include "isthmus.h"
#include "lwip/netif.h"

/* From now on the checksums of TCP and UDP are left out of what lwIP sends, or no longer. */
void partial_use(struct netif *netif, int agreed);
/* Offload fields of a frame that lwIP is about to send, its checksum's field set to the pseudo header's sum as a network
 * device expects it; NULL: nothing was left out. `room` is where they go. */
const struct ist_meta *partial_describe(const struct netif *netif, struct pbuf *p, struct ist_meta *room);
/* Hands a received frame to lwIP, as netif->input does. */
err_t partial_input(struct netif *netif, struct pbuf *p, const struct ist_meta *meta);

#endif
