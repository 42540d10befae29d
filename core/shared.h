/* SPDX-License-Identifier: MIT OR GPL-2.0 */
/* shared.h - the only code that touches shared memory.
 *
 * A control word of the peer's is read by exactly one call of ist_load*: the value that was checked is the value that
 * is used. The atomic builtins keep the compiler from reading again or tearing. Payload bytes are copied once into
 * private memory by ist_copy_in; the barrier behind each step keeps the compiler from going back to the source.
 *
 * With IST_TEST_HOOKS a test program sits in every load, as a peer that changes any word at any moment. */
#ifndef ISTHMUS_SHARED_H
#define ISTHMUS_SHARED_H

#include "isthmus.h"

_Static_assert(sizeof(struct ist_meta) == 8, "two words of a record's header");
_Static_assert(__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__, "the wire is little-endian and is not swapped");

typedef ist_u32 ist_word __attribute__((__may_alias__));
/* 16 bytes at any address: a vector register where there is one, two general registers elsewhere. */
typedef ist_u64 ist_chunk __attribute__((__vector_size__(16), __aligned__(1), __may_alias__));
typedef ist_u64 ist_w64 __attribute__((__aligned__(1), __may_alias__));
typedef ist_u32 ist_w32 __attribute__((__aligned__(1), __may_alias__));
typedef ist_u16 ist_w16 __attribute__((__aligned__(1), __may_alias__));

/* What runs once in a while stays out of the way of what runs once per frame. */
#define IST_COLD __attribute__((__noinline__, __cold__))
#ifdef __OPTIMIZE_SIZE__
#define IST_HOT static
#define IST_APART
#else
#define IST_HOT static inline __attribute__((__always_inline__))
#define IST_APART __attribute__((__noinline__))
#endif

#define IST_COMPILER_BARRIER() __asm__ volatile("" ::: "memory")

#ifdef IST_TEST_HOOKS
ist_u32 ist_test_load(const void *addr, ist_u32 value); /* returns what the peer makes the load see */
void ist_test_copy(const void *addr, ist_size n);       /* runs before payload bytes are copied */
#define IST_SEEN(addr, value) ist_test_load((addr), (value))
#define IST_COPYING(addr, n) ist_test_copy((addr), (n))
#else
#define IST_SEEN(addr, value) (value)
#define IST_COPYING(addr, n) ((void)0)
#endif

/* ---- control words -------------------------------------------------------------------------------------- */

static inline const ist_word *ist_word_at(const ist_u8 *buffer, ist_u32 offset)
{
    return (const ist_word *)(const void *)(buffer + offset);
}

static inline ist_u32 ist_load(const ist_u8 *peer, ist_u32 offset)
{
    return IST_SEEN(peer + offset, __atomic_load_n(ist_word_at(peer, offset), __ATOMIC_RELAXED));
}

/* What is read after it was written before the peer's matching ist_store_release. */
static inline ist_u32 ist_load_acquire(const ist_u8 *peer, ist_u32 offset)
{
    return IST_SEEN(peer + offset, __atomic_load_n(ist_word_at(peer, offset), __ATOMIC_ACQUIRE));
}

static inline void ist_store(ist_u8 *own, ist_u32 offset, ist_u32 value)
{
    __atomic_store_n((ist_word *)(void *)(own + offset), value, __ATOMIC_RELAXED);
}

static inline void ist_store_release(ist_u8 *own, ist_u32 offset, ist_u32 value)
{
    __atomic_store_n((ist_word *)(void *)(own + offset), value, __ATOMIC_RELEASE);
}

/* Between publishing and looking at the other side's wake word (or the reverse): the only place that needs it. */
static inline void ist_fence(void)
{
    __atomic_thread_fence(__ATOMIC_SEQ_CST);
}

/* ---- private words that two threads of ours share --------------------------------------------------------- */

