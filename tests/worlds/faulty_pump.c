/* SPDX-License-Identifier: MIT */
/* faulty_pump.c - the frame pump with a kernel beneath it that is not to be trusted. The pump's source is not changed:
 * what it believes to be writev() loses, flips, doubles or holds up frames on their way to the interface.
 *
 *   LOSE_EVERY=n, FLIP_EVERY=n, DOUBLE_EVERY=n, LATE_EVERY=n    every n-th frame; 0 or not defined: never
 *   LATE_US=n                                                   how long a late one is held up, at least */
#define _GNU_SOURCE
#include <stdint.h>
#include <sys/uio.h>
#include <time.h>
#include <unistd.h>

#ifndef LOSE_EVERY
#define LOSE_EVERY 0
#endif
#ifndef FLIP_EVERY
#define FLIP_EVERY 0
#endif
#ifndef DOUBLE_EVERY
#define DOUBLE_EVERY 0
#endif
#ifndef LATE_EVERY
#define LATE_EVERY 0
#endif
#ifndef LATE_US
#define LATE_US 0
#endif
#define HIT(every) ((every) != 0 && frames % ((every) != 0 ? (every) : 1) == 0)

/* Turns instead of sleeping: the pump's system call filter knows no sleep. */
static void hold_up(uint64_t us)
{
    struct timespec t;
    uint64_t now, due = 0;

    do {
        (void)clock_gettime(CLOCK_MONOTONIC, &t);
        now = (uint64_t)t.tv_sec * 1000000u + (uint64_t)t.tv_nsec / 1000u;
        due = due != 0 ? due : now + us;
    } while (now < due);
}

static ssize_t faulty_writev(int fd, const struct iovec *iov, int parts)
{
    static unsigned frames;
    uint8_t *frame = iov[1].iov_base;

    frames++;
    if (HIT(LOSE_EVERY))
        return (ssize_t)(iov[0].iov_len + iov[1].iov_len);
    if (HIT(FLIP_EVERY))
        frame[iov[1].iov_len / 2] ^= 0x10;
    if (HIT(DOUBLE_EVERY))
        (void)writev(fd, iov, parts);
    if (HIT(LATE_EVERY))
        hold_up(LATE_US);
    return writev(fd, iov, parts);
}

#define writev faulty_writev
#include "pump.c"
