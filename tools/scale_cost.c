/* SPDX-License-Identifier: MIT */
/* scale_cost.c - PASSES passes over CHANNELS channels of two lanes, of which the first BUSY send a batch of 32 frames each,
 * every eighth by the critical lane; one poll serves them, in one thread.
 *
 *     scale_cost CHANNELS BUSY PASSES       nanoseconds per frame
 *
 * What is counted under an instruction counter is the difference of two numbers of passes. */
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "channels.h"
#include "lane.h"

enum { BULK, CRITICAL, LANES, FRAME = 64, BATCH = 32, CRITICAL_EVERY = 8, RING = 16384, CRITICAL_RING = 4096 };

static struct ist_endpoint ends[2][CHANNELS_MAX][LANES];
static struct netport_lane lane[CHANNELS_MAX * LANES];
static ist_u8 room[2048];

static void *allocate(void *stack, ist_u32 length, void **at)
{
    (void)length;
    *at = room;
    return stack;
}

static void discard(void *stack, void *buffer)
{
    (void)stack, (void)buffer;
    exit(1);
}

static void deliver(void *stack, void *buffer, const struct ist_meta *meta)
{
    (void)buffer, (void)meta;
    ++*(ist_u64 *)stack;
}

static const struct netport_hooks hooks = {allocate, discard, deliver};

static int open_channel(ist_u32 c, ist_u64 *served)
{
    static const ist_u64 key[2] = {1, 2};
    struct ist_config config[LANES] = {
        {.ring_bytes = {RING, RING}, .frame_max = 1518, .mtu = 1500},
    };
    void *buffers[2];
    for (ist_u32 role = 0; role < 2; role++) {
        config[BULK].role = role;
        config[CRITICAL] = ist_lane_config(&config[BULK], CRITICAL, CRITICAL_RING, 0, 0);
        buffers[role] = aligned_alloc(4096, (ist_lanes_size(config, LANES, role) + 4095) & ~4095u);
    }
    for (ist_u32 role = 0; role < 2; role++) {
        for (ist_u32 k = 0; k < LANES; k++)
            config[k].role = role;
        if (ist_lanes_init(ends[role][c], config, LANES, buffers[role], buffers[role ^ 1]) != IST_V_OK)
            return -1;
    }
    for (ist_u32 role = 0; role < 2; role++)
        ist_lanes_begin(ends[role][c], LANES, 1, key, 0);
    for (int i = 0; i < 8; i++)
        (void)ist_lanes_poll(ends[i % 2][c], LANES, 0);
    for (ist_u32 k = 0; k < LANES; k++)
        lane[c * LANES + k] = (struct netport_lane){.ep = &ends[IST_SECURE][c][k], .stack = served};
    return 0;
}

int main(int argc, char **argv)
{
    static const ist_u8 frame[FRAME];
    const ist_u32 channels = argc == 4 ? (ist_u32)atoi(argv[1]) : 0, busy = argc == 4 ? (ist_u32)atoi(argv[2]) : 0;
    const ist_u32 passes = argc == 4 ? (ist_u32)atoi(argv[3]) : 0;
    struct channels set = {.lane = lane, .count = channels, .lanes = LANES, .turn_frames = BATCH, .turn_bytes = 65536};
    struct timespec from, to;
    ist_u64 served = 0;
    ist_u32 work;

    if (channels == 0 || channels > CHANNELS_MAX || busy > channels)
        return 2;
    for (ist_u32 c = 0; c < channels; c++)
        if (open_channel(c, &served) != 0)
            return 1;
    channels_period(&set);
    while (channels_poll(&set, &hooks, NULL, NULL, 0, 256, ~0u, &work) != IST_V_EMPTY)
        ;
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &from);
    for (ist_u32 pass = 0; pass < passes; pass++) {
        const ist_u32 k = pass % CRITICAL_EVERY == 0 ? CRITICAL : BULK;
        for (ist_u32 c = 0; c < busy; c++) {
            for (int i = 0; i < BATCH; i++)
                if (ist_send(&ends[IST_NORMAL][c][k], frame, FRAME, NULL) != IST_V_OK)
                    return 1;
            if (ist_publish(&ends[IST_NORMAL][c][k]))
                channels_rung(&set, k, 1ull << c);
        }
        while (channels_poll(&set, &hooks, NULL, NULL, 0, 256, ~0u, &work) != IST_V_EMPTY)
            ;
    }
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &to);
    if (served != (ist_u64)passes * busy * BATCH)
        return 1;
    printf("%.2f\n", (double)((to.tv_sec - from.tv_sec) * 1000000000L + to.tv_nsec - from.tv_nsec) / (double)served);
    return 0;
}
