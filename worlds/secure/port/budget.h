/* SPDX-License-Identifier: MIT */
/* budget.h - what receiving may cost over time, and a ledger of what it did cost.
 *
 * Frames are limited by the core (struct ist_config), bytes here, both by GCRA: n frames and b bytes per period P may
 * come at once, and as much again in the time of a period. So a window of length P holds at most 2n frames and, with
 * the one that overdraws, 2b bytes and a frame. The ledger counts work as it is done, apart from the limiters, and
 * compares each period with that bound. Times in nanoseconds. */
#ifndef ISTHMUS_BUDGET_H
#define ISTHMUS_BUDGET_H

#include "isthmus.h"

struct budget {
    ist_u64 period;         /* 0: no budget, nothing is compared */
    struct ist_limit bytes; /* in units of IST_ALIGN bytes */
    ist_u64 began;          /* the ledger's present window */
    ist_u64 frames_now, bytes_now;
    ist_u64 frames_most, bytes_most;   /* of any window */
    ist_u64 frames_bound, bytes_bound; /* what no window may exceed */
    ist_u64 over;                      /* windows that did: a defect of ours */
    ist_u64 exhausted;                 /* times that the peer had to wait */
};

static inline void budget_init(struct budget *b, ist_u64 period, ist_u32 frames, ist_u32 bytes, ist_u32 frame_max)
{
    const ist_u64 units = bytes / IST_ALIGN;

    *b = (struct budget){.period = period};
    if (period == 0 || units == 0)
        return;
    b->bytes.interval = (period + units - 1) / units; /* rounded so that nothing is given away */
    b->bytes.tolerance = period - b->bytes.interval;
    b->frames_bound = 2ull * frames;
    b->bytes_bound = 2ull * bytes + frame_max;
}

/* May a frame be looked at, as far as bytes go? It is charged once its length is known. */
static inline int budget_open(struct budget *b, ist_u64 now)
{
    return b->bytes.interval == 0 || ist_limit_take(&b->bytes, now, 0);
}

/* One frame was judged; `bytes` of it are to be copied, 0 if it was refused. */
static inline void budget_spend(struct budget *b, ist_u64 now, ist_u32 bytes)
{
    if (b->period == 0)
        return;
    if (now - b->began >= b->period) {
        b->began = now;
        b->frames_now = b->bytes_now = 0;
    }
    b->frames_now++;
    b->bytes_now += bytes;
    b->over += b->frames_now == b->frames_bound + 1; /* once a window */
    b->over += b->bytes_now > b->bytes_bound && b->bytes_now - bytes <= b->bytes_bound;
    if (b->frames_now > b->frames_most)
        b->frames_most = b->frames_now;
    if (b->bytes_now > b->bytes_most)
        b->bytes_most = b->bytes_now;
    if (b->bytes.interval != 0)
        (void)ist_limit_take(&b->bytes, now, (bytes + IST_ALIGN - 1u) / IST_ALIGN * b->bytes.interval);
}

#endif
