/* SPDX-License-Identifier: MIT */
/* histogram.h - durations in nanoseconds, counted in buckets of at most 1/16 relative width. Fixed size, O(1). */
#ifndef ISTHMUS_HISTOGRAM_H
#define ISTHMUS_HISTOGRAM_H

#include <stdint.h>

#define HISTOGRAM_BUCKETS 976 /* 16 below 16 ns, then 16 for each of the 60 powers of two above */

struct histogram {
    uint32_t count[HISTOGRAM_BUCKETS];
    uint64_t total, max;
};

void histogram_add(struct histogram *h, uint64_t ns);
/* Upper end of the bucket below which `permille` of the values lie; 0 if there are none. */
uint64_t histogram_quantile(const struct histogram *h, unsigned permille);

#endif
