/* SPDX-License-Identifier: MIT OR GPL-2.0 */
/* choice.h - by which lane a frame of the kernel's goes: the rules by which its receiver will judge it, less their rates. */
#ifndef ISTHMUS_NORMAL_CHOICE_H
#define ISTHMUS_NORMAL_CHOICE_H

#include <stdint.h>

#include "filter.h"

struct choice {
    struct ist_filter filter[IST_LANES_MAX]; /* of the lanes beside the bulk lane: [0] is not used */
    uint32_t lanes;
};

/* From ISTHMUS_CHOICE: a table for each lane from 1 on, separated by semicolons, 64-bit words in hexadecimal
 * (core/filter.h). 0, or -1 where it does not hold one for each. */
int choice_open(struct choice *c, uint32_t lanes);
/* The highest lane whose rules admit the frame, else 0. */
uint32_t choice_of(struct choice *c, const uint8_t *frame, uint32_t length, uint64_t now);

#endif
