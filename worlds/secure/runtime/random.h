/* SPDX-License-Identifier: MIT */
/* random.h - random numbers for the IP stack: SipHash of a counter under a seed. Any task may draw. */
#ifndef ISTHMUS_RUNTIME_RANDOM_H
#define ISTHMUS_RUNTIME_RANDOM_H

#include <stdint.h>

/* The monitor's seed, or what random_seed_next() gave. */
void random_seed(const uint64_t seed[2]);
uint32_t random_draw(void);
/* A seed for what begins anew. */
void random_seed_next(uint64_t seed[2]);

#endif
