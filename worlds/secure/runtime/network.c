/* SPDX-License-Identifier: MIT */
#include "network.h"

#include "account.h"
#include "board.h"
#include "channel.h"
#include "clock.h"
#include "fault.h"
#include "isthmusif.h"
#include "lwip/init.h"
#include "lwip/timeouts.h"
#include "lwipapps.h"
#include "netif/ethernet.h"
#include "normal.h"
#include "orders.h"
#include "platform.h"
#include "random.h"
#include "rest.h"
#include "schedule.h"
#include "smc.h"
#include "sysreg.h"

#define RX_MEMORY (6u << 20)    /* of receive buffers for any frame */
#define SMALL_MEMORY (2u << 20) /* of those for short ones: more than all connections can keep out of order */
#define LANE_MEMORY (1u << 20)  /* of those for the frames of each other lane */
#define SMALL_FRAME 1536u

static uint8_t rx_memory[RX_MEMORY], small_memory[SMALL_MEMORY];
#if BOARD_LANES > 1
static uint8_t lane_memory[BOARD_LANES - 1][LANE_MEMORY];
#endif
static struct isthmusif lower = {.valid = critical_frame, .lanes = BOARD_LANES, .mtu = BOARD_MTU, .mac = BOARD_SECURE_MAC};
static struct netif netif;
static uint64_t last_frame;     /* when the last one came; 0 = never */
static uint64_t ticks;          /* of the scheduler, as last seen */
static int full;                /* the last step ended before its work did: Linux may be waiting for its share */

/* ---- what lwIP asks of the platform -------------------------------------------------------------------------------- */

_Noreturn void isthmus_lwip_assert(const char *what, const char *file, int line)
{
    (void)file, (void)line;
    fault(what);
}

uint32_t isthmus_lwip_random(void)
{
    return random_draw();
}

u32_t sys_now(void)
{
    return (u32_t)(clock_now() / 1000000u);
}

/* ---- status --------------------------------------------------------------------------------------------------------- */

static uint64_t when_last_frame(void)
{
    return last_frame;
}

static void stack_status(struct stack_status *s)
{
    lwip_status(&netif, &lower.buffers[0].pool, s);
}

static const struct status_source source = {
    .ep = &channel[0],
    .budget = &lower.lane[0].budget,
    .lane = lower.lane,
    .lanes = BOARD_LANES,
    .stack = stack_status,
    .critical = schedule_report,
    .now = clock_now,
    .last_frame = when_last_frame,
    .units_per_us = 1000,
    .more = normal_json,
};

static void init_buffers(uint32_t k)
{
    const uint32_t frame_max = channel[k].config.frame_max, longest = frame_max < 0xffffu ? frame_max : 0xffffu;

    if (k == 0)
        rxpool_init(&lower.buffers[0].pool, rx_memory, sizeof rx_memory, longest);
#if BOARD_LANES > 1
    else
        rxpool_init(&lower.buffers[k].pool, lane_memory[k - 1], LANE_MEMORY, longest);
#endif
}

const char *network_init(const uint64_t seed[2])
{
    const ip4_addr_t ip = {PP_HTONL(BOARD_SECURE_IP)}, netmask = {PP_HTONL(BOARD_NETMASK)};
    static const struct task_spec tasks[TASKS] = BOARD_TASKS;
    static const struct flow flows[] = BOARD_FLOWS;
    const ip4_addr_t peer = {PP_HTONL(BOARD_NORMAL_IP)};
    enum ist_verdict v;

    random_seed(seed);
    v = channel_init(lower.lane);
    lower.now = clock_now;
    for (uint32_t k = 0; k < BOARD_LANES; k++)
        init_buffers(k);
    if (v != IST_V_OK)
        return ist_verdict_name(v);
    if (channel[0].config.frame_max > SMALL_FRAME)
        rxpool_init(&lower.buffers[0].small, small_memory, sizeof small_memory, SMALL_FRAME);
    lwip_init();
    if (netif_add(&netif, &ip, &netmask, &peer, &lower, isthmusif_init, ethernet_input) == NULL)
        return "lwIP refused the interface";
    netif_set_default(&netif);
    netif_set_up(&netif);
    return apps_start(&source) == 0 && networked_start(&tasks[TASK_INSIDE], flows) == 0 ? NULL : "lwIP's pools are too small for the applications";
}

