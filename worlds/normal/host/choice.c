/* SPDX-License-Identifier: MIT OR GPL-2.0 */
#include "choice.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define TABLE_MAX 5000 /* words: more than 64 rules can make */

int choice_open(struct choice *c, uint32_t lanes)
{
    static uint64_t table[IST_LANES_MAX][TABLE_MAX]; /* a filter refers to its table */
    const char *at = getenv("ISTHMUS_CHOICE");
    c->lanes = lanes;
    for (uint32_t k = 1; k < lanes; k++, at += *at == ';') {
        uint32_t n = 0;
        for (; at && *at && *at != ';'; at += strspn(at, " ")) {
            char *end;
            errno = 0;
            const uint64_t word = strtoull(at, &end, 16);
            if (end == at || errno != 0 || n == TABLE_MAX)
                return -1;
            table[k][n++] = word;
            at = end;
        }
        if (!at || ist_filter_load(&c->filter[k], table[k], n) != IST_V_OK)
            return -1;
    }
    return 0;
}

uint32_t choice_of(struct choice *c, const uint8_t *frame, uint32_t length, uint64_t now)
{
    static const struct ist_meta none;
    uint32_t k = c->lanes - 1;
    while (k > 0 && ist_filter_judge(&c->filter[k], frame, length, &none, now) != IST_V_OK)
        k--;
    return k;
}
