/* SPDX-License-Identifier: MIT */
/* harness.h - what the C tests of the core share: named tests, checks that say where, a seeded generator, and a pair
 * of endpoints joined by exact-size buffers.
 *
 * A test program runs the tests named on its command line, or all of them. The first failed check ends it with
 * status 1; `test_case` is then printed too, so that a generated case can be replayed alone. */
#ifndef ISTHMUS_TESTS_HARNESS_H
#define ISTHMUS_TESTS_HARNESS_H

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "isthmus.h"

/* ---- named tests --------------------------------------------------------------------------------------------- */

struct test {
    const char *name;
    void (*run)(void);
    struct test *next;
};

static struct test *tests;
static char test_case[256]; /* id of the generated case that is running, if any */

#define TEST(name)                                                \
    static void name(void);                                       \
    static struct test test_of_##name = {#name, name, NULL};      \
    __attribute__((constructor)) static void add_##name(void)     \
    {                                                             \
        test_of_##name.next = tests;                              \
        tests = &test_of_##name;                                  \
    }                                                             \
    static void name(void)

__attribute__((format(printf, 3, 4), noreturn, unused)) static void fail_at(const char *file, int line,
                                                                             const char *format, ...)
{
    va_list args;
    va_start(args, format);
    fprintf(stderr, "%s:%d: ", file, line);
    vfprintf(stderr, format, args);
    va_end(args);
    fprintf(stderr, "%s%s\n", test_case[0] ? "\nreplay: --case " : "", test_case);
    fflush(NULL);
#ifdef HARNESS_ABORTS
    abort();
#else
    _Exit(1);
#endif
}

#define CHECK(condition)                                            \
    do {                                                            \
        if (!(condition))                                           \
            fail_at(__FILE__, __LINE__, "failed: %s", #condition);  \
    } while (0)

#define CHECK_EQ(got, want)                                                                                   \
    do {                                                                                                      \
        unsigned long long got_ = (unsigned long long)(got), want_ = (unsigned long long)(want);              \
        if (got_ != want_)                                                                                    \
            fail_at(__FILE__, __LINE__, "%s is %llu (0x%llx), not %s = %llu (0x%llx)", #got, got_, got_,      \
                    #want, want_, want_);                                                                     \
    } while (0)

#define CHECK_VERDICT(got, want)                                                                               \
    do {                                                                                                       \
        ist_u32 got_ = (ist_u32)(got), want_ = (ist_u32)(want);                                                \
        if (got_ != want_)                                                                                     \
            fail_at(__FILE__, __LINE__, "%s is %s, not %s", #got, ist_verdict_name(got_),                      \
                    ist_verdict_name(want_));                                                                  \
    } while (0)

__attribute__((unused)) static int run_tests(int argc, char **argv)
{
    int ran = 0;
    for (struct test *t = tests; t; t = t->next) {
        int wanted = argc < 2;
        for (int i = 1; i < argc; i++)
            wanted |= !strcmp(argv[i], t->name);
        if (!wanted)
            continue;
        t->run();
        printf("ok %s\n", t->name);
        ran++;
    }
    if (ran < argc - 1 || !ran) {
        fprintf(stderr, "no such test\n");
        return 2;
    }
    return 0;
}

/* ---- a seeded generator (splitmix64) ---------------------------------------------------------------------------- */

__attribute__((unused)) static ist_u64 random_next(ist_u64 *state)
{
    ist_u64 z = (*state += 0x9e3779b97f4a7c15u);
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
    z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
    return z ^ (z >> 31);
}

__attribute__((unused)) static ist_u32 random_below(ist_u64 *state, ist_u32 n)
{
    return (ist_u32)(random_next(state) % n);
}

/* ---- a pair of endpoints ------------------------------------------------------------------------------------------ */

struct side {
    struct ist_endpoint e;
    ist_u8 *own; /* exactly ist_buffer_size() bytes: the sanitizer guards both ends */
    ist_u32 size;
};

struct pair {
    struct ist_config config;
    struct side side[2]; /* by role */
    ist_u64 now, epoch, key[2];
};

__attribute__((unused)) static struct ist_config config_of(ist_u32 ring, ist_u32 frame_max, ist_u32 tag)
{
    struct ist_config c;
    memset(&c, 0, sizeof c);
    c.ring_bytes[IST_NORMAL] = c.ring_bytes[IST_SECURE] = ring;
    c.frame_max = frame_max;
    c.tag = tag;
    c.mtu = frame_max - IST_ETHER_ROOM;
    c.features = IST_FEATURE_OFFLOAD;
    return c;
}

/* A buffer as a world finds it: zeroed, aligned like a page of RAM would be to the control block's lines. */
__attribute__((unused)) static void *buffer_new(ist_u32 size)
{
    void *p = NULL;
    if (posix_memalign(&p, IST_LINE, size))
        abort();
    memset(p, 0, size);
    return p;
}

/* Two endpoints that differ in nothing but the role; still in RESET. */
__attribute__((unused)) static void pair_open(struct pair *p, const struct ist_config *c)
{
    memset(p, 0, sizeof *p);
    p->config = *c;
    p->epoch = 0x1122334455667788u;
    p->key[0] = 0x0706050403020100u;
    p->key[1] = 0x0f0e0d0c0b0a0908u;
    for (ist_u32 role = 0; role < 2; role++) {
        p->side[role].size = ist_buffer_size(c, role);
        p->side[role].own = buffer_new(p->side[role].size);
    }
    for (ist_u32 role = 0; role < 2; role++) {
        struct ist_config mine = *c;
        mine.role = role;
        CHECK_VERDICT(ist_init(&p->side[role].e, &mine, p->side[role].own, p->side[1 - role].own), IST_V_OK);
    }
}

__attribute__((unused)) static void pair_close(struct pair *p)
{
    free(p->side[0].own);
    free(p->side[1].own);
}

/* A new epoch on both sides, and polls until both are in RUN. */
__attribute__((unused)) static void pair_run(struct pair *p)
{
    p->epoch++;
    for (ist_u32 role = 0; role < 2; role++)
        ist_begin(&p->side[role].e, p->epoch, p->key, p->now);
    for (int i = 0; i < 4; i++)
        for (ist_u32 role = 0; role < 2; role++)
            ist_poll(&p->side[role].e, ++p->now);
    CHECK_EQ(ist_link_state(&p->side[0].e), IST_RUN);
    CHECK_EQ(ist_link_state(&p->side[1].e), IST_RUN);
}

__attribute__((unused)) static void pair_up(struct pair *p, const struct ist_config *c)
{
    pair_open(p, c);
    pair_run(p);
}

/* Bytes that depend on seed and position, so that a frame from elsewhere is never taken for the right one. */
__attribute__((unused)) static void pattern_fill(ist_u8 *p, ist_u32 n, ist_u64 seed)
{
    ist_u64 s = seed * 0x9e3779b97f4a7c15u + 1;
    for (; n >= 8; n -= 8, p += 8) {
        ist_u64 word = random_next(&s);
        memcpy(p, &word, 8);
    }
    ist_u64 word = random_next(&s);
    memcpy(p, &word, n);
}

/* A word of a shared buffer as the tests' own eyes and hands see it: little-endian, like every world so far. */
__attribute__((unused)) static ist_u32 word_get(const ist_u8 *buffer, ist_u32 offset)
{
    ist_u32 v;
    memcpy(&v, buffer + offset, sizeof v);
    return v;
}

__attribute__((unused)) static void word_set(ist_u8 *buffer, ist_u32 offset, ist_u32 value)
{
    memcpy(buffer + offset, &value, sizeof value);
}

#endif
