/* SPDX-License-Identifier: MIT */
/* channel.h - the board's channel, of whichever IP stack: an endpoint, allow-lists and a budget for each lane. */
#ifndef ISTHMUS_RUNTIME_CHANNEL_H
#define ISTHMUS_RUNTIME_CHANNEL_H

#include <stdint.h>

#include "board.h"
#include "lane.h"
#include "netport.h"

extern struct ist_endpoint channel[BOARD_LANES]; /* the bulk lane's first */

/* All lanes, from their beginning; of each `lane` ep, budget and out are set. OK, or what does not hold. */
enum ist_verdict channel_init(struct netport_lane lane[BOARD_LANES]);

/* Frames accepted and sent since then. Callable from an interrupt. */
void channel_frames(uint64_t *in, uint64_t *out);

static inline enum ist_state channel_state(void)
{
    return ist_link_state(ist_lanes_worst(channel, BOARD_LANES));
}

#endif
