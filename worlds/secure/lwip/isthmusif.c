/* SPDX-License-Identifier: MIT */
#include "isthmusif.h"

#include <string.h>

#include "lwip/etharp.h"
#include "lwip/priv/tcp_priv.h"
#include "lwip/snmp.h"
#include "netif/ethernet.h"
#include "partial.h"

/* What lwIP's sanity checks would say, less the one about PBUF_POOL. */
_Static_assert(MEMP_NUM_TCP_SEG >= TCP_SND_QUEUELEN, "segments for one full queue");
_Static_assert(TCP_SND_BUF >= 2 * TCP_MSS, "two segments in flight");
_Static_assert(TCP_SND_QUEUELEN >= 2 * (TCP_SND_BUF / 1460), "a queue of full segments of a 1500-byte MTU");
_Static_assert(TCP_WND <= 0xffff << TCP_RCV_SCALE && TCP_WND >> TCP_RCV_SCALE > 0, "the window fits its scale");

#define TCP_HEADERS (SIZEOF_ETH_HDR + 60u + 60u) /* the longest of each */

static u16_t long_payload; /* of the one netif there is (LWIP_SINGLE_NETIF); 0: no frames beyond the MTU */

static struct isthmusif *of(const struct netif *netif)
{
    return netif->state;
}

ist_u32 isthmusif_frame_max(const struct netif *netif, ist_u32 lane)
{
    const ist_u32 ordinary = netif->mtu + SIZEOF_ETH_HDR, longest = long_payload + TCP_HEADERS;
    const ist_u32 ours = long_payload && longest > ordinary ? longest : ordinary;
    const ist_u32 most = of(netif)->lane[lane].ep->config.frame_max;

    return ours < most ? ours : most;
}

void isthmusif_long_segments(struct tcp_pcb *pcb)
{
    const unsigned pieces = long_payload / pcb->mss;

    if (pieces < 2)
        return;
    pcb->mss = (u16_t)(pcb->mss * pieces); /* whole segments of the path, so that the peer can cut it again */
    if (pcb->cwnd < 2u * pcb->mss)
        pcb->cwnd = 2u * pcb->mss; /* a window below one segment would never let it out */
}

/* The lane by which the frame leaves; negative: it may not. */
static int lane_of(const struct isthmusif *i, struct pbuf *p)
{
    ist_u8 head[IST_FILTER_HEAD];
    ist_u32 k;

    if (i->lanes == 1 && i->lane[0].out == NULL)
        return 0;
    pbuf_copy_partial(p, head, sizeof head, 0);
    k = netport_lane_of(i->lane, i->lanes, head, p->tot_len, i->now());
    if (p->tot_len > i->lane[k].ep->config.frame_max)
        k = 0; /* segments in one piece are for the bulk lane */
    if (k == 0 && !netport_admits(i->lane[0].ep, i->lane[0].out, head, p->tot_len, i->now()))
        return -1;
    return (int)k;
}

/* Gathers the chain into the ring: one copy, no buffer between. A full ring pushes back: TCP keeps the segment. */
static err_t output(struct netif *netif, struct pbuf *p)
{
    struct isthmusif *i = of(netif);
    const int lane = lane_of(i, p);
    struct ist_endpoint *ep;
    struct ist_meta room;
    enum ist_verdict v;

    if (lane < 0)
        return ERR_RTE;
    ep = i->lane[lane].ep;
    v = ist_reserve(ep, p->tot_len, partial_describe(netif, p, &room));
    for (const struct pbuf *q = p; v == IST_V_OK && q != NULL; q = q->next) {
        v = ist_append(ep, q->payload, q->len);
        if (q->len == q->tot_len)
            break;
    }
    if (v == IST_V_OK)
        v = ist_commit(ep, p->tot_len);
    switch (v) {
    case IST_V_OK:
        return ERR_OK;
    case IST_V_FULL:
        i->blocked |= 1u << lane;
        return ERR_BUF;
    case IST_V_DOWN:
        return ERR_CONN;
    default:
        ist_cancel(ep);
        return ERR_IF;
    }
}

