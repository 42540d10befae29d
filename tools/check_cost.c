/* SPDX-License-Identifier: MIT */
/* check_cost.c - FRAMES frames of BYTES bytes from one endpoint to another in one thread, in batches of 32.
 *
 *     check_cost BYTES FRAMES TAG       nanoseconds per frame; TAG: 0 none, 1 CRC-32C, 2 SipHash
 *
 * What is counted under an instruction counter is the difference of two numbers of frames. */
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "isthmus.h"
#include "link.h"

enum { RING = 1 << 16, BATCH = 32 };

static struct ist_endpoint ends[2];

int main(int argc, char **argv)
{
    static const ist_u64 key[2] = {1, 2};
    static ist_u8 frame[2048];
    const ist_u32 bytes = argc == 4 ? (ist_u32)atoi(argv[1]) : 0, frames = argc == 4 ? (ist_u32)atoi(argv[2]) : 0;
    struct ist_config c = {.ring_bytes = {RING, RING}, .frame_max = 1536, .mtu = 1500};
    struct timespec from, to;
    struct ist_frame f;
    void *buffers[2];

    if (bytes == 0 || bytes > 1514)
        return 2;
    c.tag = (ist_u32)atoi(argv[3]);
    for (ist_u32 role = 0; role < 2; role++)
        buffers[role] = aligned_alloc(4096, (ist_buffer_size(&c, role) + 4095) & ~4095u);
    for (ist_u32 role = 0; role < 2; role++) {
        c.role = role;
        if (ist_init(&ends[role], &c, buffers[role], buffers[role ^ 1]) != IST_V_OK)
            return 1;
        ends[role].copy_crc = ist_hw_copy_crc();
        ist_begin(&ends[role], 1, key, 0);
    }
    for (int i = 0; i < 8; i++)
        ist_poll(&ends[i % 2], 0);

    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &from);
    for (ist_u32 n = 0; n < frames; n += BATCH) {
        for (int i = 0; i < BATCH; i++)
            if (ist_send(&ends[IST_NORMAL], frame, bytes, NULL) != IST_V_OK)
                return 1;
        ist_publish(&ends[IST_NORMAL]);
        for (int i = 0; i < BATCH; i++)
            if (ist_receive(&ends[IST_SECURE], 0, frame, &f) != IST_V_OK)
                return 1;
    }
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &to);
    printf("%.2f\n", (double)((to.tv_sec - from.tv_sec) * 1000000000L + to.tv_nsec - from.tv_nsec) / frames);
    return 0;
}
