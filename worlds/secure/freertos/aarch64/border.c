/* SPDX-License-Identifier: MIT */
/* border.c - the channel's session, the network task that receives, and the idle hook that gives the core to Linux.
 *
 *     monitor --events--> idle hook --notification--> network task --frames--> IP task --> applications
 *     kick's interrupt -------------notification--------^ */
#include "isthmus_aarch64.h"

#include "isthmus_freertos.h"

#include "apps.h"
#include "board.h"
#include "clock.h"
#include "console.h"
#include "fault.h"
#include "normal.h"
#include "platform.h"
#include "record.h"
#include "restart.h"
#include "schedule.h"
#include "smc.h"
#include "sysreg.h"

#define CHANNEL 0
#define STACK 2048u /* words */

static struct ist_endpoint endpoint;
static struct ist_filter received, sent;
static struct isthmus_freertos port;
static NetworkInterface_t interface;
static NetworkEndPoint_t address;
static uint64_t random_key[2];
static KEPT uint64_t events; /* of the monitor's, that the network task has not seen: set by the idle hook, below it */
static KEPT TaskHandle_t network;

/* ---- what FreeRTOS+TCP asks ----------------------------------------------------------------------------------------------- */

/* SipHash of a counter under the monitor's seed. */
static uint64_t random_number(void)
{
    static uint64_t count;
    struct ist_tagger t;
    ist_u64 out[2];

    taskENTER_CRITICAL();
    count++;
    taskEXIT_CRITICAL();
    ist_tag_start(&t, IST_TAG_SIPHASH, random_key);
    ist_tag_feed(&t, &count, sizeof count);
    ist_tag_finish(&t, out);
    return out[0];
}

BaseType_t xApplicationGetRandomNumber(uint32_t *number)
{
    *number = (uint32_t)random_number();
    return pdTRUE;
}

uint32_t ulApplicationGetNextSequenceNumber(uint32_t from, uint16_t from_port, uint32_t to, uint16_t to_port)
{
    (void)from, (void)from_port, (void)to, (void)to_port;
    return (uint32_t)random_number();
}

/* ---- the session, as the monitor holds it ------------------------------------------------------------------------------ */

static void follow(enum ist_state state)
{
    const BaseType_t was_up = port.up;

    isthmus_link(&port, state);
    critical_follow(state);
    if (port.up != was_up)
        record_event(&control_record, clock_now(), was_up ? "link down" : "link up");
}

/* Sending begins anew, too: not while the IP task is within a frame. Beneath it, this one runs only where that waits;
 * from the first thing that ist_begin() does on, its frames are refused. */
static void begin_session(uint64_t epoch, const ist_u64 key[2])
{
    vTaskPrioritySet(NULL, PRIORITY_IP - 1);
    ist_begin(&endpoint, epoch, key, clock_now());
    vTaskPrioritySet(NULL, PRIORITY_NETWORK);
}

static void ask_session(void)
{
    struct call c = {{IST_SMC_SESSION, CHANNEL}};

    call_monitor(&c);
    if (c.x[0] != IST_SMC_OK)
        fault("the monitor does not know our channel");
    if (c.x[1] == IST_SESSION_SEALED && c.x[2] != endpoint.epoch) {
        begin_session(c.x[2], (const ist_u64[2]){c.x[3], c.x[4]});
    } else if (c.x[1] == IST_SESSION_ENDING) {
        /* Nothing of the peer's buffer is in our hands between two steps: once ended, we are quiescent. */
        const uint64_t ended = c.x[2];

        ist_end(&endpoint, IST_V_PEER_LEFT);
        follow(ist_link_state(&endpoint));
        normal_took_leave();
        c = (struct call){{IST_SMC_QUIESCED, CHANNEL, ended}};
        call_monitor(&c);
    }
}

static void ring(void *of)
{
    (void)of;
    call_monitor(&(struct call){{IST_SMC_RING, CHANNEL, IST_LANE_BULK}});
}

/* ---- the network task --------------------------------------------------------------------------------------------------------- */

/* Once per period, bell or not. */
static void tick(void)
{
    follow(ist_poll(&endpoint, clock_now()));
    normal_watch(clock_now(), ist_link_state(&endpoint));
}

/* Asks for a doorbell. True: there is work already. */
static int arm(void)
{
    return ist_link_state(&endpoint) == IST_RUN && ist_arm(&endpoint, 1);
}

