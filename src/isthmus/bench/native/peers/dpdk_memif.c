/* SPDX-License-Identifier: MIT */
/* dpdk_memif.c - the peer `dpdk-net_memif`: two DPDK processes that share nothing but memif's rings. */
#include "dpdk.h"

#include <rte_ethdev.h>

struct port {
    struct run *run;
    int end;
    uint16_t id;
    struct rte_mempool *pool;
    unsigned waiting, from, till;
    struct rte_mbuf *send[BURST], *got[BURST];
};

static int prepare(struct run *r, const char **why)
{
    static char name[64];
    (void)why;
    snprintf(name, sizeof name, "isthmus-bench-%ld", (long)getpid());
    r->shared = name;
    return 0;
}

static unsigned log2_of(uint32_t n)
{
    unsigned bits = 0;
    while (1u << bits < n)
        bits++;
    return bits;
}

static void port_open(struct port *p, struct run *r, int end)
{
    const struct rte_eth_conf conf = {0};
    struct rte_eth_link link = {0};
    char device[192];

    memset(p, 0, sizeof *p);
    p->run = r;
    p->end = end;
    snprintf(device, sizeof device, "--vdev=net_memif0,role=%s,socket=%s,socket-abstract=yes,rsize=%u,bsize=%u",
             end ? "client" : "server", (const char *)r->shared, log2_of(r->opt.slots), ROOM);
    if (end == 1)
        wait_for_other(r, end); /* the server listens before the client calls */
    environment(r, end, (const char *const[3]){"--no-huge", "--no-shconf", device});
    p->pool = rte_pktmbuf_pool_create("frames", BUFFERS, 256, 0, ROOM + RTE_PKTMBUF_HEADROOM, SOCKET_ID_ANY);
    if (!p->pool || rte_eth_dev_get_port_by_name("net_memif0", &p->id) != 0)
        fail(r, end, "no memif: %s", rte_strerror(rte_errno));
    if (rte_eth_dev_configure(p->id, 1, 1, &conf) != 0 ||
        rte_eth_rx_queue_setup(p->id, 0, (uint16_t)r->opt.slots, SOCKET_ID_ANY, NULL, p->pool) != 0 ||
        rte_eth_tx_queue_setup(p->id, 0, (uint16_t)r->opt.slots, SOCKET_ID_ANY, NULL) != 0 || rte_eth_dev_start(p->id) != 0)
        fail(r, end, "memif does not start: %s", rte_strerror(rte_errno));
    if (end == 0)
        tell(r, end);
    for (const uint64_t give_up = now_ns() + 5000000000u; link.link_status != RTE_ETH_LINK_UP; usleep(1000)) {
        if (now_ns() > give_up)
            fail(r, end, "memif's two ends did not connect");
        if (rte_eth_link_get_nowait(p->id, &link) != 0)
            fail(r, end, "memif has no link state");
    }
}

static inline void port_publish(struct port *p)
{
    unsigned done = 0;
    while (done < p->waiting)
        done += rte_eth_tx_burst(p->id, 0, p->send + done, (uint16_t)(p->waiting - done));
    p->waiting = 0;
}

static inline int port_send(struct port *p, const void *frame, uint32_t n)
{
    struct rte_mbuf *m = rte_pktmbuf_alloc(p->pool);
    if (!m)
        return 0;
    memcpy(rte_pktmbuf_append(m, (uint16_t)n), frame, n);
    p->send[p->waiting++] = m;
    if (p->waiting == BURST)
        port_publish(p);
    return 1;
}

static inline uint32_t port_receive(struct port *p, void *frame)
{
    if (p->from == p->till) {
        p->from = 0;
        p->till = rte_eth_rx_burst(p->id, 0, p->got, BURST);
        if (p->till == 0)
            return 0;
    }
    struct rte_mbuf *m = p->got[p->from++];
    const uint32_t n = m->data_len;
    memcpy(frame, rte_pktmbuf_mtod(m, const void *), n);
    rte_pktmbuf_free(m);
    return n;
}

static inline void port_wait_room(struct port *p) { (void)p, relax(); }
static inline void port_wait_frame(struct port *p) { (void)p, relax(); }

#define CASE case_dpdk_memif
#define CASE_NAME "dpdk-net_memif"
#include "traffic.h"

const struct bench_case *const cases[] = {&case_dpdk_memif, 0};
