/* SPDX-License-Identifier: MIT */
#include "network.h"

#include "board.h"
#include "clock.h"
#include "console.h"
#include "fault.h"
#include "filter.h"
#include "isthmusif.h"
#include "lwip/init.h"
#include "lwip/timeouts.h"
#include "lwipapps.h"
#include "netif/ethernet.h"
#include "normal.h"
#include "orders.h"
#include "platform.h"
#include "record.h"
#include "rest.h"
#include "restart.h"
#include "schedule.h"
#include "smc.h"
#include "sysreg.h"

#define CHANNEL 0
#define RX_MEMORY (6u << 20)    /* of receive buffers for any frame */
#define SMALL_MEMORY (2u << 20) /* of those for short ones: more than all connections can keep out of order */
#define SMALL_FRAME 1536u

static uint8_t rx_memory[RX_MEMORY], small_memory[SMALL_MEMORY];
static struct ist_endpoint endpoint;
static struct isthmusif lower = {.valid = critical_frame, .ep = &endpoint, .mtu = BOARD_MTU, .mac = BOARD_SECURE_MAC};
static struct netif netif;
static struct ist_filter received, sent;
static uint64_t random_key[2];
static uint64_t last_frame;     /* when the last one came; 0 = never */
static uint64_t ended;          /* epoch whose end is still to be confirmed; 0 = none */
static uint64_t ticks;          /* of the scheduler, as last seen */

/* ---- what lwIP asks of the platform -------------------------------------------------------------------------------- */

_Noreturn void isthmus_lwip_assert(const char *what, const char *file, int line)
{
    (void)file, (void)line;
    fault(what);
}

/* SipHash of a counter under the monitor's seed. */
uint32_t isthmus_lwip_random(void)
{
    static uint64_t count;
    struct ist_tagger t;
    ist_u64 out[2];

    count++;
    ist_tag_start(&t, IST_TAG_SIPHASH, random_key);
    ist_tag_feed(&t, &count, sizeof count);
    ist_tag_finish(&t, out);
    return (uint32_t)out[0];
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
    lwip_status(&netif, &lower.pool, s);
}

static const struct status_source source = {
    .ep = &endpoint,
    .budget = &lower.budget,
    .stack = stack_status,
    .critical = schedule_report,
    .now = clock_now,
    .last_frame = when_last_frame,
    .units_per_us = 1000,
    .more = normal_json,
};

/* The board's allow-lists: of what is received always, of what is sent where the board says so. */
static enum ist_verdict load_filters(void)
{
    static const ist_u64 in[] = BOARD_FILTER, out[] = BOARD_FILTER_OUT;
    enum ist_verdict v = ist_filter_load(&received, in, BOARD_FILTER_WORDS);

    endpoint.filter = &received;
    lower.now = clock_now;
    lower.out = NULL;
    if (v != IST_V_OK || BOARD_FILTER_OUT_WORDS == 0)
        return v;
    lower.out = &sent;
    return ist_filter_load(&sent, out, BOARD_FILTER_OUT_WORDS);
}

const char *network_init(const uint64_t seed[2])
{
    static const struct ist_config config = BOARD_CONFIG;
    const ip4_addr_t ip = {PP_HTONL(BOARD_SECURE_IP)}, netmask = {PP_HTONL(BOARD_NETMASK)};
    static const struct task_spec tasks[TASKS] = BOARD_TASKS;
    static const struct flow flows[] = BOARD_FLOWS;
    const ip4_addr_t peer = {PP_HTONL(BOARD_NORMAL_IP)};
    enum ist_verdict v;

    random_key[0] = seed[0];
    random_key[1] = seed[1];
    v = ist_init(&endpoint, &config, (void *)BOARD_SECURE_BUFFER_BASE, (const void *)BOARD_NORMAL_BUFFER_BASE);
    if (v != IST_V_OK)
        return ist_verdict_name(v);
    budget_init(&lower.budget, BOARD_BUDGET_PERIOD_NS, BOARD_BUDGET_FRAMES, BOARD_BUDGET_BYTES, config.frame_max);
    v = load_filters();
    if (v != IST_V_OK)
        return ist_verdict_name(v);
    rxpool_init(&lower.pool, rx_memory, sizeof rx_memory, config.frame_max < 0xffffu ? config.frame_max : 0xffffu);
    if (config.frame_max > SMALL_FRAME)
        rxpool_init(&lower.small, small_memory, sizeof small_memory, SMALL_FRAME);
    lwip_init();
    if (netif_add(&netif, &ip, &netmask, &peer, &lower, isthmusif_init, ethernet_input) == NULL)
        return "lwIP refused the interface";
    netif_set_default(&netif);
    netif_set_up(&netif);
    return apps_start(&source) == 0 && networked_start(&tasks[TASK_INSIDE], flows) == 0 ? NULL : "lwIP's pools are too small for the applications";
}

