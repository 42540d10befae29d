/* SPDX-License-Identifier: MIT */
/* bell.h - what a peer's doorbell may cost: a wake-up that brought nothing is the period's last.
 *
 * A wake-up that brings a frame costs the frame's budget. One that brings nothing is counted as spurious, and nobody
 * listens to the bell until the next period, which looks by itself; what rings meanwhile stays in the socket and is counted
 * then. So a flood of doorbells wakes the world once in a period and once for each frame that came, whatever the peer does.
 * A ring may still be on its way for a frame that was found before its bell was heard: one is owed, and forgiven. */
#ifndef ISTHMUS_SECURE_BELL_H
#define ISTHMUS_SECURE_BELL_H

#include <stdint.h>

struct bell {
    int woken; /* the last sleep ended by it */
    int owed;  /* work was found before its ring was heard */
    int deaf;  /* until the next period */
    uint32_t vain; /* wake-ups of this period that brought nothing, */
    uint32_t most; /* and of any period: 1 at most */
    uint64_t wakes, spurious;
};

static inline void bell_woke(struct bell *b)
{
    b->woken = 1;
    b->wakes++;
}

/* Somebody looked for work since. */
static inline void bell_judge(struct bell *b, int found)
{
    if (!b->woken) {
        b->owed |= found;
    } else if (!found && b->owed) {
        b->owed = 0;
    } else if (!found) {
        b->spurious++;
        b->vain++;
        b->most = b->vain > b->most ? b->vain : b->most;
        b->deaf = 1;
    }
    b->woken = 0;
}

static inline void bell_period(struct bell *b)
{
    b->deaf = 0;
    b->vain = 0;
}

#endif
