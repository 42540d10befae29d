/* SPDX-License-Identifier: MIT */
#include "apps.h"

#include "lwipapps.h"

void lwip_status(const struct netif *netif, const struct rxpool *pool, struct stack_status *s)
{
    const uint32_t ip = lwip_ntohl(netif_ip4_addr(netif)->addr);

    *s = (struct stack_status){
        .name = "lwIP",
        .up = netif_is_link_up(netif),
        .mtu = netif->mtu,
        .address = {(uint8_t)(ip >> 24), (uint8_t)(ip >> 16), (uint8_t)(ip >> 8), (uint8_t)ip},
        .buffers = pool->count,
        .available = pool->available,
        .lowest = pool->lowest,
    };
}

int apps_start(const struct status_source *source)
{
    status_use(source);
    return echo_start() == 0 && iperf_start() == 0 && http_start() == 0 ? 0 : -1;
}
