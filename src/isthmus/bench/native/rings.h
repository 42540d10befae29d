/* SPDX-License-Identifier: MIT */
/* rings.h - what the three ideal rings have in common: nothing checked, nobody distrusted, one lane each way. */
#ifndef ISTHMUS_BENCH_RINGS_H
#define ISTHMUS_BENCH_RINGS_H

#include <string.h>

#include "bench.h"

/* Cursors of one lane in shared memory: the sender writes head, the receiver tail. The data follows. */
struct lane {
    _Alignas(LINE) uint32_t head;
    _Alignas(LINE) uint32_t tail;
    _Alignas(LINE) unsigned char data[];
};

static inline uint32_t load(const uint32_t *word) { return __atomic_load_n(word, __ATOMIC_ACQUIRE); }
static inline void store(uint32_t *word, uint32_t value) { __atomic_store_n(word, value, __ATOMIC_RELEASE); }

#define IN_ORDER() __asm__ volatile("" ::: "memory")

/* Sixteen bytes at a time in line, stored in rising order: between two processors measured faster than memcpy(), by a
 * twentieth at 64 bytes and more at 1500. A chunk of 64 lies across two lines, and a compiler that goes back and forth
 * between them costs a fifth of the round trip. */
typedef uint64_t chunk __attribute__((vector_size(16), aligned(1), may_alias));

static inline void copy_frame(void *dst, const void *src, uint32_t n)
{
    unsigned char *d = dst;
    const unsigned char *s = src;
    uint32_t at = 0;
    for (; n - at >= 64u; at += 64u) {
        const chunk *from = (const chunk *)(const void *)(s + at);
        chunk *to = (chunk *)(void *)(d + at);
        const chunk a = from[0], b = from[1], c = from[2], e = from[3];
        to[0] = a;
        IN_ORDER();
        to[1] = b;
        IN_ORDER();
        to[2] = c;
        IN_ORDER();
        to[3] = e;
        IN_ORDER();
    }
    for (; n - at >= 16u; at += 16u) {
        *(chunk *)(void *)(d + at) = *(const chunk *)(const void *)(s + at);
        IN_ORDER();
    }
    if (n != at)
        memcpy(d + at, s + at, n - at);
}

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

/* Every page is there for this end before the clock runs: a fork leaves shared pages out of the child's tables. */
static inline void lanes_touch(struct run *r, int end, uint64_t data_bytes)
{
    volatile unsigned char *own = (volatile unsigned char *)lane_of(r, end, data_bytes);
    const volatile unsigned char *peer = (const volatile unsigned char *)lane_of(r, !end, data_bytes);
    for (uint64_t at = 0; at < sizeof(struct lane) + data_bytes; at += 4096u) {
        own[at] = 0;
        (void)peer[at];
    }
}

#endif
