/* SPDX-License-Identifier: MIT */
/* isthmus-secure: the Secure world as a process of a Linux host, with lwIP. Started by the supervisor; what it wants in
 * its environment is in setup.h.
 *
 * With ISTHMUS_PACKET=descriptor instead of a channel it runs the same stack and applications on a TAP or an AF_PACKET
 * socket, for comparison; ISTHMUS_CONTROL may then be any socket whose end of file ends it, or be missing.
 *
 * Exit status: 0 on STOP or when the supervisor or the device is gone, 2 after one line on standard error, 3 likewise
 * when the watchdog was not fed. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "baretimer.h"
#include "loop.h"
#include "lwip/init.h"
#include "lwipapps.h"
#include "netif/ethernet.h"
#include "packetfd.h"
#include "platform.h"
#include "setup.h"

#define RX_MEMORY (16u << 20)   /* of receive buffers: ten thousand frames of a 1500-byte MTU, or two hundred of 64 KiB */
#define SMALL_MEMORY (8u << 20) /* of those for short frames, where others may be long: more than all connections can hold */
#define LANE_MEMORY (1u << 20)  /* of those of each other lane */
#define SMALL_FRAME 1536u

static struct setup setup;
static struct loop loop;
static struct status_source source;
static const struct rxpool *pool; /* of received frames */
static uint8_t rx_memory[RX_MEMORY], small_memory[SMALL_MEMORY], lane_memory[IST_LANES_MAX - 1][LANE_MEMORY];

/* ---- what lwIP asks of the platform ----------------------------------------------------------------------------- */

_Noreturn void isthmus_lwip_assert(const char *what, const char *file, int line)
{
    fprintf(stderr, "isthmus-secure: lwIP %s:%d: %s\n", file, line, what);
    abort(); /* its signal asks for the safe state */
}

uint32_t isthmus_lwip_random(void)
{
    return setup_random();
}

u32_t sys_now(void)
{
    return (u32_t)(ist_now() / 1000000u);
}

/* ---- what the status shows ---------------------------------------------------------------------------------------- */

static void report_critical(struct critical_report *r)
{
    critical_fill(&loop.critical, r);
    baretimer_fill(&r->bare_timer);
}

static void report_stack(struct stack_status *s)
{
    lwip_status(&loop.netif, pool, s);
}

static uint64_t last_frame(void)
{
    return loop.busy.worked;
}

/* The Secure world's members of a STATUS reply; host/world.c has written the common ones. */
static size_t world_status(void *ctx, char *text, size_t room)
{
    struct text t = text_over(text, room);

    (void)ctx;
    text_str(&t, ",\"age_us\":");
    if (loop.busy.worked == 0)
        text_str(&t, "null");
    else
        text_u64(&t, (ist_now() - loop.busy.worked) / 1000u);
    apps_json(&t, &source);
    text_open(&t, "doorbells");
    text_member(&t, "rings", loop.world.rings);
    text_member(&t, "wakes", loop.bell.wakes);
    text_member(&t, "spurious", loop.bell.spurious);
    text_member(&t, "spurious_max", loop.bell.most);
    text_close(&t);
    return t.cut ? 0 : (size_t)(t.at - text);
}

/* ---- start --------------------------------------------------------------------------------------------------------- */

static netif_init_fn open_channel(struct loop *l)
{
    struct isthmusif *i = &l->lower.channel;

    l->world.status = world_status;
    l->world.offers = IST_FEATURE_OFFLOAD;
    i->lanes = setup_lanes(&setup, &l->world, i->lane);
    if (l->world.ep.config.mtu > ISTHMUSIF_MTU_MAX)
        setup_refuse("MTU above what lwIP can carry (65500)", NULL);
    l->on_channel = 1;
    i->now = ist_now;
    i->mtu = (u16_t)l->world.ep.config.mtu;
    i->valid = critical_frame;
    memcpy(i->mac, setup.mac, sizeof i->mac);
    for (uint32_t k = 0; k < i->lanes; k++)
        rxpool_init(&i->buffers[k].pool, k == 0 ? rx_memory : lane_memory[k - 1], k == 0 ? RX_MEMORY : LANE_MEMORY,
                    l->world.ep.config.frame_max < 0xffffu ? l->world.ep.config.frame_max : 0xffffu);
    if (l->world.ep.config.frame_max > SMALL_FRAME)
        rxpool_init(&i->buffers[0].small, small_memory, sizeof small_memory, SMALL_FRAME);
    source.ep = &l->world.ep;
    source.budget = &i->lane[0].budget;
    source.lane = i->lane;
    source.lanes = i->lanes;
    pool = &i->buffers[0].pool;
    return isthmusif_init;
}

