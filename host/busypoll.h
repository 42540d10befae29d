/* SPDX-License-Identifier: MIT OR GPL-2.0 */
/* busypoll.h - how long a process of the host looks for work before it sleeps.
 *
 * To wake a processor out of its sleep takes tens of microseconds, and an exchange through both worlds has four wake-ups in
 * a row. So who had work lately looks on for a while, as long as that has paid off: the time grows with each piece of work
 * that came within BUSYPOLL_MAX_NS of the end of the one before, and shrinks to nothing with those that did not. The limit is
 * longer than an exchange in which everybody has to be woken: with a shorter one nobody would find out that looking pays.
 *
 * What it costs: nothing while there is no work, nor where work is further apart than that; else at most BUSYPOLL_MAX_NS of
 * one processor behind a piece of work, and that only where nobody else is ready to run, since each look ends by yielding. */
#ifndef ISTHMUS_HOST_BUSYPOLL_H
#define ISTHMUS_HOST_BUSYPOLL_H

#include <stdint.h>

#define BUSYPOLL_MAX_NS 250000u

struct busypoll {
    uint64_t max;    /* ns; 0: never */
    uint64_t worth;  /* what to look on for, as learnt: 0..max */
    uint64_t worked; /* when there was work last, ns; 0: never */
    int found;       /* by the last look: what it found is done by the next */
};

/* After each look that began at `now`: did it find work? */
static inline void busypoll_looked(struct busypoll *b, uint64_t now, int found)
{
    const uint64_t least = b->max / 8, gap = b->found ? 0 : now - b->worked;

    if (found && gap > b->max)
        b->worth = b->worth / 2 < least ? 0 : b->worth / 2;
    else if (found && b->worth < b->max)
        b->worth = b->worth < least ? least : b->worth > b->max / 2 ? b->max : 2 * b->worth;
    if (found || b->found)
        b->worked = now;
    b->found = found;
}

/* Until when to look for work before sleeping; in the past: sleep. */
static inline uint64_t busypoll_until(const struct busypoll *b)
{
    return b->worked + b->worth;
}

#endif
