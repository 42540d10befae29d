/* SPDX-License-Identifier: MIT */
/* packed.c - the bound `ideal.packed`: the record form of the channel without its checks.
 *
 * 16-byte header, records 16-aligned and contiguous (one may run on into the overrun area), free-running cursors on
 * lines of their own, the peer's cursor cached, the tail told once a quarter of the ring is consumed. */
#include "rings.h"

#define HEADER 16u

struct port {
    struct lane *tx, *rx;
    uint32_t size, quarter;
    uint32_t tx_head, tx_tail; /* own, and the peer's as last seen */
    uint32_t rx_tail, rx_head, rx_told;
    uint32_t sequence;
};

static uint64_t data_bytes(const struct run *r) { return r->opt.ring_bytes + HEADER + FRAME_ROOM; }

static int prepare(struct run *r, const char **why) { return lanes_make(r, data_bytes(r), why); }

static void port_open(struct port *p, struct run *r, int end)
{
    p->tx = lane_of(r, end, data_bytes(r));
    p->rx = lane_of(r, !end, data_bytes(r));
    lanes_touch(r, end, data_bytes(r));
    p->size = r->opt.ring_bytes;
    p->quarter = p->size / 4u;
}

static inline int port_send(struct port *p, const void *frame, uint32_t n)
{
    const uint32_t need = HEADER + ((n + 15u) & ~15u);
    if (p->tx_head - p->tx_tail + need > p->size) {
        p->tx_tail = load(&p->tx->tail);
        if (p->tx_head - p->tx_tail + need > p->size)
            return 0;
    }
    unsigned char *record = p->tx->data + (p->tx_head & (p->size - 1u));
    const uint32_t header[4] = {n, p->sequence++, 0, 0};
    memcpy(record, header, HEADER);
    copy_frame(record + HEADER, frame, n);
    p->tx_head += need;
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
    const unsigned char *record = p->rx->data + (p->rx_tail & (p->size - 1u));
    uint32_t n;
    memcpy(&n, record, sizeof n);
    copy_frame(frame, record + HEADER, n);
    p->rx_tail += HEADER + ((n + 15u) & ~15u);
    if (p->rx_tail - p->rx_told >= p->quarter) {
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

#define CASE case_packed
#define CASE_NAME "ideal.packed"
#include "traffic.h"
