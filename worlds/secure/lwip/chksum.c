/* SPDX-License-Identifier: MIT */
/* chksum.c - the Internet checksum (RFC 1071), 32 bytes a turn. lwIP's own adds two bytes at a time.
 *
 * A 64-bit accumulator takes 32-bit words without a carry for 2^32 words; a frame has at most 2^14. */
#include <string.h>

#include "lwip/arch.h"

static uint32_t word_at(const uint8_t *p)
{
    uint32_t w;
    memcpy(&w, p, sizeof w);
    return w;
}

uint16_t isthmus_chksum(const void *data, int length)
{
    const uint8_t *p = data;
    size_t n = length > 0 ? (size_t)length : 0;
    uint64_t a = 0, b = 0;

    for (; n >= 32; n -= 32, p += 32) {
        a += (uint64_t)word_at(p) + word_at(p + 8) + word_at(p + 16) + word_at(p + 24);
        b += (uint64_t)word_at(p + 4) + word_at(p + 12) + word_at(p + 20) + word_at(p + 28);
    }
    for (; n >= 4; n -= 4, p += 4)
        a += word_at(p);
    if (n > 0) {
        uint8_t rest[4] = {0};
        memcpy(rest, p, n);
        a += word_at(rest);
    }
    a += b;
    a = (a & 0xffffffffu) + (a >> 32);                   /* below 2^32 + 2^14 */
    a = (a & 0xffffu) + (a >> 16 & 0xffffu) + (a >> 32); /* at most 0x1fffe */
    a = (a & 0xffffu) + (a >> 16);
    return (uint16_t)a;
}
