/* SPDX-License-Identifier: MIT */
#include "isthmusif.h"

#include <string.h>

#include "lwip/etharp.h"
#include "lwip/priv/tcp_priv.h"
#include "lwip/snmp.h"
#include "netif/ethernet.h"
#include "netport.h"

/* What lwIP's sanity checks would say, less the one about PBUF_POOL. */
_Static_assert(MEMP_NUM_TCP_SEG >= TCP_SND_QUEUELEN, "segments for one full queue");
_Static_assert(TCP_SND_BUF >= 2 * TCP_MSS, "two segments in flight");
_Static_assert(TCP_SND_QUEUELEN >= 2 * (TCP_SND_BUF / 1460), "a queue of full segments of a 1500-byte MTU");
_Static_assert(TCP_WND <= 0xffff << TCP_RCV_SCALE && TCP_WND >> TCP_RCV_SCALE > 0, "the window fits its scale");

static struct isthmusif *of(const struct netif *netif)
{
    return netif->state;
}

ist_u32 isthmusif_frame_max(const struct netif *netif)
{
    return netif->mtu + SIZEOF_ETH_HDR;
}

static int admitted(const struct isthmusif *i, struct pbuf *p)
{
    ist_u8 head[IST_FILTER_HEAD];

    if (i->out == NULL)
        return 1;
    pbuf_copy_partial(p, head, sizeof head, 0);
    return netport_admits(i->ep, i->out, head, p->tot_len, i->now());
}

/* Gathers the chain into the ring: one copy, no buffer between. A full ring pushes back: TCP keeps the segment. */
static err_t output(struct netif *netif, struct pbuf *p)
{
    struct isthmusif *i = of(netif);
    enum ist_verdict v;

    if (!admitted(i, p))
        return ERR_RTE;
    v = ist_reserve(i->ep, p->tot_len, NULL);

    for (const struct pbuf *q = p; v == IST_V_OK && q != NULL; q = q->next) {
        v = ist_append(i->ep, q->payload, q->len);
        if (q->len == q->tot_len)
            break;
    }
    if (v == IST_V_OK)
        v = ist_commit(i->ep, p->tot_len);
    switch (v) {
    case IST_V_OK:
        return ERR_OK;
    case IST_V_FULL:
        i->blocked = 1;
        return ERR_BUF;
    case IST_V_DOWN:
        return ERR_CONN;
    default:
        ist_cancel(i->ep);
        return ERR_IF;
    }
}

static void *allocate(void *stack, ist_u32 length, void **room)
{
    struct isthmusif *i = of(stack);
    struct pbuf *p = rxpool_get(&i->small, length);

    if (p == NULL)
        p = rxpool_get(&i->pool, length);
    if (p != NULL)
        *room = p->payload;
    return p;
}

static void discard(void *stack, void *buffer)
{
    (void)stack;
    pbuf_free(buffer);
}

static void deliver(void *stack, void *buffer)
{
    struct netif *netif = stack;
    const struct pbuf *p = buffer;

    if (of(netif)->valid != NULL)
        of(netif)->valid(p->payload, p->len);
    if (netif->input(buffer, netif) != ERR_OK)
        pbuf_free(buffer);
}

enum ist_verdict isthmusif_receive(struct netif *netif, ist_u64 now, ist_u32 frames, ist_u32 bytes, ist_u32 *work)
{
    static const struct netport_hooks hooks = {allocate, discard, deliver};

    return netport_receive(of(netif)->ep, &hooks, netif, &of(netif)->budget, now, frames, bytes, work);
}

int isthmusif_flush(struct netif *netif)
{
    return netport_flush(of(netif)->ep);
}

void isthmusif_unblock(struct netif *netif)
{
    struct isthmusif *i = of(netif);

    if (!i->blocked || ist_room(i->ep) < isthmusif_frame_max(netif))
        return;
    i->blocked = 0;
    for (struct tcp_pcb *pcb = tcp_active_pcbs, *next; pcb != NULL && !i->blocked; pcb = next) {
        next = pcb->next;
        if (pcb->unsent != NULL)
            tcp_output(pcb);
    }
}

void isthmusif_link(struct netif *netif, enum ist_state state)
{
    if (!netport_link_moved(state, netif_is_link_up(netif)))
        return;
    if (state == IST_RUN)
        netif_set_link_up(netif); /* announces us with a gratuitous ARP */
    else
        netif_set_link_down(netif);
    of(netif)->blocked = 0;
}

err_t isthmusif_init(struct netif *netif)
{
    const struct isthmusif *i = of(netif);

    if (!netport_fits(&i->ep->config, i->mtu))
        return ERR_ARG;
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