/* Whoever sees a state sees what was settled before it: in RUN, the features that were agreed. */
static inline ist_u32 ist_state_get(const struct ist_endpoint *e)
{
    return __atomic_load_n(&e->state, __ATOMIC_ACQUIRE);
}

static inline void ist_state_set(struct ist_endpoint *e, ist_u32 state)
{
    __atomic_store_n(&e->state, state, __ATOMIC_RELEASE);
}

/* Both halves may find at once that the peer left: the reason is then either's, and the departure counts once or twice. */
static inline void ist_reason_set(struct ist_endpoint *e, ist_u32 reason, ist_u32 more)
{
    ist_u64 *count = &e->count[reason];
    __atomic_store_n(&e->reason, reason, __ATOMIC_RELAXED);
    __atomic_store_n(count, __atomic_load_n(count, __ATOMIC_RELAXED) + more, __ATOMIC_RELAXED);
}

/* ---- bytes ----------------------------------------------------------------------------------------------- */

/* Inlined where speed counts; where size does, once, in copy.c. */
#ifdef __OPTIMIZE_SIZE__
#define IST_BYTES_FN
void ist_copy_bytes(ist_u8 *dst, const ist_u8 *src, ist_size n);
void ist_zero(ist_u8 *dst, ist_size n);
#else
#define IST_BYTES_FN static inline
#endif
#if !defined(__OPTIMIZE_SIZE__) || defined(IST_BYTES_BODY)

IST_BYTES_FN void ist_copy_bytes(ist_u8 *dst, const ist_u8 *src, ist_size n)
{
#ifndef __OPTIMIZE_SIZE__
    for (const ist_u8 *end = src + (n & ~(ist_size)63); src != end; src += 64, dst += 64) {
        const ist_chunk *s = (const ist_chunk *)(const void *)src;
        ist_chunk *d = (ist_chunk *)(void *)dst;
        ist_chunk a = s[0], b = s[1], c = s[2], f = s[3];
        /* In rising order: the chunk lies across two lines, and going back and forth between them is slow. */
        d[0] = a;
        IST_COMPILER_BARRIER();
        d[1] = b;
        IST_COMPILER_BARRIER();
        d[2] = c;
        IST_COMPILER_BARRIER();
        d[3] = f;
        IST_COMPILER_BARRIER();
    }
    n &= 63;
#endif
    for (; n >= 16; n -= 16, src += 16, dst += 16) {
        *(ist_chunk *)(void *)dst = *(const ist_chunk *)(const void *)src;
        IST_COMPILER_BARRIER();
    }
    if (n != 0) {
        if (n & 8) {
            *(ist_w64 *)(void *)dst = *(const ist_w64 *)(const void *)src;
            src += 8;
            dst += 8;
        }
        if (n & 4) {
            *(ist_w32 *)(void *)dst = *(const ist_w32 *)(const void *)src;
            src += 4;
            dst += 4;
        }
        if (n & 2) {
            *(ist_w16 *)(void *)dst = *(const ist_w16 *)(const void *)src;
            src += 2;
            dst += 2;
        }
        if (n & 1)
            *dst = *src;
    }
    IST_COMPILER_BARRIER();
}

IST_BYTES_FN void ist_zero(ist_u8 *dst, ist_size n)
{
    for (; n >= 8; n -= 8, dst += 8) {
        *(ist_w64 *)(void *)dst = 0;
        IST_COMPILER_BARRIER();
    }
    for (; n; n--, dst++) {
        *dst = 0;
        IST_COMPILER_BARRIER();
    }
}

#endif

/* The peer's payload into private memory. */
static inline void ist_copy_in(void *dst, const ist_u8 *peer, ist_size n)
{
    IST_COPYING(peer, n);
    ist_copy_bytes((ist_u8 *)dst, peer, n);
}

/* Private bytes into our own buffer. */
static inline void ist_copy_out(ist_u8 *own, const void *src, ist_size n)
{
    ist_copy_bytes(own, (const ist_u8 *)src, n);
}

#endif
