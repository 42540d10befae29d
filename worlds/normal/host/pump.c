/* SPDX-License-Identifier: MIT OR GPL-2.0 */
/* pump.c - the Normal world's frame pump: carries frames between the kernel's interface and the channel.
 *
 *   kernel IP stack -> ist0 -> packet descriptor -> pump -> our ring ... peer's ring -> pump -> packet descriptor -> ist0
 *
 * The packet descriptor is a TAP or an AF_PACKET socket, each with a vnet header before every frame. It belongs to the
 * supervisor, which holds it open: frames, routes and TCP connections outlive this process.
 *
 * One step moves at most BATCH frames each way. A full ring is not a reason to drop: the pump stops reading, so that the
 * kernel queues, and asks for a doorbell when there is room. Where the channel has lanes beside the bulk lane it reads on and
 * drops what finds its lane's ring full: what stands behind may be another lane's. Before it sleeps it looks on for as long
 * as busypoll.h says; it never sleeps longer than PERIOD_NS. */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif
#include <errno.h>
#include <poll.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/uio.h>
#include <time.h>
#include <unistd.h>

#include "busypoll.h"
#include "choice.h"
#include "offload.h"
#include "sandbox.h"
#include "world.h"

#define BATCH 64u
#define PERIOD_NS 1000000u

struct pump {
    struct ist_world world;
    int fd;            /* packet descriptor, non-blocking */
    uint32_t limit;    /* frame_max */
    struct choice choice;
    uint8_t *frame;    /* private: one frame between the channel and the kernel, and back where it is not read in place */
    uint64_t ticked;   /* when the session was last looked after */
    struct busypoll busy; /* how long to look before sleeping */
    uint64_t read, written;
    uint64_t dropped;   /* the kernel did not take a frame of the peer's */
    uint64_t malformed; /* the kernel offered a frame that cannot enter the channel: offload fields that cannot be, or its length */
};

static size_t status(void *ctx, char *text, size_t room)
{
    const struct pump *p = ctx;
    int n = snprintf(text, room, ",\"packet\":{\"read\":%llu,\"written\":%llu,\"dropped\":%llu,\"malformed\":%llu}",
                     (unsigned long long)p->read, (unsigned long long)p->written, (unsigned long long)p->dropped,
                     (unsigned long long)p->malformed);
    return n > 0 && (size_t)n < room ? (size_t)n : 0;
}

/* ---- kernel -> channel ------------------------------------------------------------------------------------ */

/* Is there room for the largest frame? Looks at the peer's cursor only when what we know of it says no. */
static int has_room(struct ist_endpoint *e)
{
    const uint32_t largest = IST_ROUND(IST_REC_PAYLOAD + e->config.frame_max) + IST_TRAILER;
    return e->config.ring_bytes[IST_NORMAL] - (e->tx.head - e->tx.tail) >= largest || ist_room(e) >= e->config.frame_max;
}

/* The lane of the frame in hand. One that is too long for it, segments in one piece, goes by the bulk lane. */
static struct ist_endpoint *lane_for(struct pump *p, uint32_t length, uint64_t now)
{
    struct ist_endpoint *e = &p->world.lane[choice_of(&p->choice, p->frame, length, now)];

    return length <= e->config.frame_max ? e : &p->world.lane[0];
}

/* Reads one frame and sends it by its lane: 1, or 0 when the kernel has none. A full ring has been counted by the core. */
static int sort_from_kernel(struct pump *p, uint64_t now)
{
    struct virtio_net_hdr header;
    struct ist_meta left, *const meta = p->world.ep.agreed & IST_FEATURE_OFFLOAD ? &left : NULL; /* there is a tag, then */
    uint8_t beyond; /* catches what is too long, instead of cutting it */
    struct iovec iov[3] = {{&header, sizeof header}, {p->frame, p->limit}, {&beyond, 1}};
    ssize_t n = readv(p->fd, iov, 3);
    if (n < 0)
        return 0;
    p->read++;
    const size_t length = (size_t)n - sizeof header;
    if ((size_t)n <= sizeof header || length > p->limit || offload_complete(&header, p->frame, length, meta) != 0)
        p->malformed++;
    else
        (void)ist_send(lane_for(p, (uint32_t)length, now), p->frame, (uint32_t)length, meta);
    return 1;
}

