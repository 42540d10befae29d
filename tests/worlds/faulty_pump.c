/* SPDX-License-Identifier: MIT */
/* faulty_pump.c - the frame pump with a kernel beneath it that is not to be trusted. The pump's source is not changed:
 * what it believes to be writev() loses, flips or doubles frames on their way to the interface.
 *
 *   LOSE_EVERY=n, FLIP_EVERY=n, DOUBLE_EVERY=n    every n-th frame; 0 or not defined: never */
#define _GNU_SOURCE
#include <stdint.h>
#include <sys/uio.h>
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
#define HIT(every) ((every) != 0 && frames % ((every) != 0 ? (every) : 1) == 0)

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
    return writev(fd, iov, parts);
}

#define writev faulty_writev
#include "pump.c"
