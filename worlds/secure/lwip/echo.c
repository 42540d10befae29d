/* SPDX-License-Identifier: MIT */
/* echo.c - RFC 862 over UDP and TCP.
 *
 * TCP: what the send buffer does not take is held, and its bytes are acknowledged to the window only when they have
 * gone out: a peer that does not read stops being read. What is held is bounded in pbufs too, since a segment of one
 * byte takes a whole receive buffer. */
#include "apps.h"
#include "lwip/tcp.h"
#include "lwip/udp.h"

#define ECHO_PORT 7
#define CONNECTIONS 8u    /* the rest of the pcbs is for httpd and lwiperf */
#define HELD_MAX (TCP_WND / 1024u) /* pbufs a connection may hold: a window of full segments. A power of two. */
#define POLL_HALF_SECONDS 4
#define IDLE_POLLS_MAX 60 /* x 2 s: a connection that carries nothing for two minutes is ended */

struct conn {
    struct pbuf *held[HELD_MAX]; /* chains; a FIFO. Not one chain: its length would have only 16 bits. */
    uint32_t first, count;
    uint32_t pieces; /* pbufs in all of them */
    uint16_t idle;
    uint8_t closing; /* the peer has finished; we do once all is out */
    uint8_t used;
};

static struct conn conns[CONNECTIONS];
static struct {
    uint64_t datagrams, udp_bytes, connections, tcp_bytes;
} count;

/* ---- UDP ---------------------------------------------------------------------------------------------------- */

static void on_datagram(void *arg, struct udp_pcb *pcb, struct pbuf *p, const ip_addr_t *from, u16_t port)
{
    u16_t length = p->tot_len;

    (void)arg;
    if (udp_sendto(pcb, p, from, port) == ERR_OK) {
        count.datagrams++;
        count.udp_bytes += length;
    }
    pbuf_free(p);
}

/* ---- TCP ---------------------------------------------------------------------------------------------------- */

static void release(struct conn *c)
{
    while (c->count > 0) {
        pbuf_free(c->held[c->first++ % HELD_MAX]);
        c->count--;
    }
    c->first = c->pieces = 0;
    c->used = c->closing = 0;
    c->idle = 0;
}

static void forget(struct tcp_pcb *pcb)
{
    tcp_arg(pcb, NULL);
    tcp_recv(pcb, NULL);
    tcp_sent(pcb, NULL);
    tcp_poll(pcb, NULL, 0);
    tcp_err(pcb, NULL);
}

/* Writes as much of what is held as fits. ERR_ABRT if the connection had to be ended. */
static err_t pump(struct tcp_pcb *pcb, struct conn *c)
{
    while (c->count > 0) {
        struct pbuf **slot = &c->held[c->first % HELD_MAX], *p = *slot;

        if (p->len > 0 && tcp_write(pcb, p->payload, p->len, TCP_WRITE_FLAG_COPY) != ERR_OK)
            break; /* no room: on_sent or on_poll come back to it */
        count.tcp_bytes += p->len;
        tcp_recved(pcb, p->len);
        *slot = p->next;
        c->pieces--;
        if (p->next != NULL) {
            pbuf_ref(p->next); /* it outlives the head of its chain */
        } else {
            c->first++;
            c->count--;
        }
        pbuf_free(p);
    }
    if (c->closing && c->count == 0) {
        forget(pcb);
        release(c);
        if (tcp_close(pcb) != ERR_OK) {
            tcp_abort(pcb);
            return ERR_ABRT;
        }
        return ERR_OK;
    }
    tcp_output(pcb);
    return ERR_OK;
}

static err_t on_segment(void *arg, struct tcp_pcb *pcb, struct pbuf *p, err_t err)
{
    struct conn *c = arg;

    (void)err;
    c->idle = 0;
    if (p == NULL) {
        c->closing = 1;
    } else {
        u16_t pieces = pbuf_clen(p);
        if (c->pieces + pieces > HELD_MAX)
            return ERR_MEM; /* lwIP keeps this one and refuses what follows until we take it */
        c->pieces += pieces;
        c->held[(c->first + c->count++) % HELD_MAX] = p;
    }
    return pump(pcb, c);
}

static err_t on_sent(void *arg, struct tcp_pcb *pcb, u16_t length)
{
    struct conn *c = arg;

    (void)length;
    c->idle = 0;
    return pump(pcb, c);
}

static err_t on_poll(void *arg, struct tcp_pcb *pcb)
{
    struct conn *c = arg;

    if (++c->idle > IDLE_POLLS_MAX) {
        forget(pcb);
        release(c);
        tcp_abort(pcb);
        return ERR_ABRT;
    }
    return pump(pcb, c);
}

static void on_error(void *arg, err_t err)
{
    (void)err;
    release(arg);
}

static err_t on_accept(void *arg, struct tcp_pcb *pcb, err_t err)
{
    struct conn *c = NULL;

    (void)arg;
    if (err != ERR_OK || pcb == NULL)
        return ERR_VAL;
    for (unsigned i = 0; i < CONNECTIONS && c == NULL; i++)
        if (!conns[i].used)
            c = &conns[i];
    if (c == NULL)
        return ERR_MEM; /* lwIP aborts it */
    c->used = 1;
    count.connections++;
    tcp_arg(pcb, c);
    tcp_recv(pcb, on_segment);
    tcp_sent(pcb, on_sent);
    tcp_poll(pcb, on_poll, POLL_HALF_SECONDS);
    tcp_err(pcb, on_error);
    tcp_nagle_disable(pcb);
    return ERR_OK;
}

int echo_start(void)
{
    struct udp_pcb *udp = udp_new();
    struct tcp_pcb *tcp = tcp_new();

    if (udp == NULL || tcp == NULL || udp_bind(udp, IP_ADDR_ANY, ECHO_PORT) != ERR_OK ||
        tcp_bind(tcp, IP_ADDR_ANY, ECHO_PORT) != ERR_OK)
        return -1;
    udp_recv(udp, on_datagram, NULL);
    tcp_setprio(tcp, TCP_PRIO_MIN);
    tcp = tcp_listen(tcp);
    if (tcp == NULL)
        return -1;
    tcp_accept(tcp, on_accept);
    return 0;
}

void echo_json(struct text *t)
{
    text_open(t, "udp_echo");
    text_member(t, "datagrams", count.datagrams);
    text_member(t, "bytes", count.udp_bytes);
    text_close(t);
    text_open(t, "tcp_echo");
    text_member(t, "connections", count.connections);
    text_member(t, "bytes", count.tcp_bytes);
    text_close(t);
}
