/* SPDX-License-Identifier: MIT */
/* chksum.c - the Internet checksum (RFC 1071), 64 bytes a turn. lwIP's own adds two bytes at a time.
 *
 * The 32-bit halves of 64-bit words are added up apart: neither sum has a carry for 2^32 words; a frame has 2^14. */
#include <stdint.h>

#include "lwip/arch.h"

typedef uint64_t word __attribute__((aligned(1), may_alias)); /* at any address */
typedef uint32_t word32 __attribute__((aligned(1), may_alias));
typedef uint16_t word16 __attribute__((aligned(1), may_alias));

uint16_t isthmus_chksum(const void *data, int length)
{
    const uint8_t *p = data;
    size_t n = length > 0 ? (size_t)length : 0;
    uint64_t a = 0, b = 0;

#define ADD(w) (a += (uint32_t)(w), b += (w) >> 32)
    for (; n >= 64; n -= 64, p += 64) {
        const word *w = (const word *)(const void *)p;

        for (int i = 0; i < 8; i += 4) {
            const uint64_t c = w[i], d = w[i + 1], e = w[i + 2], f = w[i + 3];

            ADD(c), ADD(d), ADD(e), ADD(f);
        }
    }
    for (; n >= 8; n -= 8, p += 8) {
        const uint64_t c = *(const word *)(const void *)p;

        ADD(c);
    }
#undef ADD
    if (n & 4) {
        a += *(const word32 *)(const void *)p;
        p += 4;
    }
    if (n & 2) {
        b += *(const word16 *)(const void *)p;
        p += 2;
    }
    if (n & 1)
        b += *p; /* the first of two: the low byte, since words are little-endian */
    a += b;
    a = (a & 0xffffffffu) + (a >> 32);                   /* below 2^32 + 2^15 */
    a = (a & 0xffffu) + (a >> 16 & 0xffffu) + (a >> 32); /* at most 0x1fffe */
    a = (a & 0xffffu) + (a >> 16);
    return (uint16_t)a;
}
