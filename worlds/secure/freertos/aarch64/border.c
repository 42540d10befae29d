/* SPDX-License-Identifier: MIT */
/* border.c - the channel's session, the network task that receives, and the idle hook that gives the core to Linux.
 *
 *     monitor --events--> idle hook --notification--> network task --frames--> IP task --> applications
 *     kick's interrupt -------------notification--------^ */
#include "isthmus_aarch64.h"

#include "isthmus_freertos.h"

#include "account.h"
#include "board.h"
#include "channel.h"
#include "clock.h"
#include "console.h"
#include "fault.h"
#include "normal.h"
#include "orders.h"
#include "platform.h"
#include "random.h"
#include "restart.h"
#include "smc.h"
#include "sysreg.h"

#define STACK 2048u /* words */

_Static_assert(!BOARD_DOORBELL_POLL, "the idle hook waits for an interrupt");

static struct isthmus_freertos port;
static KEPT uint64_t events; /* of the monitor's, that the network task has not seen: set by the idle hook, below it */
static KEPT TaskHandle_t network;
static KEPT StaticTask_t network_memory; /* of the task, which goes on when all the rest begins anew */
static KEPT StackType_t network_stack[STACK];

/* ---- the session, as the monitor holds it ------------------------------------------------------------------------ */

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
    ist_lanes_begin(channel, BOARD_LANES, epoch, key, clock_now());
    vTaskPrioritySet(NULL, PRIORITY_NETWORK);
}

static void ring(void *of, ist_u32 lanes)
{
    (void)of;
    channel_ring(lanes);
}

/* ---- the channel, from its beginning ----------------------------------------------------------------------------- */

/* Channel, stack and applications, out of memory as it was at the start. NULL, or what does not hold. */
static const char *channel_start(const uint64_t seed[2])
{
    enum ist_verdict v;

    random_seed(seed);
    port = (struct isthmus_freertos){.lanes = BOARD_LANES, .frames = BOARD_STEP_FRAMES, .bytes = BOARD_STEP_BYTES,
                                     .now = clock_now, .ring = ring, .valid = critical_frame};
    v = channel_init(port.lane);
    if (v == IST_V_OK && channel[0].config.frame_max >= 2u * BOARD_MTU)
        return "channel.frame_max: FreeRTOS+TCP drops what Linux has joined to frames beyond the MTU";
    return v != IST_V_OK ? ist_verdict_name(v) : stack_start(&port);
}

/* The critical tasks go on, and so does this one. */
static void restart(void)
{
    channel_restart(stack_stop, channel_start);
}

/* ---- the network task -------------------------------------------------------------------------------------------- */

/* Once per period, bell or not. */
static void tick(void)
{
    follow(ist_lanes_poll(channel, BOARD_LANES, clock_now()));
    normal_watch(clock_now(), channel_state());
    orders_obey(restart);
}

/* Asks for a doorbell in each lane that can take more. True: there is work already. */
static int arm(void)
{
    if (channel_state() != IST_RUN)
        return 0;
    for (uint32_t k = 0; k < BOARD_LANES; k++)
        if (port.lane[k].last == IST_V_EMPTY && ist_arm(&channel[k], 1))
            return 1;
    return 0;
}

/* Until there is nothing left, or this period's budget or cost is spent, or Linux is owed its share: then the next one
 * looks by itself. A lane whose budget is spent asks for no doorbell. True: there may be more. */
static int work(void)
{
    enum ist_verdict v;

    for (uint32_t k = 0; k < BOARD_LANES; k++)
        ist_disarm(&channel[k]);
    for (;;) {
        v = isthmus_step(&port, clock_now());
        taskYIELD(); /* to the IP task: what came is answered before more is taken */
        if (v != IST_V_OK && ((BOARD_LANES == 1 && v == IST_V_BUDGET) || !arm()))
            return 0;
        if (tasks_spent() || tasks_owe())
            return 1;
    }
}

static void network_task(void *unused)
{
    TickType_t seen = 0;
    int full = 0;

    (void)unused;
    for (;;) {
        const uint64_t new = __atomic_exchange_n(&events, 0, __ATOMIC_RELAXED);

        if (new & IST_EVENT_SESSION)
            channel_ask_session(begin_session, follow);
        if (new & IST_EVENT_NORMAL)
            normal_told(clock_now());
        if (xTaskGetTickCount() != seen) {
            seen = xTaskGetTickCount();
            tick();
        }
        if (!full || !(full = tasks_owe()) || (BOARD_LANES > 1 && arm())) /* an empty lane's doorbell is heard meanwhile */
            full = work();
        (void)ulTaskNotifyTake(pdTRUE, 1);
        while (tasks_spent())
            vTaskDelay(1);
    }
}

long border_kick(void)
{
    return isthmus_wake(&port);
}

/* ---- the core given away ----------------------------------------------------------------------------------------- */

/* Nobody is ready: the core is Linux's, until there is something for this world. The first time, that starts Linux. An
 * interrupt of ours that comes between the mask and the call brings the core back at once. A core of this world's own
 * has nobody to go to: it asks for events, and waits for an interrupt. */
void vApplicationIdleHook(void)
{
    static KEPT int started;
    struct yielded back;

    if (!tasks_began())
        return;
    interrupts_off();
    if (!started)
        console_line("first period done", ", Linux may start");
    tasks_give();
    interrupts_give();
    back = yield(started ? IST_SMC_YIELD : IST_SMC_READY, IST_YIELD_IDLE);
    if (!BOARD_CORE_SHARED && started && back.events == 0)
        __asm__ volatile("wfi" ::: "memory");
    interrupts_back();
    tasks_back();
    started = 1;
    interrupts_on();
    if (back.result != IST_SMC_OK)
        fault("the monitor refused READY or YIELD");
    __atomic_fetch_or(&events, back.events, __ATOMIC_RELAXED);
    if (back.events & ~(uint64_t)IST_EVENT_INTERRUPT)
        (void)xTaskNotifyGive(network);
}

/* ---- start ------------------------------------------------------------------------------------------------------- */

const char *border_init(const uint64_t seed[2])
{
    network = xTaskCreateStatic(network_task, "network", STACK, NULL, PRIORITY_NETWORK, network_stack, &network_memory);
    normal_init(clock_now());
    return channel_start(seed);
}
