/* SPDX-License-Identifier: MIT OR GPL-2.0 */
/* limit.c - the limiter of limit.h, for whoever calls it. */
#include "limit.h"

int ist_limit_take(struct ist_limit *l, ist_u64 now, ist_u64 cost)
{
    return ist_limit_step(l, now, cost);
}
