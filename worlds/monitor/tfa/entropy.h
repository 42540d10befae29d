/* SPDX-License-Identifier: MIT */
/* entropy.h - random words from the platform. */
#ifndef ISTHMUS_MONITOR_ENTROPY_H
#define ISTHMUS_MONITOR_ENTROPY_H

#include <stdbool.h>
#include <stdint.h>

/* Fills `n` words. False, and nothing written, where the platform has no entropy and the board does not allow the
 * predictable words of insecure_test_key. */
bool entropy_draw(uint64_t *words, unsigned int n);

#endif
