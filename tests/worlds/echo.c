/* SPDX-License-Identifier: MIT */
/* echo.c - the smallest Secure world: answers every frame with its addresses swapped. For tests of the host machine that
 * want no IP stack. */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "world.h"

static uint8_t frame[IST_FRAME_LIMIT];
static struct ist_world world;

static void swap_addresses(void)
{
    uint8_t kept[6];
    memcpy(kept, frame, 6);
    memcpy(frame, frame + 6, 6);
    memcpy(frame + 6, kept, 6);
}

static void answer_all(uint64_t now)
{
    struct ist_frame f;
    for (int i = 0; i < 64; i++) {
        enum ist_verdict v = ist_peek(&world.ep, now, &f);
        if (v == IST_V_EMPTY || v == IST_V_DOWN)
            break;
        if (v != IST_V_OK || ist_take(&world.ep, frame) != IST_V_OK)
            continue;
        swap_addresses();
        (void)ist_send(&world.ep, frame, f.length, NULL);
    }
    if (ist_publish(&world.ep) | ist_rx_bell(&world.ep))
        ist_world_ring(&world);
}

int main(void)
{
    if (ist_world_open(&world) != 0)
        return 2;
    while (!world.stopping) {
        struct pollfd fds[2] = {{.fd = world.control_fd, .events = POLLIN}, {.fd = world.bell_fd, .events = POLLIN}};
        const struct timespec period = {.tv_nsec = 1000000};
        const int running = ist_world_tick(&world, ist_now()) == IST_RUN;
        if (running)
            answer_all(ist_now());
        if (!running || !ist_arm_for_sleep(&world.ep))
            (void)ppoll(fds, 2, &period, NULL);
        if (fds[0].revents)
            ist_world_control(&world);
        if (fds[1].revents)
            ist_world_bell(&world);
    }
    ist_world_close(&world);
    return 0;
}
