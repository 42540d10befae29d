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

/* What the monitor says of the session. `begin` starts a new one in every lane; `follow` is told of the link's state once
 * one has ended. Nothing of the peer's buffer is in anybody's hands now. */
void channel_ask_session(void (*begin)(uint64_t epoch, const ist_u64 key[2]), void (*follow)(enum ist_state state));

/* The peer's doorbell, for lanes by bit. */
void channel_ring(uint32_t lanes);

/* Channel, stack and applications begin anew, with a new seed: the peer sees our state, detaches, and registers again for
 * a new epoch. The critical tasks go on. `stop` ends whoever uses the memory, or is NULL; `start` says what does not hold. */
void channel_restart(void (*stop)(void), const char *(*start)(const uint64_t seed[2]));

/* Frames accepted and sent since then. Callable from an interrupt. */
void channel_frames(uint64_t *in, uint64_t *out);

static inline enum ist_state channel_state(void)
{
    return ist_link_state(ist_lanes_worst(channel, BOARD_LANES));
}

#endif
