/* SPDX-License-Identifier: MIT */
/* hostile_pump.c - the frame pump in the hands of an attacker: whatever it does for those who mean well it still does, and
 * each time that it looks after its session it attacks as well. The pump's source is not changed.
 *
 *   FLOOD=1, FRAME={..}     keeps the bulk lane's ring full of this frame
 *   RINGS=n                 rings the doorbell n times for nothing
 *   APART_NS=n              ... so far apart */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif
#include <stdint.h>

#include "world.h"

#ifndef FLOOD
#define FLOOD 0
#endif
#ifndef FRAME
#define FRAME {0}
#endif
#ifndef RINGS
#define RINGS 0
#endif
#ifndef APART_NS
#define APART_NS 0
#endif

static enum ist_state attack_and_tick(struct ist_world *w, uint64_t now)
{
    static const uint8_t frame[] = FRAME;
    uint64_t due = now;

    for (int i = 0; i < RINGS; i++, due += APART_NS) {
        while (ist_now() < due)
            ist_relax();
        ist_world_ring(w);
    }
    while (FLOOD && ist_send(&w->ep, frame, sizeof frame, NULL) == IST_V_OK)
        continue;
    if (ist_publish(&w->ep))
        ist_world_ring(w);
    return ist_world_tick(w, now);
}

#define ist_world_tick attack_and_tick
#include "pump.c"
