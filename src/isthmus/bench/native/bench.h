/* SPDX-License-Identifier: MIT */
/* bench.h - what the case runner and its cases share.
 *
 * One run = one case, one frame size, two ends pinned to two processors:
 *
 *   end 0 (leads)   ping-pong | rtt: send, wait for the echo, note the time | flood: send as fast as room allows
 *   end 1 (follows) ping-pong | rtt: receive, check, send it back          | flood: receive, check, count
 *
 * Every frame is copied in from private memory and copied out to private memory; its first eight bytes are a sequence
 * that the receiver checks on its private copy. A frame lost, repeated or reordered ends the run with an error. */
#ifndef ISTHMUS_BENCH_H
#define ISTHMUS_BENCH_H

#include <stdint.h>
#include <time.h>

#define LINE 128u         /* words with different readers lie this far apart */
#define FRAME_ROOM 65552u /* private frame buffers of both ends */
#define SAMPLES (1u << 20)

enum wait { WAIT_SPIN, WAIT_ADAPTIVE, WAIT_SLEEP };
#define ADAPTIVE_NS 50000u /* how long WAIT_ADAPTIVE spins before it sleeps */

struct options {
    uint32_t frame;      /* bytes per frame, 60..FRAME_ROOM */
    uint32_t batch;      /* frames per publication in flood */
    uint32_t ring_bytes; /* packed rings: bytes each way, a power of two */
    uint32_t slots;      /* slot rings: slots each way, a power of two */
    uint32_t tag;        /* enum ist_tag */
    uint32_t channels;   /* where there are many: so many, */
    uint32_t busy;       /* of which the first so many have traffic */
    enum wait wait;
    int threads;         /* both ends in one process instead of two */
    int cpu[2];
    int fd[2];           /* given sockets, or -1 */
    uint64_t seed;       /* of the epoch and key */
    uint64_t warm_ns, rtt_ns;     /* rtt of 0 ns: left out */
    uint64_t rewarm_ns, flood_ns; /* likewise; the warm-up is shorter, the ends are warm already */
};

/* What one end saw during one phase. */
struct meter {
    uint64_t wall_ns, cpu_ns;
    uint64_t involuntary, voluntary; /* context switches */
};

/* One end's private results, in memory that both ends and the parent share; touched only outside measured phases. */
struct report {
    struct meter rtt, flood;
    uint64_t samples; /* round trips noted in `sample` */
    double ns_per_tick;
    uint64_t frames;  /* received in the flood phase */
    uint64_t size;    /* bytes that a channel takes, where there are many */
    char error[160];
    uint32_t sample[SAMPLES]; /* ticks */
};

/* Shared by both ends: written by one end, read by the other, each word on lines of its own. */
struct board {
    _Alignas(LINE) uint32_t ping;
    _Alignas(LINE) uint32_t pong;
    _Alignas(LINE) uint32_t arrived[2]; /* barriers passed by each end */
    _Alignas(LINE) uint64_t window[2];  /* frames taken by each end, for peers without flow control of their own */
    _Alignas(LINE) double pingpong_us; /* median */
    _Alignas(LINE) struct report report[2];
};

struct run {
    struct options opt;
    struct board *board;
    void *shared; /* the case's own, made by prepare() */
    int wire[2];  /* SOCK_SEQPACKET pair between the ends, for what they hand over at the start */
};

struct bench_case {
    const char *name;
    /* Before the ends start: makes what they inherit. 0, or -1 with *why. */
    int (*prepare)(struct run *r, const char **why);
    /* In end `end`: opens its port, then all phases. Calls fail() when anything is wrong. */
    void (*traffic)(struct run *r, int end);
    int one_way; /* its samples are of a way, not of a way and back */
};

/* What a program can run, a null pointer behind it: cases.c, or a peer of peers/ that has a program of its own. */
extern const struct bench_case *const cases[];

/* Notes why this end gives up and ends it. The parent ends the other one. */
_Noreturn void fail(struct run *r, int end, const char *format, ...) __attribute__((format(printf, 3, 4)));

void meet(struct run *r, int end); /* barrier of both ends */
void pingpong(struct run *r, int end, uint64_t ns, int keep);
void meter_start(struct meter *m);
void meter_stop(struct meter *m);
double percentile_us(struct report *lead, double part); /* sorts the samples */
void *shared_memory(uint64_t bytes); /* zeroed and touched, inherited by both ends; NULL when there is none */

static inline uint64_t now_ns(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

/* Between two looks at a word that the other end is about to write. Polling without it keeps pulling the line away
 * from its writer: it costs the ideal rings a quarter of their round-trip time. */
static inline void relax(void)
{
#if defined(__x86_64__)
    __builtin_ia32_pause();
#elif defined(__aarch64__)
    __asm__ volatile("yield" ::: "memory");
#endif
}

/* The cheapest clock there is; its unit is calibrated against now_ns() over each phase. */
static inline uint64_t ticks(void)
{
#if defined(__x86_64__)
    return __builtin_ia32_rdtsc();
#else
    return now_ns();
#endif
}

#endif