static void follow(enum ist_state state)
{
    const int was_up = netif_is_link_up(&netif);

    isthmusif_link(&netif, state);
    critical_follow(state);
    if (netif_is_link_up(&netif) != was_up)
        record_event(&control_record, clock_now(), was_up ? "link down" : "link up");
}

/* ---- the session, as the monitor holds it ------------------------------------------------------------------------------ */

static void begin_session(uint64_t epoch, const ist_u64 key[2])
{
    ist_lanes_begin(channel, BOARD_LANES, epoch, key, clock_now());
}

void network_flush(void)
{
    const ist_u32 lanes = isthmusif_flush(&netif);

    if (lanes != 0)
        channel_ring(lanes);
}

/* ---- the loop ------------------------------------------------------------------------------------------------------------ */

static void restart(void)
{
    channel_restart(NULL, network_init);
}

/* Once per period, bell or not: handshake, heartbeat, TCP's timers. */
static void tick(void)
{
    const uint64_t now = schedule_ticks();

    if (now == ticks)
        return;
    ticks = now;
    follow(ist_lanes_poll(channel, BOARD_LANES, clock_now()));
    normal_watch(clock_now(), channel_state());
    sys_check_timeouts();
    orders_obey(restart);
}

/* One budgeted step. OK: there may be more. */
static enum ist_verdict step(void)
{
    const uint64_t now = clock_now();
    uint32_t work;
    enum ist_verdict v = isthmusif_receive(&netif, now, BOARD_STEP_FRAMES, BOARD_STEP_BYTES, &work);

    isthmusif_unblock(&netif);
    network_flush();
    if (work > 0)
        last_frame = now;
    return v;
}

/* Asks for a doorbell in each lane that can take more, before the core is given away. True: there is work already. */
static int arm(void)
{
    if (BOARD_DOORBELL_POLL)
        return 0;
    rest_begin();
    if (channel_state() != IST_RUN)
        return 0;
    for (uint32_t k = 0; k < BOARD_LANES; k++) {
        if (lower.lane[k].last != IST_V_EMPTY)
            continue;
        if ((lower.blocked >> k & 1u) != 0 && ist_arm_tx(&channel[k], isthmusif_frame_max(&netif, k)))
            return 1;
        if (ist_arm(&channel[k], 1))
            return 1;
    }
    return 0;
}

static void disarm(void)
{
    for (uint32_t k = 0; k < BOARD_LANES; k++)
        ist_disarm(&channel[k]);
}

/* Works until there is nothing left, the period's cost is spent, or that much since Linux had its share. What to say to YIELD. */
static uint64_t work(void)
{
    for (;;) {
        enum ist_verdict v;

        tick();
        if (schedule_spent() || (full && (full = schedule_owes()) && (BOARD_LANES == 1 || !arm())))
            return IST_YIELD_MORE;
        v = step();
        /* A lane whose budget is spent asks for no doorbell: the next period looks by itself. */
        if (v == IST_V_BUDGET && (BOARD_LANES == 1 || !arm()))
            return IST_YIELD_MORE;
        if (v != IST_V_OK && v != IST_V_BUDGET && !arm())
            return IST_YIELD_IDLE;
        schedule_charge();
        full = 1;
    }
}

/* The other world has the core, until there is something for this one. */
static void give(uint64_t function, uint64_t why)
{
    const struct yielded back = yield(function, why);

    schedule_back();
    if (back.result != IST_SMC_OK)
        fault("the monitor refused READY or YIELD");
    disarm();
    if (back.events & IST_EVENT_SESSION)
        channel_ask_session(begin_session, follow);
    if (back.events & IST_EVENT_NORMAL)
        normal_told(clock_now());
}

_Noreturn void network_run(void)
{
    uint64_t function = IST_SMC_READY;

    normal_init(clock_now());
    for (;;) {
        const uint64_t why = work();

        if (!schedule_rest(ticks))
            continue;
        if (function == IST_SMC_YIELD)
            rest(why, ticks, channel);
        if (BOARD_CORE_SHARED || function == IST_SMC_READY || schedule_ticks() != ticks) {
            give(function, why);
            function = IST_SMC_YIELD;
        } else { /* the core is ours: the monitor need not be asked more often */
            schedule_back();
            disarm();
        }
    }
}
