/* SPDX-License-Identifier: MIT */
#define _GNU_SOURCE
#include "packetif.h"

#include <errno.h>
#include <string.h>
#include <sys/uio.h>

#include "lwip/etharp.h"
#include "netif/ethernet.h"
#include "packetfd.h"

#define PIECES_MAX 64 /* of a chain; a longer one is copied together first */

static err_t output(struct netif *netif, struct pbuf *p)
{
    static const uint8_t no_offload[PACKET_HEADER_MAX];
    const struct packetif *i = netif->state;
    struct iovec v[PIECES_MAX + 1];
    int n = 0;
    ssize_t done;

    if (i->header > 0)
        v[n++] = (struct iovec){(void *)(uintptr_t)no_offload, i->header};
    for (const struct pbuf *q = p; q != NULL; q = q->next) {
        if (n > PIECES_MAX)
            return ERR_BUF;
        v[n++] = (struct iovec){q->payload, q->len};
        if (q->len == q->tot_len)
            break;
    }
    do
        done = writev(i->fd, v, n);
    while (done < 0 && errno == EINTR);
    return done < 0 ? ERR_BUF : ERR_OK;
}

uint32_t packetif_receive(struct netif *netif, uint32_t frames, uint32_t bytes)
{
    static uint8_t spilled[65536]; /* what the device hands over when no buffer is free */
    struct packetif *i = netif->state;
    uint8_t header[PACKET_HEADER_MAX];
    uint32_t done = 0;

    while (done < frames) {
        struct pbuf *p = rxpool_get(&i->pool, i->pool.room);
        struct iovec v[2] = {{header, i->header}, {p != NULL ? p->payload : spilled, i->pool.room}};
        ssize_t n = readv(i->fd, v, 2);
        if (n <= (ssize_t)i->header) {
            if (p != NULL)
                pbuf_free(p);
            if (n < 0 && errno == EINTR)
                continue;
            i->gone = n == 0 || (n < 0 && (errno == EBADFD || errno == EBADF));
            break;
        }
        done++;
        n -= (ssize_t)i->header;
        if (p != NULL) {
            pbuf_realloc(p, (u16_t)n);
            if (netif->input(p, netif) != ERR_OK)
                pbuf_free(p);
        }
        if ((uint32_t)n >= bytes)
            break;
        bytes -= (uint32_t)n;
    }
    return done;
}

err_t packetif_init(struct netif *netif)
{
    const struct packetif *i = netif->state;

    netif->name[0] = 'p';
    netif->name[1] = 'k';
    netif->output = etharp_output;
    netif->linkoutput = output;
    netif->mtu = i->mtu;
    netif->hwaddr_len = sizeof i->mac;
    memcpy(netif->hwaddr, i->mac, sizeof i->mac);
    netif->flags = NETIF_FLAG_BROADCAST | NETIF_FLAG_ETHARP | NETIF_FLAG_ETHERNET | NETIF_FLAG_LINK_UP;
    return ERR_OK;
}