/* Reads one frame in place, where nothing is computed over it: 1, or 0 when the kernel has none. The reservation
 * stands until a frame comes; it is ours alone and costs nothing. */
static int take_from_kernel(struct pump *p)
{
    struct ist_endpoint *e = &p->world.ep;
    struct virtio_net_hdr header;
    uint8_t beyond; /* catches what is too long, instead of cutting it */
    if (e->tx.open == 0 && ist_reserve(e, p->limit, NULL) != IST_V_OK)
        return 0;
    uint8_t *place = ist_place(e);
    struct iovec iov[3] = {{&header, sizeof header}, {place, p->limit}, {&beyond, 1}};
    ssize_t n = readv(p->fd, iov, 3);
    if (n < 0)
        return 0;
    p->read++;
    const size_t length = (size_t)n - sizeof header;
    if ((size_t)n <= sizeof header || length > p->limit || offload_complete(&header, place, length, NULL) != 0) {
        p->malformed++;
        ist_cancel(e);
        return 1;
    }
    (void)ist_commit(e, (uint32_t)length);
    return 1;
}

/* At once, frame by frame: the peer works on this one while we ask the kernel for the next, a system call each. */
static void publish(struct ist_world *w)
{
    int ring = 0;
    for (uint32_t k = 0; k < w->lanes; k++)
        ring |= ist_publish(&w->lane[k]);
    if (ring)
        ist_world_ring(w);
}

static unsigned to_channel(struct pump *p, uint64_t now, int *full)
{
    struct ist_world *w = &p->world;
    struct ist_endpoint *e = &w->ep;
    const int in_place = w->lanes == 1 && e->config.tag == IST_TAG_NONE;
    unsigned moved = 0;
    *full = 0;
    while (moved < BATCH) {
        if (w->lanes == 1 && e->tx.open == 0 && !has_room(e)) {
            *full = 1;
            break;
        }
        if (!(in_place ? take_from_kernel(p) : sort_from_kernel(p, now)))
            break;
        publish(w);
        moved++;
    }
    return moved;
}

/* ---- channel -> kernel ------------------------------------------------------------------------------------ */

/* The next frame of the highest lane that has one. *from: the lane that it is in, or the last one looked at. */
static enum ist_verdict look(struct pump *p, uint64_t now, struct ist_frame *f, struct ist_endpoint **from)
{
    enum ist_verdict v = IST_V_EMPTY;
    for (uint32_t k = p->world.lanes; k-- > 0;) {
        *from = &p->world.lane[k];
        v = ist_peek(*from, now, f);
        if (v != IST_V_EMPTY && v != IST_V_DOWN && v != IST_V_BUDGET)
            break;
    }
    return v;
}

static unsigned from_channel(struct pump *p, uint64_t now)
{
    struct ist_world *w = &p->world;
    struct virtio_net_hdr header;
    struct ist_endpoint *e;
    struct ist_frame f;
    unsigned looked = 0;
    int ring = 0;
    for (; looked < BATCH; looked++) {
        enum ist_verdict v = look(p, now, &f, &e);
        if (v == IST_V_EMPTY || v == IST_V_DOWN || v == IST_V_BUDGET)
            break;
        if (v != IST_V_OK || ist_take(e, p->frame) != IST_V_OK)
            continue; /* refused and counted */
        offload_describe(&header, p->frame, f.length, e->config.mtu, &f.meta);
        struct iovec iov[2] = {{&header, sizeof header}, {p->frame, f.length}};
        if (writev(p->fd, iov, 2) < 0)
            p->dropped++;
        else
            p->written++;
    }
    for (uint32_t k = 0; k < w->lanes; k++)
        ring |= ist_rx_bell(&w->lane[k]);
    if (ring)
        ist_world_ring(w);
    return looked;
}

