/* SPDX-License-Identifier: MIT */
#include "partial.h"

#include "lwip/inet_chksum.h"
#include "lwip/prot/ethernet.h"
#include "lwip/prot/ip.h"
#include "lwip/prot/ip4.h"
#include "lwip/prot/tcp.h"
#include "lwip/prot/udp.h"

#define LEFT (NETIF_CHECKSUM_GEN_TCP | NETIF_CHECKSUM_GEN_UDP)
#define UNCHECKED (NETIF_CHECKSUM_CHECK_TCP | NETIF_CHECKSUM_CHECK_UDP)

void partial_use(struct netif *netif, int agreed)
{
    NETIF_SET_CHECKSUM_CTRL(netif, agreed ? NETIF_CHECKSUM_ENABLE_ALL & ~LEFT : NETIF_CHECKSUM_ENABLE_ALL);
}

/* lwIP's headers lie in the first pbuf, in one piece, and its IPv4 has no options. */
const struct ist_meta *partial_describe(const struct netif *netif, struct pbuf *p, struct ist_meta *room)
{
    const struct eth_hdr *eth = p->payload;
    const struct ip_hdr *ip = (const struct ip_hdr *)(const void *)(eth + 1);
    const u16_t start = SIZEOF_ETH_HDR + IP_HLEN;
    ip4_addr_t from, to;
    u16_t offset, sum;

    if ((netif->chksum_flags & LEFT) != 0 || p->len < start || eth->type != PP_HTONS(ETHTYPE_IP))
        return NULL;
    if (IPH_PROTO(ip) == IP_PROTO_TCP)
        offset = offsetof(struct tcp_hdr, chksum);
    else if (IPH_PROTO(ip) == IP_PROTO_UDP)
        offset = offsetof(struct udp_hdr, chksum);
    else
        return NULL;
    ip4_addr_copy(from, ip->src);
    ip4_addr_copy(to, ip->dest);
    sum = (u16_t)~inet_chksum_pseudo_partial(p, IPH_PROTO(ip), (u16_t)(lwip_ntohs(IPH_LEN(ip)) - IP_HLEN), 0, &from, &to);
    if (pbuf_take_at(p, &sum, sizeof sum, (u16_t)(start + offset)) != ERR_OK)
        return NULL;
    *room = (struct ist_meta){.flags = IST_FLAG_CSUM_PARTIAL, .csum_start = start, .csum_offset = offset};
    return room;
}

/* What lwIP sends meanwhile is not concerned: it asks for other flags. */
err_t partial_input(struct netif *netif, struct pbuf *p, const struct ist_meta *meta)
{
    const u16_t flags = netif->chksum_flags;
    err_t e;

    if ((meta->flags & IST_FLAG_CSUM_PARTIAL) != 0)
        NETIF_SET_CHECKSUM_CTRL(netif, flags & (u16_t)~UNCHECKED);
    e = netif->input(p, netif);
    NETIF_SET_CHECKSUM_CTRL(netif, flags);
    return e;
}
