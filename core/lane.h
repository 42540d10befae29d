/* SPDX-License-Identifier: MIT OR GPL-2.0 */
/* lane.h - several lanes in the two buffers of a channel, so that a flood in one stands before nothing in another.
 *
 * A lane is an endpoint of its own: control block, ring, budget, allow-list. Lane 0 is the bulk lane; a higher one comes
 * before a lower one. Each world's buffer holds them one behind the other:
 *
 *     control block | ring | overrun of lane 0    control block | ring | overrun of lane 1    ...
 *
 * All have the epoch and the key of their session, and one fate: the channel is up when every lane is, and a lane that
 * leaves RUN takes the others with it, since a peer that lies in one is not believed in another. What tells lanes apart is
 * where their sequence begins (IST_LANE_SHIFT): it is part of the geometry's digest, so neither side can take one lane for
 * another, and of what a tag covers, so no record of one passes in another. Lane 0 is, byte for byte, a channel without
 * lanes.
 *
 * Inline and loops over at most IST_LANES_MAX: who has one lane pays for none. Lanes are an array, `e[0]` the bulk lane. */
#ifndef ISTHMUS_LANE_H
#define ISTHMUS_LANE_H

#include "isthmus.h"

/* With a constant number of lanes, one above all, the loops are folded away, at -Os too. */
#define IST_FOLDED inline __attribute__((__always_inline__))

/* From the bulk lane's configuration, that of another: what is not given here is the same. */
static inline struct ist_config ist_lane_config(const struct ist_config *bulk, ist_u32 lane, ist_u32 ring_bytes,
                                                ist_u64 budget_interval, ist_u64 budget_tolerance)
{
    struct ist_config c = *bulk;
    c.ring_bytes[IST_NORMAL] = c.ring_bytes[IST_SECURE] = ring_bytes;
    c.first_sequence += (ist_u64)lane << IST_LANE_SHIFT;
    c.budget_interval = budget_interval;
    c.budget_tolerance = budget_tolerance;
    return c;
}

/* Where lane `lane` begins in the buffer that `role` owns. `c`: the lanes' checked configurations, from the bulk lane on. */
static inline ist_u32 ist_lane_offset(const struct ist_config *c, ist_u32 lane, ist_u32 role)
{
    ist_u32 at = 0;
    for (ist_u32 k = 0; k < lane; k++)
        at = (at + ist_buffer_size(&c[k], role) + IST_LINE - 1u) & ~(IST_LINE - 1u);
    return at;
}

/* Bytes of that buffer. */
static inline ist_u32 ist_lanes_size(const struct ist_config *c, ist_u32 lanes, ist_u32 role)
{
    return ist_lane_offset(c, lanes - 1u, role) + ist_buffer_size(&c[lanes - 1u], role);
}

/* OK, or what ist_init says of the first lane that it refuses. */
static inline enum ist_verdict ist_lanes_init(struct ist_endpoint *e, const struct ist_config *c, ist_u32 lanes, void *own,
                                              const void *peer)
{
    enum ist_verdict v = IST_V_OK;
    for (ist_u32 k = 0; k < lanes && v == IST_V_OK; k++)
        v = ist_init(&e[k], &c[k], (ist_u8 *)own + ist_lane_offset(c, k, c->role),
                     (const ist_u8 *)peer + ist_lane_offset(c, k, c->role ^ 1u));
    return v;
}

static IST_FOLDED void ist_lanes_begin(struct ist_endpoint *e, ist_u32 lanes, ist_u64 epoch, const ist_u64 key[2], ist_u64 now)
{
    for (ist_u32 k = 0; k < lanes; k++)
        ist_begin(&e[k], epoch, key, now);
}

static IST_FOLDED void ist_lanes_end(struct ist_endpoint *e, ist_u32 lanes, enum ist_verdict reason)
{
    for (ist_u32 k = 0; k < lanes; k++)
        ist_end(&e[k], reason);
}

/* The lane that says how the channel is: one that is DEAD, else one that is least up. */
static IST_FOLDED const struct ist_endpoint *ist_lanes_worst(const struct ist_endpoint *e, ist_u32 lanes)
{
    const struct ist_endpoint *worst = e;
    for (ist_u32 k = 1; k < lanes; k++) {
        const enum ist_state a = ist_link_state(worst), b = ist_link_state(&e[k]);
        if (a != IST_DEAD && (b == IST_DEAD || b < a))
            worst = &e[k];
    }
    return worst;
}

/* ist_poll of every lane, and one fate: once the session has begun, a lane that is down ends the rest. The state is the
 * channel's; its reason is that of ist_lanes_worst. */
static IST_FOLDED enum ist_state ist_lanes_poll(struct ist_endpoint *e, ist_u32 lanes, ist_u64 now)
{
    for (ist_u32 k = 0; k < lanes; k++)
        (void)ist_poll(&e[k], now);
    const enum ist_state state = ist_link_state(ist_lanes_worst(e, lanes));
    if (state == IST_RESET || state == IST_DEAD)
        ist_lanes_end(e, lanes, IST_V_PEER_LEFT);
    return state;
}

#endif