static void *allocate(void *stack, ist_u32 length, void **room)
{
    struct isthmusif_buffers *b = stack;
    struct pbuf *p = rxpool_get(&b->small, length);

    if (p == NULL)
        p = rxpool_get(&b->pool, length);
    if (p != NULL)
        *room = p->payload;
    return p;
}

static void discard(void *stack, void *buffer)
{
    (void)stack;
    pbuf_free(buffer);
}

static void deliver(void *stack, void *buffer, const struct ist_meta *meta)
{
    const struct isthmusif_buffers *b = stack;
    struct netif *netif = b->netif;
    const struct pbuf *p = buffer;

    if (of(netif)->valid != NULL)
        of(netif)->valid(p->payload, p->len);
    if (partial_input(netif, buffer, meta) != ERR_OK)
        pbuf_free(buffer);
}

enum ist_verdict isthmusif_receive(struct netif *netif, ist_u64 now, ist_u32 frames, ist_u32 bytes, ist_u32 *work)
{
    static const struct netport_hooks hooks = {allocate, discard, deliver};
    struct isthmusif *i = of(netif);
    struct netport_lane *bulk = &i->lane[0];

    if (i->lanes > 1)
        return netport_receive_lanes(i->lane, i->lanes, &hooks, now, frames, bytes, work);
    return bulk->last = netport_receive(bulk->ep, &hooks, bulk->stack, &bulk->budget, now, frames, bytes, work);
}

ist_u32 isthmusif_flush(struct netif *netif)
{
    const struct isthmusif *i = of(netif);
    ist_u32 ring = 0;

    for (ist_u32 k = 0; k < i->lanes; k++)
        ring |= (ist_u32)(netport_flush(i->lane[k].ep) != 0) << k;
    return ring;
}

void isthmusif_unblock(struct netif *netif)
{
    struct isthmusif *i = of(netif);
    ist_u32 freed = 0;

    if (i->blocked == 0)
        return;
    for (ist_u32 k = 0; i->blocked >> k != 0; k++)
        if ((i->blocked >> k & 1u) != 0 && ist_room(i->lane[k].ep) >= isthmusif_frame_max(netif, k))
            freed |= 1u << k;
    i->blocked &= ~freed;
    for (struct tcp_pcb *pcb = tcp_active_pcbs, *next; pcb != NULL && freed != 0; pcb = next) {
        freed &= ~i->blocked; /* full again */
        next = pcb->next;
        if (pcb->unsent != NULL)
            tcp_output(pcb);
    }
}

void isthmusif_link(struct netif *netif, enum ist_state state)
{
    const struct isthmusif *i = of(netif);
    ist_u32 agreed = IST_FEATURE_OFFLOAD;

    if (!netport_link_moved(state, netif_is_link_up(netif)))
        return;
    if (state == IST_RUN) {
        for (ist_u32 k = 0; k < i->lanes; k++)
            agreed &= i->lane[k].ep->agreed;
        partial_use(netif, agreed != 0);
        netif_set_link_up(netif); /* announces us with a gratuitous ARP */
    } else {
        netif_set_link_down(netif);
    }
    of(netif)->blocked = 0;
}

err_t isthmusif_init(struct netif *netif)
{
    struct isthmusif *i = of(netif);
    const ist_u32 most = i->lane[0].ep->config.frame_max,
                  longest = most < ISTHMUS_LWIP_LONG_FRAME ? most : ISTHMUS_LWIP_LONG_FRAME;

    if (!netport_fits(&i->lane[0].ep->config, i->mtu))
        return ERR_ARG;
    for (ist_u32 k = 0; k < i->lanes; k++) {
        i->buffers[k].netif = netif;
        i->lane[k].stack = &i->buffers[k];
    }
    long_payload = (u16_t)(longest > i->mtu + TCP_HEADERS ? longest - TCP_HEADERS : 0);
    netif->name[0] = 'i';
    netif->name[1] = 's';
    netif->output = etharp_output;
    netif->linkoutput = output;
    netif->mtu = i->mtu;
    netif->hwaddr_len = sizeof i->mac;
    memcpy(netif->hwaddr, i->mac, sizeof i->mac);
    netif->flags = NETIF_FLAG_BROADCAST | NETIF_FLAG_ETHARP | NETIF_FLAG_ETHERNET;
    return ERR_OK;
}
