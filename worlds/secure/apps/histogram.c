/* SPDX-License-Identifier: MIT */
#include "histogram.h"

static unsigned bucket_of(uint64_t v)
{
    unsigned shift;

    if (v < 16)
        return (unsigned)v;
    shift = 59u - (unsigned)__builtin_clzll(v); /* so that v >> shift lies in 16..31 */
    return shift * 16u + (unsigned)(v >> shift);
}

static uint64_t bucket_end(unsigned b)
{
    unsigned shift;

    if (b < 16)
        return b;
    shift = b / 16u - 1u;
    return ((uint64_t)(b % 16u + 16u) << shift) + ((uint64_t)1 << shift) - 1u;
}

void histogram_add(struct histogram *h, uint64_t ns)
{
    h->count[bucket_of(ns)]++;
    h->total++;
    if (ns > h->max)
        h->max = ns;
}

uint64_t histogram_quantile(const struct histogram *h, unsigned permille)
{
    uint64_t below = 0, wanted = (h->total * permille + 999u) / 1000u;

    for (unsigned b = 0; b < HISTOGRAM_BUCKETS; b++) {
        below += h->count[b];
        if (below >= wanted && below > 0)
            return bucket_end(b) < h->max ? bucket_end(b) : h->max;
    }
    return 0;
}
