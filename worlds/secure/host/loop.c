/* SPDX-License-Identifier: MIT */
#define _GNU_SOURCE
#include "loop.h"

#include <poll.h>
#include <sched.h>
#include <sys/socket.h>
#include <time.h>

#include "lwip/timeouts.h"
#include "platform.h"

/* What a step found. */
enum found {
    FOUND_WORK,    /* frames came: there may be more */
    FOUND_NOTHING, /* the rings are empty: sleep until the bell */
    FOUND_NO_TURN, /* no link, or a lane's budget is spent: the bell would not help that lane */
};

/* ---- the network ---------------------------------------------------------------------------------------------- */

static uint64_t received(const struct loop *l)
{
    uint64_t bytes = 0;

    for (uint32_t k = 0; k < l->world.lanes; k++)
        bytes += l->world.lane[k].rx.bytes;
    return bytes;
}

/* One budget of frames and bytes, frame by frame, or until a release is due. *work counts them. Returns why it stopped. */
static enum ist_verdict receive(struct loop *l, uint64_t now, uint32_t *work)
{
    const uint64_t end = received(l) + l->step_bytes;
    enum ist_verdict v = IST_V_OK;
    uint32_t one;

    for (*work = 0; v == IST_V_OK && *work < l->step_frames && received(l) < end; *work += one) {
        v = isthmusif_receive(&l->netif, now, 1, (uint32_t)(end - received(l)), &one);
        if (critical_piece(&l->critical)) {
            *work += one;
            break; /* the task above comes first */
        }
    }
    return v;
}

static enum found channel_step(struct loop *l, uint64_t now)
{
    const uint32_t blocked = l->lower.channel.blocked;
    uint32_t work;
    enum ist_verdict v;

    if (l->world.stall_ns > 0) {
        critical_burn(&l->critical, l->world.stall_ns);
        l->world.stall_ns = 0;
    }
    v = receive(l, now, &work);
    isthmusif_unblock(&l->netif);
    bell_judge(&l->bell, work > 0 || l->lower.channel.blocked != blocked);
    if (isthmusif_flush(&l->netif))
        ist_world_ring(&l->world);
    if (work > 0)
        return FOUND_WORK;
    return v == IST_V_EMPTY ? FOUND_NOTHING : FOUND_NO_TURN;
}

static enum found packet_step(struct loop *l)
{
    if (packetif_receive(&l->netif, l->step_frames, l->step_bytes) == 0) {
        l->world.stopping |= l->lower.packet.gone;
        return FOUND_NOTHING;
    }
    return FOUND_WORK;
}

static enum found step(struct loop *l, uint64_t now)
{
    const enum found found = l->on_channel ? channel_step(l, now) : packet_step(l);

    busypoll_looked(&l->busy, now, found == FOUND_WORK);
    return found;
}

/* ---- what is due once per period ------------------------------------------------------------------------------- */

static void hear_control(struct loop *l)
{
    char byte;

    if (l->on_channel)
        ist_world_control(&l->world);
    else if (recv(l->world.control_fd, &byte, 1, MSG_DONTWAIT) == 0) /* nothing is said here but the end of file */
        l->world.stopping = 1;
}

static void follow(struct loop *l, enum ist_state state)
{
    isthmusif_link(&l->netif, state);
    critical_follow(state);
}

static void inject(struct loop *l)
{
    if (l->world.inject == 0)
        return;
    critical_inject(l->world.inject == 1 ? CRITICAL_OVERRUN : CRITICAL_HUNGER);
    l->world.inject = 0;
}

static void tick(struct loop *l)
{
    struct pollfd control = {.fd = l->world.control_fd, .events = POLLIN};

    if (l->bell.deaf)
        ist_world_bell(&l->world);
    bell_period(&l->bell);
    if (l->on_channel)
        follow(l, ist_world_tick(&l->world, ist_now()));
    critical_piece(&l->critical);
    sys_check_timeouts();
    critical_piece(&l->critical);
    if (poll(&control, 1, 0) > 0)
        hear_control(l);
    inject(l);
}

/* ---- waiting ----------------------------------------------------------------------------------------------------- */

static int pending(const struct loop *l)
{
    for (uint32_t k = 0; k < l->world.lanes; k++)
        if (ist_pending(&l->world.lane[k]))
            return 1;
    return 0;
}

/* Looks for more work for as long as the link was busy just now, never beyond the next release. True: look again. */
static int look_on(struct loop *l, uint64_t now)
{
    const uint64_t until = busypoll_until(&l->busy), end = until < l->critical.next ? until : l->critical.next;
    int found = 0;

    if (critical_piece(&l->critical))
        return 1; /* what we did until here stands in the way of the release that is due */
    if (now >= end)
        return 0;
    do {
        sched_yield();
        found = !l->on_channel || pending(l); /* a device is asked by reading */
    } while (!found && ist_now() < end);
    critical_mark(&l->critical); /* who ran meanwhile does not stand in its way */
    return found;
}

/* Asks for a doorbell in each lane that can take more. True: there is work already. */
static int arm(struct loop *l)
{
    const struct isthmusif *i = &l->lower.channel;

    for (uint32_t k = 0; k < l->world.lanes; k++) {
        struct ist_endpoint *e = &l->world.lane[k];

        if (i->lane[k].last != IST_V_EMPTY)
            continue;
        if ((i->blocked >> k & 1u) != 0 && ist_arm_tx_for_sleep(e, isthmusif_frame_max(&l->netif, k)))
            return 1;
        if (ist_arm_for_sleep(e))
            return 1;
    }
    return 0;
}

static void disarm(struct loop *l)
{
    for (uint32_t k = 0; k < l->world.lanes; k++)
        ist_disarm(&l->world.lane[k]);
}

static void sleep_until_release(struct loop *l)
{
    struct pollfd fd[2] = {
        {.fd = l->world.control_fd, .events = POLLIN},
        {.fd = !l->on_channel ? l->lower.packet.fd : l->bell.deaf ? -1 : l->world.bell_fd, .events = POLLIN},
    };
    uint64_t now = ist_now(), left = l->critical.next > now ? l->critical.next - now : 0;
    const struct timespec t = {.tv_sec = (time_t)(left / 1000000000u), .tv_nsec = (long)(left % 1000000000u)};

    if (left == 0)
        return;
    const int ready = ppoll(fd, 2, &t, NULL);
    critical_mark(&l->critical); /* neither the sleep nor what was done before it stands in a release's way */
    if (ready <= 0)
        return;
    if (fd[0].revents != 0)
        hear_control(l);
    if (l->on_channel) {
        const uint32_t told = l->world.told_state;

        if (fd[1].revents != 0) {
            ist_world_bell(&l->world);
            bell_woke(&l->bell);
        }
        follow(l, ist_world_tick(&l->world, ist_now()));
        if (l->world.told_state != told)
            bell_judge(&l->bell, 1); /* it rang for that */
    }
}

static void rest(struct loop *l, enum found found, uint64_t now)
{
    if (found == FOUND_NOTHING && look_on(l, now))
        return;
    if (l->on_channel && arm(l)) {
        disarm(l);
        return;
    }
    sleep_until_release(l);
    if (l->on_channel)
        disarm(l);
}

void loop_run(struct loop *l)
{
    while (!l->world.stopping) {
        uint64_t now = ist_now();
        enum found found;

        if (now >= l->critical.next) {
            critical_run(&l->critical, now);
            tick(l);
            now = ist_now();
        } else {
            critical_mark(&l->critical);
        }
        found = step(l, now);
        if (found != FOUND_WORK)
            rest(l, found, now);
    }
}
