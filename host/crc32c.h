/* SPDX-License-Identifier: MIT OR GPL-2.0 */
/* crc32c.h - copying and CRC-32C in one pass with the processor's instructions. crc_way(0) is the fastest way that this
 * processor has, crc_way(1) the next, NULL what comes behind the last.
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
#define CRC_HALF(crc, w) _mm_crc32_u32((uint32_t)(crc), (w))
#define CRC_BYTE(crc, b) _mm_crc32_u8((uint32_t)(crc), (b))
#elif defined(__aarch64__)
#include <arm_acle.h>
#include <sys/auxv.h>
#define CRC_TARGET __attribute__((target("+crc")))
#define CRC_WORD(crc, w) __builtin_aarch64_crc32cx((uint32_t)(crc), (w))
#define CRC_HALF(crc, w) __builtin_aarch64_crc32cw((uint32_t)(crc), (w))
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
    if (n & 4) {
        uint32_t w;
        memcpy(&w, s, sizeof w);
        __asm__ volatile("" : "+r"(w));
        memcpy(d, &w, sizeof w);
        c = CRC_HALF(c, w);
        d += 4;
        s += 4;
    }
    for (n &= 3; n; n--, d++, s++) {
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

/* Where four words are multiplied at once (AVX2 with VPCLMULQDQ), the source itself is folded: what it is mod P stays the
 * same when 16 bytes are replaced by their product with x^m mod P, m bits further on. Eight of these go side by side; the
 * instruction makes the CRC of the last one (Gopal et al., Fast CRC Computation Using PCLMULQDQ Instruction, Intel 2009).
 * What is not a multiple of CRC_FOLD goes first, since a sender's stores wait behind the CRC's. */
enum { CRC_FOLD = 128 };
#define CRC_FOLD_TARGET __attribute__((target("sse4.2,pclmul,avx2,vpclmulqdq")))
/* K as above: past m + 64 bits for the first word of two, past m for the second */
#define CRC_BY_1024 _mm256_set_epi64x(0x0d3b6092, 0x6992cea2, 0x0d3b6092, 0x6992cea2)
#define CRC_BY_256 _mm256_set_epi64x(0xba4fc28e, 0x3da6d0cb, 0xba4fc28e, 0x3da6d0cb)
#define CRC_BY_128 _mm_set_epi64x(0x493c7d27, 0xf20c0dfe)

CRC_FOLD_TARGET static inline __m256i crc_move_four(uint8_t *d, const uint8_t *s)
{
    __m256i w = _mm256_loadu_si256((const __m256i *)(const void *)s);
    __asm__ volatile("" : "+x"(w));
    _mm256_storeu_si256((__m256i *)(void *)d, w);
    return w;
}

CRC_FOLD_TARGET static inline __m256i crc_fold(__m256i a, __m256i by, __m256i onto)
{
    return _mm256_xor_si256(
        _mm256_xor_si256(_mm256_clmulepi64_epi128(a, by, 0x00), _mm256_clmulepi64_epi128(a, by, 0x11)), onto);
}

CRC_FOLD_TARGET static ist_u32 copy_crc_fold(void *dst, const void *src, ist_size n, ist_u32 crc)
{
    if (n < 2 * CRC_FOLD)
        return copy_crc_wide(dst, src, n, crc);
    uint64_t c = (uint32_t)~crc;
    uint8_t *d = dst;
    const uint8_t *s = src;
    for (; n % CRC_FOLD >= 16; n -= 16, d += 16, s += 16)
        c = crc_move_two(d, s, c);
    __m256i a[4];
#pragma GCC unroll 4
    for (int i = 0; i < 4; i++)
        a[i] = crc_move_four(d + 32 * i, s + 32 * i);
    a[0] = _mm256_xor_si256(a[0], _mm256_set_epi64x(0, 0, 0, (long long)c));
    for (n -= CRC_FOLD; n >= CRC_FOLD; n -= CRC_FOLD) {
        d += CRC_FOLD;
        s += CRC_FOLD;
#pragma GCC unroll 4
        for (int i = 0; i < 4; i++)
            a[i] = crc_fold(a[i], CRC_BY_1024, crc_move_four(d + 32 * i, s + 32 * i));
    }
#pragma GCC unroll 3
    for (int i = 0; i < 3; i++)
        a[i + 1] = crc_fold(a[i], CRC_BY_256, a[i + 1]);
    const __m128i low = _mm256_castsi256_si128(a[3]), high = _mm256_extracti128_si256(a[3], 1);
    const __m128i first = _mm_clmulepi64_si128(low, CRC_BY_128, 0x00), second = _mm_clmulepi64_si128(low, CRC_BY_128, 0x11);
    const __m128i last = _mm_xor_si128(_mm_xor_si128(first, second), high);
    c = CRC_WORD(CRC_WORD(0, (uint64_t)_mm_cvtsi128_si64(last)), (uint64_t)_mm_extract_epi64(last, 1));
    return ~crc_chain(d + CRC_FOLD, s + CRC_FOLD, n, c);
}

static inline ist_copy_crc_fn crc_way(unsigned k)
{
    const int single = __builtin_cpu_supports("sse4.2"), wide = single && __builtin_cpu_supports("pclmul");
    const int fold = wide && __builtin_cpu_supports("avx2") && __builtin_cpu_supports("vpclmulqdq");
    const ist_copy_crc_fn ways[] = {fold ? copy_crc_fold : NULL, wide ? copy_crc_wide : NULL, single ? copy_crc : NULL};
    for (unsigned i = 0; i < sizeof ways / sizeof ways[0]; i++)
        if (ways[i] && k-- == 0)
            return ways[i];
    return NULL;
}

#elif defined(__aarch64__)

static inline ist_copy_crc_fn crc_way(unsigned k)
{
    return k == 0 && (getauxval(AT_HWCAP) & (1u << 7)) /* HWCAP_CRC32 */ ? copy_crc : NULL;
}

#else

static inline ist_copy_crc_fn crc_way(unsigned k)
{
    (void)k;
    return NULL;
}

#endif
#endif