const struct ist_endpoint *network_endpoint(void)
{
    return &endpoint;
}

void network_frames(uint64_t *in, uint64_t *out)
{
    *in = endpoint.count[IST_V_OK];
    *out = endpoint.sent;
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

static void ask_session(void)
{
    struct call c = {{IST_SMC_SESSION, CHANNEL}};

    call_monitor(&c);
    if (c.x[0] != IST_SMC_OK)
        fault("the monitor does not know our channel");
    if (c.x[1] == IST_SESSION_SEALED && c.x[2] != endpoint.epoch) {
        const ist_u64 key[2] = {c.x[3], c.x[4]};
        ist_begin(&endpoint, c.x[2], key, clock_now());
    } else if (c.x[1] == IST_SESSION_ENDING) {
        /* Nothing of the peer's buffer is in our hands between two steps: once ended, we are quiescent. */
        ended = c.x[2];
        ist_end(&endpoint, IST_V_PEER_LEFT);
        follow(ist_link_state(&endpoint));
        normal_took_leave();
        c = (struct call){{IST_SMC_QUIESCED, CHANNEL, ended}};
        call_monitor(&c);
    }
}

static void ring(void)
{
    call_monitor(&(struct call){{IST_SMC_RING, CHANNEL, IST_LANE_BULK}});
}

void network_flush(void)
{
    if (isthmusif_flush(&netif))
        ring();
}

/* ---- the loop ------------------------------------------------------------------------------------------------------------ */

/* The session ends with it: the peer sees our state, detaches, and registers again for a new epoch. */
static void restart(void)
{
    uint64_t seed[2];
    const char *failure;

    for (unsigned i = 0; i < 2; i++)
        seed[i] = (uint64_t)isthmus_lwip_random() << 32 | isthmus_lwip_random();
    ist_end(&endpoint, IST_V_PEER_LEFT);
    record_event(&control_record, clock_now(), "stack restarts");
    restart_memory();
    failure = network_init(seed);
    if (failure != NULL)
        fault(failure);
    console_line("channel and stack", " begin anew");
}

/* Once per period, bell or not: handshake, heartbeat, TCP's timers. */
static void tick(void)
{
    const uint64_t now = schedule_ticks();

    if (now == ticks)
        return;
    ticks = now;
    follow(ist_poll(&endpoint, clock_now()));
    normal_watch(clock_now(), ist_link_state(&endpoint));
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

/* Asks for a doorbell before the core is given away. True: there is work already. */
static int arm(void)
{
    if (BOARD_DOORBELL_POLL)
        return 0;
    rest_begin();
    if (ist_link_state(&endpoint) != IST_RUN)
        return 0;
    if (lower.blocked && ist_arm_tx(&endpoint, isthmusif_frame_max(&netif)))
        return 1;
    return ist_arm(&endpoint, 1);
}

/* Works until there is nothing left or the period's cost is spent. What to say to YIELD. */
static uint64_t work(void)
{
    for (;;) {
        enum ist_verdict v;

        tick();
        if (schedule_spent())
            return IST_YIELD_MORE;
        v = step();
        if (v == IST_V_BUDGET)
            return IST_YIELD_MORE; /* no doorbell is asked for: the next period looks by itself */
        if (v != IST_V_OK && !arm())
            return IST_YIELD_IDLE;
        schedule_charge();
    }
}

/* The other world has the core, until there is something for this one. */
static void give(uint64_t function, uint64_t why)
{
    const struct yielded back = yield(function, why);

    schedule_back();
    if (back.result != IST_SMC_OK)
        fault("the monitor refused READY or YIELD");
    ist_disarm(&endpoint);
    if (back.events & IST_EVENT_SESSION)
        ask_session();
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
            rest(why, ticks, &endpoint);
        if (BOARD_CORE_SHARED || function == IST_SMC_READY || schedule_ticks() != ticks) {
            give(function, why);
            function = IST_SMC_YIELD;
        } else { /* the core is ours: the monitor need not be asked more often */
            schedule_back();
            ist_disarm(&endpoint);
        }
    }
}
