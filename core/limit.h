/* SPDX-License-Identifier: MIT OR GPL-2.0 */
/* limit.h - GCRA (ITU-T I.371): one comparison and one addition per frame, no division, no rounding gift.
 *
 * In any window W at most (W + tolerance) / interval + 1 unit costs pass. `now` never moves backwards; the difference
 * is taken modulo 2^64, so a clock that wraps does no harm as long as windows stay below 2^63. */
#ifndef IST_LIMIT_H
#define IST_LIMIT_H

#include "isthmus.h"

/* ist_limit_take where a call is too much. */
static inline int ist_limit_step(struct ist_limit *l, ist_u64 now, ist_u64 cost)
{
    ist_u64 ahead = l->due - now; /* how far the theoretical arrival lies in the future */
    if (ahead >> 63)              /* in the past: idle time is not saved up */
        ahead = 0;
    if (ahead > l->tolerance)
        return 0;
    l->due = now + ahead + cost;
    return 1;
}

#endif
