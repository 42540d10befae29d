/* SPDX-License-Identifier: MIT */
/* window.h - flow control for peers that have none: a full queue of theirs drops, so to be lossless the sender keeps
 * within a window. The receiver's count lies in shared memory, which costs the peer next to nothing. */
#include <stdint.h>

#define WINDOW 128u /* frames on the way; fits the receive buffer that any user may have */
#define TELL 16u    /* frames between two updates of the receiver's count */

static _Thread_local struct {
    uint64_t sent, allowed, got;
} flow;

static inline void window_open(void)
{
    flow.sent = flow.got = 0;
    flow.allowed = WINDOW;
}

static inline int window_has_room(struct port *p)
{
    if (flow.sent == flow.allowed)
        flow.allowed = __atomic_load_n(&p->run->board->window[!p->end], __ATOMIC_ACQUIRE) + WINDOW;
    return flow.sent != flow.allowed;
}

static inline void window_took(struct port *p)
{
    if (++flow.got % TELL == 0)
        __atomic_store_n(&p->run->board->window[p->end], flow.got, __ATOMIC_RELEASE);
}
