/* SPDX-License-Identifier: MIT */
/* share.h - Linux's share of a core that both worlds use: whenever the network has used up its cost C, Linux is owed the rest
 * of a period, T - C, in pieces or at once. Steps that each end in another period would never find that period's C spent,
 * and the core would be Linux's only once there is no more work.
 *
 * What is nobody's time is Linux's. All times in nanoseconds. */
#ifndef ISTHMUS_RUNTIME_SHARE_H
#define ISTHMUS_RUNTIME_SHARE_H

#include <stdint.h>

struct share {
    uint64_t cost, rest;        /* C, and T - C */
    uint64_t at, busy, network; /* when Linux had its share last, and what was used by then */
};

/* Is Linux owed its share now? `busy`: what all threads have used of the core so far, `network` what the network did. */
static inline int share_owed(struct share *s, uint64_t now, uint64_t busy, uint64_t network)
{
    if (now - s->at - (busy - s->busy) < s->rest)
        return network - s->network >= s->cost;
    s->at = now; /* however little the network used meanwhile: no cost is saved up, to be used twice in a row */
    s->busy = busy;
    s->network = network;
    return 0;
}

#endif
