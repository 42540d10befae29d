/* SPDX-License-Identifier: MIT */
/* lock.h - a lock that is given in the order in which it was asked for: of n cores, one waits for each of the others once
 * at most. TF-A's own keeps no order. Not recursive. */
#ifndef ISTHMUS_MONITOR_LOCK_H
#define ISTHMUS_MONITOR_LOCK_H

#include <stdint.h>

#include "board.h"

/* Zeros: free. lock.S draws and reads with one access. */
struct lock {
    _Alignas(4) uint16_t served; /* written by its holder alone */
    uint16_t next;               /* the next ticket to be drawn */
};

#if BOARD_CORES > 1
void lock_take(struct lock *lock);

static inline void lock_give(struct lock *lock)
{
    __atomic_store_n(&lock->served, (uint16_t)(lock->served + 1), __ATOMIC_RELEASE);
}
#else /* nobody else is at EL3, where no interrupt is taken */
static inline void lock_take(struct lock *lock)
{
    (void)lock;
}

static inline void lock_give(struct lock *lock)
{
    (void)lock;
}
#endif

#endif