/* ---- sleep -------------------------------------------------------------------------------------------------- */

/* Asks for a doorbell in every lane. True: there is work already. */
static int arm(struct pump *p, int full)
{
    struct ist_world *w = &p->world;
    for (uint32_t k = 0; k < w->lanes; k++)
        if (ist_arm_for_sleep(&w->lane[k]))
            return 1;
    return full && ist_arm_tx_for_sleep(&w->ep, p->limit);
}

static void disarm(struct ist_world *w)
{
    for (uint32_t k = 0; k < w->lanes; k++)
        ist_disarm(&w->lane[k]);
}

/* Waits for a doorbell, the kernel, the supervisor, or the end of the period. */
static void sleep_until_due(struct pump *p, int running, int full)
{
    struct ist_world *w = &p->world;
    struct pollfd fds[3] = {
        {.fd = w->control_fd, .events = POLLIN},
        {.fd = w->bell_fd, .events = POLLIN},
        {.fd = running && !full ? p->fd : -1, .events = POLLIN},
    };
    if (running && arm(p, full)) {
        disarm(w);
        return;
    }
    for (uint32_t k = 0; k < w->lanes; k++)
        if (ist_rx_bell(&w->lane[k]))
            ist_world_ring(w);
    const uint64_t now = ist_now(), due = p->ticked + PERIOD_NS;
    const struct timespec wait = {.tv_nsec = due > now ? (long)(due - now) : 0};
    (void)ppoll(fds, 3, &wait, NULL);
    if (running)
        disarm(w);
    if (fds[0].revents != 0)
        ist_world_control(w);
    if (fds[1].revents != 0)
        ist_world_bell(w);
    p->ticked = 0; /* look after the session after every wake-up */
}

static void run(struct pump *p)
{
    struct ist_world *w = &p->world;
    int full = 0;
    while (!w->stopping) {
        const uint64_t now = ist_now();
        if (now - p->ticked >= PERIOD_NS) {
            if (p->ticked != 0)
                ist_world_control(w);
            ist_world_tick(w, now);
            p->ticked = now;
        }
        const int running = ist_link_state(ist_lanes_worst(w->lane, w->lanes)) == IST_RUN;
        const int moved = running && to_channel(p, now, &full) + from_channel(p, now) > 0;
        busypoll_looked(&p->busy, now, moved);
        if (moved)
            continue;
        if (!running || now >= busypoll_until(&p->busy))
            sleep_until_due(p, running, full);
        else
            sched_yield();
    }
}

/* ---- start ---------------------------------------------------------------------------------------------------- */

static int complain(const char *what)
{
    fprintf(stderr, "isthmus-normal: %s\n", what);
    return 2;
}

int main(void)
{
    static struct pump p;
    const char *packet = getenv("ISTHMUS_PACKET");
    p.world.offers = IST_FEATURE_OFFLOAD;
    if (ist_world_open(&p.world) != 0)
        return 2;
    if (!packet)
        return complain("ISTHMUS_PACKET is not set");
    p.fd = atoi(packet);
    p.limit = p.world.ep.config.frame_max;
    p.frame = malloc(p.limit);
    if (!p.frame)
        return complain("out of memory");
    if (choice_open(&p.choice, p.world.lanes) != 0)
        return complain("ISTHMUS_CHOICE does not hold a table for each lane");
    p.world.status = status;
    p.world.ctx = &p;
    p.busy.max = BUSYPOLL_MAX_NS;
    if (ist_sandbox() != 0)
        return complain("the system call filter cannot be set");
    run(&p);
    ist_world_close(&p.world);
    return 0;
}
