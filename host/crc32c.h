/* SPDX-License-Identifier: MIT OR GPL-2.0 */
/* crc32c.h - copying and CRC-32C in one pass with the processor's instructions; included by link.c alone.
 *
 * The instruction takes a word each cycle, but three to answer. So where words can be multiplied without carry, three
 * runs of 64 bytes go side by side, and their CRCs are joined: that of A followed by m bits is A * x^m mod P. Of a
 * reflected product the instruction makes one of A * K * x^33, hence K = x^(m - 33) mod P.
 *
 * Each word of the source is read once: the register that is stored is the one that is tagged. */
#ifndef ISTHMUS_HOST_CRC32C_H
#define ISTHMUS_HOST_CRC32C_H

#include <stdint.h>
#include <string.h>

#include "isthmus.h"

#if defined(__x86_64__)
#include <immintrin.h>
#define CRC_TARGET __attribute__((target("sse4.2,pclmul")))
#define CRC_WORD(crc, w) _mm_crc32_u64((crc), (w)) /* 32 bits, in a word */
#define CRC_BYTE(crc, b) _mm_crc32_u8((uint32_t)(crc), (b))
#elif defined(__aarch64__)
#include <arm_acle.h>
#include <sys/auxv.h>
#define CRC_TARGET __attribute__((target("+crc")))
#define CRC_WORD(crc, w) __builtin_aarch64_crc32cx((uint32_t)(crc), (w))
#define CRC_BYTE(crc, b) __builtin_aarch64_crc32cb((uint32_t)(crc), (b))
#endif

#ifdef CRC_TARGET

static inline uint64_t crc_move(uint8_t *d, const uint8_t *s)
{
    uint64_t w;
    memcpy(&w, s, sizeof w);
    __asm__ volatile("" : "+r"(w));
    memcpy(d, &w, sizeof w);
    return w;
}

/* The complement of the CRC goes in and comes out. */
CRC_TARGET static inline uint32_t crc_chain(uint8_t *d, const uint8_t *s, ist_size n, uint64_t c)
{
    for (; n >= 8; n -= 8, d += 8, s += 8)
        c = CRC_WORD(c, crc_move(d, s));
    for (; n; n--, d++, s++) {
        uint8_t b = *s;
        __asm__ volatile("" : "+r"(b));
        *d = b;
        c = CRC_BYTE(c, b);
    }
    return (uint32_t)c;
}

CRC_TARGET static ist_u32 copy_crc(void *dst, const void *src, ist_size n, ist_u32 crc)
{
    return ~crc_chain(dst, src, n, (uint32_t)~crc);
}

#endif

#if defined(__x86_64__)

enum { CRC_RUN = 64 };
/* K for m = 8 * CRC_RUN times 1, 2, 3 */
#define CRC_PAST_1 0x9e4addf8
#define CRC_PAST_2 0x0d3b6092
#define CRC_PAST_3 0xab7aff2a

CRC_TARGET static inline __m128i crc_times(uint64_t crc, long long past)
{
    return _mm_clmulepi64_si128(_mm_cvtsi64_si128((long long)crc), _mm_cvtsi64_si128(past), 0);
}

/* Two words at once: it is the number of stores that a sender waits for. */
CRC_TARGET static inline uint64_t crc_move_two(uint8_t *d, const uint8_t *s, uint64_t c)
{
    __m128i w = _mm_loadu_si128((const __m128i *)(const void *)s);
    __asm__ volatile("" : "+x"(w));
    _mm_storeu_si128((__m128i *)(void *)d, w);
    return CRC_WORD(CRC_WORD(c, (uint64_t)_mm_cvtsi128_si64(w)), (uint64_t)_mm_extract_epi64(w, 1));
}

CRC_TARGET static ist_u32 copy_crc_wide(void *dst, const void *src, ist_size n, ist_u32 crc)
{
    uint64_t c = (uint32_t)~crc;
    uint8_t *d = dst;
    const uint8_t *s = src;
    for (; n >= 3 * CRC_RUN; n -= 3 * CRC_RUN, d += 3 * CRC_RUN, s += 3 * CRC_RUN) {
        uint64_t a0 = 0, a1 = 0, a2 = 0; /* not from c: the next three runs need not wait for these */
#pragma GCC unroll 4
        for (int i = 0; i < CRC_RUN; i += 16) {
            a0 = crc_move_two(d + i, s + i, a0);
            a1 = crc_move_two(d + CRC_RUN + i, s + CRC_RUN + i, a1);
            a2 = crc_move_two(d + 2 * CRC_RUN + i, s + 2 * CRC_RUN + i, a2);
        }
        const __m128i sum = _mm_xor_si128(_mm_xor_si128(crc_times(a0, CRC_PAST_2), crc_times(a1, CRC_PAST_1)),
                                          crc_times(c, CRC_PAST_3));
        c = CRC_WORD(0, (uint64_t)_mm_cvtsi128_si64(sum)) ^ a2;
    }
    return ~crc_chain(d, s, n, c);
}

ist_copy_crc_fn ist_hw_copy_crc(void)
{
    if (!__builtin_cpu_supports("sse4.2"))
        return NULL;
    return __builtin_cpu_supports("pclmul") ? copy_crc_wide : copy_crc;
}

#elif defined(__aarch64__)

ist_copy_crc_fn ist_hw_copy_crc(void)
{
    return getauxval(AT_HWCAP) & (1u << 7) /* HWCAP_CRC32 */ ? copy_crc : NULL;
}

#else

ist_copy_crc_fn ist_hw_copy_crc(void)
{
    return NULL;
}

#endif
#endif
