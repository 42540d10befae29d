/* SPDX-License-Identifier: MIT */
/* slots.c - the bound `ideal.slots`: fixed slots, index lines apart, the peer's index cached. */
#include "rings.h"

#define HEADER 16u

struct port {
    struct lane *tx, *rx;
    uint32_t slots, stride;
    uint32_t tx_head, tx_tail;
    uint32_t rx_tail, rx_head, rx_told;
};

/* Slots start on lines of their own and hold the header and one frame of this run. */
static uint32_t stride(const struct run *r)
{
    const uint32_t need = HEADER + r->opt.frame;
    return need <= 2048u ? 2048u : (need + LINE - 1u) & ~(LINE - 1u);
}

static uint64_t data_bytes(const struct run *r) { return (uint64_t)r->opt.slots * stride(r); }

static int prepare(struct run *r, const char **why) { return lanes_make(r, data_bytes(r), why); }

static void port_open(struct port *p, struct run *r, int end)
{
    p->tx = lane_of(r, end, data_bytes(r));
    p->rx = lane_of(r, !end, data_bytes(r));
    lanes_touch(r, end, data_bytes(r));
    p->slots = r->opt.slots;
    p->stride = stride(r);
}

static inline int port_send(struct port *p, const void *frame, uint32_t n)
{
    if (p->tx_head - p->tx_tail == p->slots) {
        p->tx_tail = load(&p->tx->tail);
        if (p->tx_head - p->tx_tail == p->slots)
            return 0;
    }
    unsigned char *slot = p->tx->data + (uint64_t)(p->tx_head & (p->slots - 1u)) * p->stride;
    memcpy(slot, &n, sizeof n);
    copy_frame(slot + HEADER, frame, n);
    p->tx_head++;
    return 1;
}

static inline void port_publish(struct port *p) { store(&p->tx->head, p->tx_head); }

static inline uint32_t port_receive(struct port *p, void *frame)
{
    if (p->rx_tail == p->rx_head) {
        p->rx_head = load(&p->rx->head);
        if (p->rx_tail == p->rx_head)
            return 0;
    }
    const unsigned char *slot = p->rx->data + (uint64_t)(p->rx_tail & (p->slots - 1u)) * p->stride;
    uint32_t n;
    memcpy(&n, slot, sizeof n);
    copy_frame(frame, slot + HEADER, n);
    if (++p->rx_tail - p->rx_told >= p->slots / 4u) {
        p->rx_told = p->rx_tail;
        store(&p->rx->tail, p->rx_tail);
    }
    return n;
}

static inline void port_wait_room(struct port *p)
{
    (void)p;
    relax();
}

static inline void port_wait_frame(struct port *p)
{
    (void)p;
    relax();
}

#define CASE case_slots
#define CASE_NAME "ideal.slots"
#include "traffic.h"
