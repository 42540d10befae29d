/* SPDX-License-Identifier: MIT */
/* cacheline.c - the bound `cacheline`: two ends bounce a word on one cache line each. No channel between these two
 * processors can be faster, and every other run measures it first as its yardstick. */
#include "bench.h"

static void bounce_lead(struct run *r, uint64_t ns, int keep)
{
    struct board *b = r->board;
    struct report *report = &b->report[0];
    const uint64_t start_ns = now_ns(), start = ticks();
    uint64_t count = 0, before = start;
    uint32_t turn = __atomic_load_n(&b->ping, __ATOMIC_RELAXED), last = 0;
    while (!last) {
        if (count % 256u == 0) {
            last = now_ns() - start_ns >= ns;
            before = ticks();
        }
        turn += 2u; /* bit 0 tells the other end to stop */
        __atomic_store_n(&b->ping, turn | last, __ATOMIC_RELEASE);
        while (__atomic_load_n(&b->pong, __ATOMIC_ACQUIRE) != turn)
            ;
        const uint64_t after = ticks();
        report->sample[count++ % SAMPLES] = (uint32_t)(after - before);
        before = after;
    }
    const double elapsed = (double)(now_ns() - start_ns);
    __atomic_store_n(&b->ping, turn, __ATOMIC_RELEASE); /* both ends leave the words as they found them: even */
    report->samples = count < SAMPLES ? count : SAMPLES;
    report->ns_per_tick = elapsed / (double)(ticks() - start);
    b->pingpong_us = percentile_us(report, 0.5);
    if (!keep)
        report->samples = 0;
}

static void bounce_follow(struct run *r)
{
    struct board *b = r->board;
    uint32_t seen = __atomic_load_n(&b->pong, __ATOMIC_RELAXED), now;
    do {
        while (((now = __atomic_load_n(&b->ping, __ATOMIC_ACQUIRE)) & ~1u) == seen)
            ;
        seen = now & ~1u;
        __atomic_store_n(&b->pong, seen, __ATOMIC_RELEASE);
    } while (!(now & 1u));
}

void pingpong(struct run *r, int end, uint64_t ns, int keep)
{
    meet(r, end);
    end == 0 ? bounce_lead(r, ns, keep) : bounce_follow(r);
    meet(r, end);
}

static int prepare(struct run *r, const char **why)
{
    (void)r, (void)why;
    return 0;
}

static void traffic(struct run *r, int end)
{
    meet(r, end);
    pingpong(r, end, r->opt.warm_ns, 0);
    meter_start(&r->board->report[end].rtt);
    pingpong(r, end, r->opt.rtt_ns, 1);
    meter_stop(&r->board->report[end].rtt);
}

const struct bench_case case_cacheline = {"cacheline", prepare, traffic};
