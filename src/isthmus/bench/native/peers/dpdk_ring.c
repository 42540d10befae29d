/* SPDX-License-Identifier: MIT */
/* dpdk_ring.c - the peer `dpdk-rte_ring`: two DPDK processes, a pool of buffers in huge pages that both map, and a
 * ring of pointers each way, single producer and consumer. A frame is copied into a buffer and out of it. */
#include <stdlib.h>

#include "dpdk.h"

#include <rte_ring.h>

struct port {
    struct run *run;
    int end;
    struct rte_mempool *pool;
    struct rte_ring *out, *in;
    unsigned waiting, from, till; /* to send; received */
    struct rte_mbuf *send[BURST], *got[BURST];
    struct rte_mbuf *spare[BURST];
    unsigned spares;
};

static int prepare(struct run *r, const char **why)
{
    const char *huge = getenv("ISTHMUS_BENCH_HUGE");
    *why = "needs huge pages";
    r->shared = (void *)(uintptr_t)huge;
    return huge ? 0 : -1;
}

static void port_open(struct port *p, struct run *r, int end)
{
    static const char *const names[] = {"there", "back"};
    char folder[128];

    memset(p, 0, sizeof *p);
    p->run = r;
    p->end = end;
    snprintf(folder, sizeof folder, "--huge-dir=%s", (const char *)r->shared);
    if (end == 1)
        wait_for_other(r, end);
    environment(r, end, (const char *const[3]){end == 0 ? "--proc-type=primary" : "--proc-type=secondary", "-m32", folder});
    if (end == 0) {
        p->pool = rte_pktmbuf_pool_create("frames", BUFFERS, 256, 0, ROOM + RTE_PKTMBUF_HEADROOM, SOCKET_ID_ANY);
        for (int i = 0; i < 2; i++)
            if (!rte_ring_create(names[i], r->opt.slots, SOCKET_ID_ANY, RING_F_SP_ENQ | RING_F_SC_DEQ))
                fail(r, end, "no ring: %s", rte_strerror(rte_errno));
    } else {
        p->pool = rte_mempool_lookup("frames");
    }
    p->out = rte_ring_lookup(names[end]);
    p->in = rte_ring_lookup(names[!end]);
    if (!p->pool || !p->out || !p->in)
        fail(r, end, "no pool or ring: %s", rte_strerror(rte_errno));
    if (end == 0)
        tell(r, end);
}

static inline void port_publish(struct port *p)
{
    unsigned done = 0;
    while (done < p->waiting)
        done += rte_ring_sp_enqueue_burst(p->out, (void **)(p->send + done), p->waiting - done, NULL);
    p->waiting = 0;
}

static inline int port_send(struct port *p, const void *frame, uint32_t n)
{
    if (p->waiting == BURST)
        port_publish(p);
    if (p->spares == 0) {
        if (rte_pktmbuf_alloc_bulk(p->pool, p->spare, BURST) != 0)
            return 0;
        p->spares = BURST;
    }
    struct rte_mbuf *m = p->spare[--p->spares];
    memcpy(rte_pktmbuf_mtod(m, void *), frame, n);
    m->data_len = (uint16_t)n;
    m->pkt_len = n;
    p->send[p->waiting++] = m;
    return 1;
}

static inline uint32_t port_receive(struct port *p, void *frame)
{
    if (p->from == p->till) {
        p->from = 0;
        p->till = rte_ring_sc_dequeue_burst(p->in, (void **)p->got, BURST, NULL);
        if (p->till == 0)
            return 0;
    }
    struct rte_mbuf *m = p->got[p->from++];
    const uint32_t n = m->data_len;
    memcpy(frame, rte_pktmbuf_mtod(m, const void *), n);
    if (p->from == p->till)
        rte_pktmbuf_free_bulk(p->got, p->till);
    return n;
}

static inline void port_wait_room(struct port *p) { (void)p, relax(); }
static inline void port_wait_frame(struct port *p) { (void)p, relax(); }

#define CASE case_dpdk_ring
#define CASE_NAME "dpdk-rte_ring"
#include "traffic.h"

const struct bench_case *const cases[] = {&case_dpdk_ring, 0};
