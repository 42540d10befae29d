/* SPDX-License-Identifier: MIT */
/* dpdk.h - what both peers of DPDK need: an environment of one processor, without devices, sockets or files that stay. */
#ifndef ISTHMUS_BENCH_DPDK_H
#define ISTHMUS_BENCH_DPDK_H

#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include <rte_common.h>
#include <rte_eal.h>
#include <rte_errno.h>
#include <rte_mbuf.h>

#include "bench.h"

#define BURST 32u /* frames per call to DPDK */
#define ROOM 2048u /* bytes of a frame's buffer */
#define BUFFERS 2047u /* of a pool: 2^n - 1 is what a mempool likes */

/* `own`: three arguments of the peer's. DPDK writes to standard output, which is for the result: it gets standard
 * error. */
static inline void environment(struct run *r, int end, const char *const own[3])
{
    static char program[] = "bench", no_pci[] = "--no-pci", no_telemetry[] = "--no-telemetry",
                quiet[] = "--log-level=critical";
    char cores[32], theirs[3][192];
    char *arguments[] = {program, no_pci, no_telemetry, quiet, cores, theirs[0], theirs[1], theirs[2], NULL};
    const int output = dup(STDOUT_FILENO);

    /* The two ends are different cores for DPDK as well: a pool keeps a cache for each. */
    snprintf(cores, sizeof cores, "--lcores=%d@%d", end, r->opt.cpu[end]);
    for (int i = 0; i < 3; i++)
        snprintf(theirs[i], sizeof theirs[i], "%s", own[i]);
    dup2(STDERR_FILENO, STDOUT_FILENO);
    if (rte_eal_init((int)(sizeof arguments / sizeof arguments[0]) - 1, arguments) < 0)
        fail(r, end, "DPDK does not start: %s", rte_strerror(rte_errno));
    dup2(output, STDOUT_FILENO);
    close(output);
}

/* One word over the wire between the ends: what was to be done before the other goes on is done. */
static inline void tell(struct run *r, int end)
{
    if (write(r->wire[end], "+", 1) != 1)
        fail(r, end, "the other end is gone");
}

static inline void wait_for_other(struct run *r, int end)
{
    char c;
    if (read(r->wire[end], &c, 1) != 1)
        fail(r, end, "the other end is gone");
}

#endif
