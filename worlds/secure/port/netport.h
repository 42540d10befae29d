/* SPDX-License-Identifier: MIT */
/* netport.h - what the port of every IP stack shares: how frames come in under a budget, how what was sent goes out,
 * when the link is up. A stack's own file has three hooks and its send.
 *
 *     guard --length--> allocate --room--> guard: one copy, checked --buffer--> deliver
 *
 * Inline: with constant hooks the compiler calls them directly. */
#ifndef ISTHMUS_NETPORT_H
#define ISTHMUS_NETPORT_H

#include "budget.h"
#include "filter.h"
#include "isthmus.h"

/* `stack` is what the port passes to netport_receive(). */
struct netport_hooks {
    /* A buffer for exactly `length` bytes in one piece, *room set to where they go; NULL: none left, the frame is
     * dropped and counted, and what stands behind it is not held up. */
    void *(*allocate)(void *stack, ist_u32 length, void **room);
    /* The copy was refused: the buffer goes back. */
    void (*discard)(void *stack, void *buffer);
    /* Gives the filled buffer to the stack, which owns it from then on, whatever it makes of it. `meta`: zeros, unless
     * this world offers IST_FEATURE_OFFLOAD. */
    void (*deliver)(void *stack, void *buffer, const struct ist_meta *meta);
};

/* Frames on the wire of a channel carry this much beyond the MTU. */
#define NETPORT_HEADER 14u

/* May a stack with this MTU use this channel? A frame of it that would not fit is a mistake of the configuration. */
static inline int netport_fits(const struct ist_config *c, ist_u32 mtu)
{
    return mtu != 0 && mtu == c->mtu && mtu + NETPORT_HEADER <= c->frame_max;
}

/* Receives frames until `frames` or `bytes` are used up, or nothing more may be taken now. A refused frame costs budget
 * too, that of this call and that over time. *work counts frames, refused ones included. Returns why it stopped: OK
 * (budget used up: there may be more), EMPTY, DOWN or BUDGET. */
static inline __attribute__((__always_inline__)) enum ist_verdict
netport_receive(struct ist_endpoint *ep, const struct netport_hooks *hooks, void *stack, struct budget *budget, ist_u64 now,
                ist_u32 frames, ist_u32 bytes, ist_u32 *work)
{
    struct ist_frame f;

    for (*work = 0; *work < frames; ++*work) {
        enum ist_verdict v = budget_open(budget, now) ? ist_peek(ep, now, &f) : IST_V_BUDGET;
        void *buffer, *room;
        budget->exhausted += v == IST_V_BUDGET;
        if (v == IST_V_EMPTY || v == IST_V_DOWN || v == IST_V_BUDGET)
            return v;
        budget_spend(budget, now, v == IST_V_OK ? f.length : 0);
        if (v != IST_V_OK)
            continue;
        buffer = hooks->allocate(stack, f.length, &room);
        if (!buffer)
            ist_drop(ep, IST_V_NO_BUFFER);
        else if (ist_take(ep, room) != IST_V_OK)
            hooks->discard(stack, buffer);
        else
            hooks->deliver(stack, buffer, &f.meta);
        if (f.length >= bytes) {
            ++*work;
            break;
        }
        bytes -= f.length;
    }
    return IST_V_OK;
}

/* A lane as a port serves it. */
struct netport_lane {
    struct ist_endpoint *ep;
    struct budget budget;   /* over time; zeros: none */
    struct ist_filter *out; /* what may leave by it; NULL: anything by the bulk lane, nothing by another */
    void *stack;            /* what its hooks are passed: its receive buffers are its own */
    enum ist_verdict last;  /* why nothing more was taken of it; EMPTY alone asks for a doorbell before sleeping */
};

/* netport_receive() over all lanes of a channel, lane[0] the bulk lane: before each frame every higher lane is looked at
 * first. EMPTY: all are empty. BUDGET: some lane has to wait for its next period; those whose `last` is EMPTY need not. */
static inline enum ist_verdict netport_receive_lanes(struct netport_lane *lane, ist_u32 lanes,
                                                     const struct netport_hooks *hooks, ist_u64 now, ist_u32 frames,
                                                     ist_u32 bytes, ist_u32 *work)
{
    for (*work = 0; *work < frames; ++*work) {
        enum ist_verdict all = IST_V_EMPTY;
        ist_u32 k = lanes, one = 0;

        while (one == 0 && k-- > 0) {
            struct netport_lane *l = &lane[k];
            const ist_u64 before = l->ep->rx.bytes;

            l->last = netport_receive(l->ep, hooks, l->stack, &l->budget, now, 1, bytes, &one);
            if (l->last != IST_V_EMPTY && all != IST_V_DOWN)
                all = l->last;
            if (l->ep->rx.bytes - before >= bytes) {
                ++*work;
                return IST_V_OK;
            }
            bytes -= (ist_u32)(l->ep->rx.bytes - before);
        }
        if (one == 0)
            return all;
    }
    return IST_V_OK;
}

/* The lane by which a frame goes that begins with `head`: the highest whose table admits it, else the bulk lane. */
static inline ist_u32 netport_lane_of(const struct netport_lane *lane, ist_u32 lanes, const void *head, ist_u32 length,
                                      ist_u64 now)
{
    static const struct ist_meta none;
    ist_u32 k = lanes - 1u;

    while (k > 0 && (!lane[k].out || ist_filter_judge(lane[k].out, head, length, &none, now) != IST_V_OK))
        k--;
    return k;
}

/* May a frame leave that begins with `head` (IST_FILTER_HEAD bytes, or all of it)? Judged before it is copied: what lies
 * in the ring is never read back. `out` NULL: whatever it is. */
static inline int netport_admits(struct ist_endpoint *ep, struct ist_filter *out, const void *head, ist_u32 length,
                                 ist_u64 now)
{
    static const struct ist_meta none;

    if (!out || ist_filter_judge(out, head, length, &none, now) == IST_V_OK)
        return 1;
    ep->count[IST_V_EGRESS]++;
    return 0;
}

/* Publishes what was sent since the last call, once per batch. True: ring the peer's doorbell. */
static inline int netport_flush(struct ist_endpoint *ep)
{
    const int ring = ist_publish(ep);

    return ist_rx_bell(ep) || ring;
}

/* The link is up in RUN alone. `up`: what the stack was told last. True: tell it anew. */
static inline int netport_link_moved(enum ist_state state, int up)
{
    return (state == IST_RUN) != (up != 0);
}

#endif
