/* SPDX-License-Identifier: MIT */
/* rawif.c - raw sequenced frames (raw.h): lwIP's hook for an EtherType that it does not know. */
#include "apps.h"
#include "isthmusif.h"
#include "lwip/prot/ethernet.h"
#include "lwiphooks.h"
#include "netif/ethernet.h"
#include "raw.h"

/* A received frame is always one contiguous pbuf. */
signed char isthmus_raw_input(struct pbuf *p, struct netif *netif)
{
    struct eth_hdr *eth = p->payload;
    struct eth_addr from;

    if (eth->type != PP_HTONS(RAW_ETHERTYPE) || p->next != NULL)
        return ERR_VAL;
    if (raw_judge((const uint8_t *)p->payload + SIZEOF_ETH_HDR, p->len - SIZEOF_ETH_HDR)) {
        from = eth->src;
        eth->src = eth->dest;
        eth->dest = from;
        if (netif->linkoutput(netif, p) == ERR_OK)
            raw_echoed();
    }
    pbuf_free(p);
    return ERR_OK;
}
