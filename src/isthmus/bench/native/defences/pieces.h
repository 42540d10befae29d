/* SPDX-License-Identifier: MIT */
/* pieces.h - what a loop costs in the processor time of its one thread. It runs in pieces of equal work, and the median
 * piece counts: whoever interrupts one costs it its caches too.
 *
 *   PROGRAM CPU FRAMES PIECES MICROSECONDS ...    at most so many pieces of so many frames; none begins later
 *
 * Prints one line of JSON like main.c, with the meter of a single end. Exit status: as there. */
#ifndef ISTHMUS_BENCH_PIECES_H
#define ISTHMUS_BENCH_PIECES_H

#include <errno.h>
#include <sched.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <time.h>

enum { EXIT_MISSING = 2, EXIT_BROKEN = 3, PIECES_MOST = 8192 };
enum { CPU = 1, FRAMES, PIECES, MICROSECONDS, OWN }; /* arguments; from OWN on they are the loop's own */

static inline uint64_t clock_ns(clockid_t clock)
{
    struct timespec t;
    clock_gettime(clock, &t);
    return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

static inline int by_value(const void *a, const void *b)
{
    const uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;
    return (x > y) - (x < y);
}

/* piece() moves so many frames; 0, or -1 where one was refused. Returns the exit status. */
static inline int measure_pieces(char **argv, int (*piece)(uint32_t frames))
{
    static uint64_t took[PIECES_MOST];
    const uint32_t frames = (uint32_t)strtoul(argv[FRAMES], NULL, 10), most = (uint32_t)strtoul(argv[PIECES], NULL, 10);
    struct rusage before, after;
    cpu_set_t set;
    uint32_t count = 0;

    prctl(PR_SET_PDEATHSIG, SIGKILL);
    CPU_ZERO(&set);
    CPU_SET((unsigned)atoi(argv[CPU]), &set);
    if (frames == 0 || most == 0 || most > PIECES_MOST || sched_setaffinity(0, sizeof set, &set) != 0) {
        fprintf(stderr, "%s: bad arguments, or no such processor\n", program_invocation_short_name);
        return EXIT_MISSING;
    }
    getrusage(RUSAGE_THREAD, &before);
    const uint64_t wall = clock_ns(CLOCK_MONOTONIC), until = wall + strtoull(argv[MICROSECONDS], NULL, 10) * 1000u;
    const uint64_t cpu = clock_ns(CLOCK_THREAD_CPUTIME_ID);
    for (uint64_t from = cpu, to; count < most && (count == 0 || clock_ns(CLOCK_MONOTONIC) < until); count++, from = to) {
        if (piece(frames) != 0) {
            fprintf(stderr, "%s: a frame was refused\n", program_invocation_short_name);
            return EXIT_BROKEN;
        }
        to = clock_ns(CLOCK_THREAD_CPUTIME_ID);
        took[count] = to - from;
    }
    const double cpu_s = (double)(clock_ns(CLOCK_THREAD_CPUTIME_ID) - cpu) / 1e9;
    const double wall_s = (double)(clock_ns(CLOCK_MONOTONIC) - wall) / 1e9;
    getrusage(RUSAGE_THREAD, &after);
    qsort(took, count, sizeof *took, by_value);
    printf("{\"cost\": %.3f, \"samples\": %u, \"flood_meter\": [{\"wall_s\": %.9f, \"cpu_s\": %.9f, \"involuntary\": %ld}, "
           "{\"wall_s\": 0}]}\n",
           (double)took[count / 2u] / frames, count, wall_s, cpu_s, after.ru_nivcsw - before.ru_nivcsw);
    return 0;
}

#endif
