/* SPDX-License-Identifier: MIT */
/* rest.h - what the network work does when it has nothing to do.
 *
 *     core shared with Linux       nothing here: the YIELD that follows gives the core away
 *     own core, interrupt          waits for one: a kick or the timer
 *     own core, poll               looks at the peer's cursor until it moves or a period begins */
#ifndef ISTHMUS_RUNTIME_REST_H
#define ISTHMUS_RUNTIME_REST_H

#include <stdint.h>

struct ist_endpoint;

/* From the kick's interrupt: a doorbell was rung on another core. */
void rest_kick(void);
/* What is rung from now on ends the next rest. Before the last look for work. */
void rest_begin(void);
/* `from`: the lanes' endpoints. `why` is what YIELD will be told; `period` the one that was last worked for. Nobody else is ready. Interrupts are masked on the way in; on an own core they are
 * on behind it. */
void rest(uint64_t why, uint64_t period, const struct ist_endpoint *from);

#endif
