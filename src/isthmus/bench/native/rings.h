/* SPDX-License-Identifier: MIT */
/* rings.h - what the three ideal rings have in common: nothing checked, nobody distrusted, one lane each way. */
#ifndef ISTHMUS_BENCH_RINGS_H
#define ISTHMUS_BENCH_RINGS_H

#include "bench.h"

/* Cursors of one lane in shared memory: the sender writes head, the receiver tail. The data follows. */
struct lane {
    _Alignas(LINE) uint32_t head;
    _Alignas(LINE) uint32_t tail;
    _Alignas(LINE) unsigned char data[];
};

static inline uint32_t load(const uint32_t *word) { return __atomic_load_n(word, __ATOMIC_ACQUIRE); }
static inline void store(uint32_t *word, uint32_t value) { __atomic_store_n(word, value, __ATOMIC_RELEASE); }

static inline struct lane *lane_of(struct run *r, int sender, uint64_t data_bytes)
{
    const uint64_t stride = (sizeof(struct lane) + data_bytes + 4095u) & ~4095ull;
    return (struct lane *)((unsigned char *)r->shared + (uint64_t)sender * stride);
}

static inline int lanes_make(struct run *r, uint64_t data_bytes, const char **why)
{
    const uint64_t stride = (sizeof(struct lane) + data_bytes + 4095u) & ~4095ull;
    r->shared = shared_memory(2u * stride);
    *why = "no memory for the rings";
    return r->shared ? 0 : -1;
}

#endif