/* Until there is nothing left, or this period's budget or cost is spent: then the next one looks by itself. */
static void work(void)
{
    enum ist_verdict v;

    ist_disarm(&endpoint);
    do
        v = isthmus_step(&port, clock_now());
    while (!tasks_spent() && (v == IST_V_OK || (v != IST_V_BUDGET && arm())));
}

static void network_task(void *unused)
{
    TickType_t seen = 0;

    (void)unused;
    for (;;) {
        const uint64_t new = __atomic_exchange_n(&events, 0, __ATOMIC_RELAXED);

        if (new & IST_EVENT_SESSION)
            ask_session();
        if (new & IST_EVENT_NORMAL)
            normal_told(clock_now());
        if (xTaskGetTickCount() != seen) {
            seen = xTaskGetTickCount();
            tick();
        }
        work();
        (void)ulTaskNotifyTake(pdTRUE, tasks_spent() ? 0 : 1);
        while (tasks_spent())
            vTaskDelay(1);
    }
}

long border_kick(void)
{
    return isthmus_wake(&port);
}

/* ---- the core given away ------------------------------------------------------------------------------------------------------ */

/* Nobody is ready: the core is Linux's, until there is something for this world. The first time, that starts Linux. An
 * interrupt of ours that comes between the mask and the call brings the core back at once. */
void vApplicationIdleHook(void)
{
    static KEPT int started;
    struct yielded back;

    interrupts_off();
    if (!started)
        console_line("first period done", ", Linux may start");
    tasks_give();
    back = yield(started ? IST_SMC_YIELD : IST_SMC_READY, IST_YIELD_IDLE);
    tasks_back();
    started = 1;
    interrupts_on();
    if (back.result != IST_SMC_OK)
        fault("the monitor refused READY or YIELD");
    __atomic_fetch_or(&events, back.events, __ATOMIC_RELAXED);
    if (back.events & ~(uint64_t)IST_EVENT_INTERRUPT)
        (void)xTaskNotifyGive(network);
}

/* ---- start -------------------------------------------------------------------------------------------------------------------- */

/* The board's allow-lists: of what is received always, of what is sent where the board says so. */
static enum ist_verdict load_filters(void)
{
    static const ist_u64 in[] = BOARD_FILTER, out[] = BOARD_FILTER_OUT;
    enum ist_verdict v = ist_filter_load(&received, in, BOARD_FILTER_WORDS);

    endpoint.filter = &received;
    if (v != IST_V_OK || BOARD_FILTER_OUT_WORDS == 0)
        return v;
    port.out = &sent;
    return ist_filter_load(&sent, out, BOARD_FILTER_OUT_WORDS);
}

/* Octets of an address, as FreeRTOS+TCP wants them. */
#define OCTETS(a) {(uint8_t)((a) >> 24), (uint8_t)((a) >> 16), (uint8_t)((a) >> 8), (uint8_t)(a)}

static const char *stack_start(void)
{
    static const uint8_t ip[] = OCTETS(BOARD_SECURE_IP), mask[] = OCTETS(BOARD_NETMASK), none[4], mac[] = BOARD_SECURE_MAC;

    if (isthmus_fill_interface(&port, &interface) != pdPASS)
        return "ipconfigNETWORK_MTU is not the channel's";
    FreeRTOS_FillEndPoint(&interface, &address, ip, mask, none, none, mac);
    if (FreeRTOS_IPInit_Multi() != pdPASS)
        return "FreeRTOS+TCP does not start";
    return NULL;
}

const char *border_init(const uint64_t seed[2])
{
    static const struct ist_config config = BOARD_CONFIG;
    enum ist_verdict v;

    random_key[0] = seed[0];
    random_key[1] = seed[1];
    v = ist_init(&endpoint, &config, (void *)BOARD_SECURE_BUFFER_BASE, (const void *)BOARD_NORMAL_BUFFER_BASE);
    if (v != IST_V_OK)
        return ist_verdict_name(v);
    port = (struct isthmus_freertos){
        .ep = &endpoint, .frames = BOARD_STEP_FRAMES, .bytes = BOARD_STEP_BYTES, .now = clock_now, .ring = ring};
    budget_init(&port.budget, BOARD_BUDGET_PERIOD_NS, BOARD_BUDGET_FRAMES, BOARD_BUDGET_BYTES, config.frame_max);
    v = load_filters();
    if (v != IST_V_OK)
        return ist_verdict_name(v);
    if (xTaskCreate(network_task, "network", STACK, NULL, PRIORITY_NETWORK, &network) != pdPASS)
        return "no memory for its task";
    normal_init(clock_now());
    return stack_start();
}

const struct ist_endpoint *border_endpoint(void)
{
    return &endpoint;
}
