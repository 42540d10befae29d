/* SPDX-License-Identifier: MIT */
/* lock.h - a lock that is given in the order in which it was asked for: of n cores, one waits for each of the others once
 * at most. TF-A's own keeps no order. Not recursive. */
#ifndef ISTHMUS_MONITOR_LOCK_H
#define ISTHMUS_MONITOR_LOCK_H

#include <stdint.h>

struct lock {
    uint32_t tickets; /* the one that is served, in the lower half; the next to be drawn. Zeros: free */
};

void lock_take(struct lock *lock);
void lock_give(struct lock *lock);

#endif