static netif_init_fn open_packet(struct loop *l)
{
    struct packetif *i = &l->lower.packet;
    int error;

    if (setup.mtu < 576 || setup.mtu > ISTHMUSIF_MTU_MAX)
        setup_refuse("MTU outside 576..65500", "ISTHMUS_CONFIG");
    setup_plain(&l->world);
    i->fd = setup.packet_fd;
    error = packetfd_open(i->fd, &i->header);
    if (error != 0)
        setup_refuse("cannot use the descriptor in ISTHMUS_PACKET", strerror(-error));
    i->mtu = (u16_t)setup.mtu;
    memcpy(i->mac, setup.mac, sizeof i->mac);
    rxpool_init(&i->pool, rx_memory, sizeof rx_memory, setup.mtu + SIZEOF_ETH_HDR + 4u);
    pool = &i->pool;
    return packetif_init;
}

static ip4_addr_t address(const uint8_t octets[4])
{
    ip4_addr_t a;

    memcpy(&a.addr, octets, sizeof a.addr); /* in network order */
    return a;
}

/* One segment acknowledged may send many: each frame that goes out is a piece of work of its own, and the peer works on it
 * while we make the next. */
static netif_linkoutput_fn lower_output;

static err_t output(struct netif *netif, struct pbuf *p)
{
    err_t e = lower_output(netif, p);

    if (loop.on_channel && isthmusif_flush(netif))
        ist_world_ring(&loop.world);
    critical_piece(&loop.critical);
    return e;
}

int main(void)
{
    const uint64_t born = ist_now();
    ip4_addr_t ip, netmask, peer;
    netif_init_fn lower;

    setup_read(&setup, loop.critical.tasks);
    loop.step_frames = setup.step_frames;
    loop.step_bytes = setup.step_bytes;
    loop.busy.max = setup.spin;
    ip = address(setup.ip);
    netmask = address(setup.netmask);
    peer = address(setup.peer);
    lower = setup.packet_fd >= 0 ? open_packet(&loop) : open_channel(&loop);

    source.stack = report_stack;
    source.critical = report_critical;
    source.now = ist_now;
    source.last_frame = last_frame;
    source.units_per_us = 1000;
    lwip_init();
    if (netif_add(&loop.netif, &ip, &netmask, &peer, &loop.lower, lower, ethernet_input) == NULL)
        setup_refuse("lwIP refused the interface", NULL);
    lower_output = loop.netif.linkoutput;
    loop.netif.linkoutput = output;
    netif_set_default(&loop.netif);
    netif_set_up(&loop.netif);
    if (apps_start(&source) != 0 || networked_start(&loop.critical.tasks[TASK_INSIDE].spec, setup.flows) != 0)
        setup_refuse("lwIP's pools are too small for the applications", NULL);
    (void)mlockall(MCL_CURRENT); /* no page fault in the critical task, where the limits allow it */

    critical_init(loop.critical.tasks, setup.flows, source.ep, source.lanes);
    if (!loop.on_channel)
        critical_follow(IST_RUN);
    setup_guards(&setup, &loop.critical);
    critical_start(&loop.critical, born);
    if (critical_thread_below(&loop.critical) != 0)
        setup_refuse("cannot start the task below", NULL);
    loop_run(&loop);
    if (loop.on_channel)
        ist_world_close(&loop.world);
    return 0;
}
