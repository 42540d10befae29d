/* SPDX-License-Identifier: MIT */
/* main.c - the Secure world as a process of a Linux host, with FreeRTOS and FreeRTOS+TCP. Started by the supervisor like
 * the one with lwIP, and the same to it: see worlds/secure/host/setup.h and host/world.h.
 *
 *     timer's signal --> task above, network task (each period)      worlds/secure/host/critical.h
 *     doorbell's signal --> network task <--> IP task <--> applications
 *     IP task, before it waits: looks for frames for a while where they follow each other closely
 *     idle: sleeps
 *
 * Exit status: 0 on STOP or when the supervisor is gone, 2 after one line on standard error, 3 likewise when the watchdog
 * was not fed. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>

#include "baretimer.h"
#include "bell.h"
#include "freertosapps.h"
#include "interrupt.h"
#include "isthmus_freertos.h"
#include "packet.h"
#include "platform.h"
#include "setup.h"
#include "turn.h"

#define STACK (configMINIMAL_STACK_SIZE * 4)

static struct setup setup;
static struct ist_world world;
static struct critical critical;
static struct isthmus_freertos port;
static struct packet packet;
static struct bell bell;
static struct turn turn;
static struct status_source source;
static NetworkInterface_t interface;
static NetworkEndPoint_t end_point;
static TaskHandle_t above_task, below_task, network_task;

static volatile uint64_t period; /* counted by the timer */
static volatile int rang;        /* the doorbell, since the network task looked */
static uint64_t last_frame;      /* ns; 0 = never */

static BaseType_t (*port_send)(NetworkInterface_t *, NetworkBufferDescriptor_t *, BaseType_t); /* with the turn */

/* ---- what FreeRTOS asks of the platform ------------------------------------------------------------------------------ */

_Noreturn void isthmus_freertos_assert(const char *file, int line)
{
    fprintf(stderr, "isthmus-secure: FreeRTOS %s:%d: assertion\n", file, line);
    abort(); /* its signal asks for the safe state */
}

uint32_t platform_random(void)
{
    uint32_t number;

    taskENTER_CRITICAL();
    number = setup_random();
    taskEXIT_CRITICAL();
    return number;
}

/* ---- interrupts -------------------------------------------------------------------------------------------------------- */

static BaseType_t on_doorbell(void)
{
    BaseType_t woken = pdFALSE;

    rang = 1;
    vTaskNotifyGiveFromISR(network_task, &woken);
    return woken;
}

/* What the task above waits for from here on is ours. */
static BaseType_t on_timer(void)
{
    BaseType_t woken = pdFALSE;

    period++;
    critical_mark(&critical);
    vTaskNotifyGiveFromISR(above_task, &woken);
    vTaskNotifyGiveFromISR(network_task, &woken);
    if (below_task != NULL && ist_now() >= critical.next_below)
        vTaskNotifyGiveFromISR(below_task, &woken);
    return woken;
}

/* ---- the critical tasks ------------------------------------------------------------------------------------------------ */

static void above(void *unused)
{
    const uint64_t T = critical.tasks[TASK_ABOVE].spec.period;

    (void)unused;
    critical_run(&critical, ist_now()); /* before anybody is served */
    if (interrupt_timer(on_timer, critical.next, T) != 0)
        setup_refuse("cannot start the timer", NULL);
    for (;;) {
        uint64_t now;

        (void)ulTaskNotifyTake(pdTRUE, portMAX_DELAY);
        while ((now = ist_now()) >= critical.next)
            critical_run(&critical, now);
    }
}

static void below(void *unused)
{
    (void)unused;
    for (;;) {
        (void)ulTaskNotifyTake(pdTRUE, portMAX_DELAY);
        if (ist_now() >= critical.next_below)
            critical_run_below(&critical, ist_now());
    }
}

/* ---- the network task -------------------------------------------------------------------------------------------------- */

static void ring(void *of, ist_u32 lanes)
{
    (void)lanes; /* one bell for all */
    ist_world_ring(of);
}

static void valid(const void *frame, ist_u32 length)
{
    last_frame = ist_now();
    critical_frame(frame, length);
}

static void follow(void)
{
    const enum ist_state state = ist_world_tick(&world, ist_now());

    isthmus_link(&port, state);
    critical_follow(state);
}

/* A new session has a new bell. */
static void watch_bell(int on)
{
    if (world.bell_fd >= 0 && interrupt_watch(world.bell_fd, on) != 0)
        setup_refuse("the doorbell cannot interrupt", NULL);
}

static void obey(void)
{
    const uint64_t attaches = world.attaches;

    ist_world_control(&world);
    if (world.attaches != attaches)
        watch_bell(1);
    if (world.inject != 0)
        critical_inject(world.inject == 1 ? CRITICAL_OVERRUN : CRITICAL_HUNGER);
    world.inject = 0;
    for (const uint64_t end = ist_now() + world.stall_ns; world.stall_ns != 0 && ist_now() < end;)
        ist_relax();
    world.stall_ns = 0;
    if (world.stopping) {
        ist_world_close(&world);
        _exit(0);
    }
}

static void hear_bell(void)
{
    const uint32_t told = world.told_state;

    rang = 0;
    bell_woke(&bell);
    ist_world_bell(&world);
    follow();
    if (world.told_state != told)
        bell_judge(&bell, 1); /* it rang for that */
}

/* Each period, bell or not. */
static void begin_period(void)
{
    obey();
    if (bell.deaf) {
        rang = 0; /* what was on its way */
        watch_bell(1);
    }
    ist_world_bell(&world); /* one that is full makes no edge */
    bell_period(&bell);
    follow();
}

/* One step, and whether the bell was rung for anything. */
static enum ist_verdict step(void)
{
    const uint64_t now = ist_now();
    uint64_t before = 0, after = 0;
    enum ist_verdict v;

    for (uint32_t k = 0; k < world.lanes; k++)
        before += world.lane[k].rx.tail;
    v = isthmus_step(&port, now);
    for (uint32_t k = 0; k < world.lanes; k++)
        after += world.lane[k].rx.tail;
    bell_judge(&bell, after != before);
    busypoll_looked(&turn.busy, now, after != before);
    if (bell.deaf)
        watch_bell(0);
    return v;
}

static void attend(void)
{
    static uint64_t seen;

    if (rang && !bell.deaf)
        hear_bell();
    if (seen != period) {
        seen = period;
        begin_period();
    }
}

static BaseType_t send_in_turn(NetworkInterface_t *nif, NetworkBufferDescriptor_t *const b, BaseType_t release)
{
    BaseType_t sent;

    turn_take(&turn);
    sent = port_send(nif, b, release);
    turn_give(&turn);
    return sent;
}

static void network(void *unused)
{
    (void)unused;
    for (;;)
        turn_serve(&turn);
}

/* On a plain Ethernet device instead. */
static void network_plain(void *unused)
{
    uint64_t seen = 0;
    char byte;

    (void)unused;
    if (interrupt_watch(packet.fd, 1) != 0)
        setup_refuse("the device cannot interrupt", NULL);
    for (;;) {
        if (packet_step(&packet, setup.step_frames) > 0) {
            last_frame = ist_now();
            taskYIELD();
            continue;
        }
        if (seen != period) {
            seen = period;
            if (packet.gone || recv(world.control_fd, &byte, 1, MSG_DONTWAIT) == 0)
                _exit(0); /* nothing is said here but the end of file */
        }
        (void)ulTaskNotifyTake(pdTRUE, portMAX_DELAY);
    }
}

void isthmus_before_wait(void)
{
    if (setup.packet_fd < 0)
        turn_before_wait(&turn);
}

void vApplicationIdleHook(void)
{
    taskENTER_CRITICAL();
    interrupt_wait();
    taskEXIT_CRITICAL();
}

/* ---- status ------------------------------------------------------------------------------------------------------------ */

static void report_critical(struct critical_report *r)
{
    critical_fill(&critical, r);
    baretimer_fill(&r->bare_timer);
}

static uint64_t when_last_frame(void)
{
    return last_frame;
}

/* The Secure world's members of a STATUS reply; host/world.c has written the common ones. */
static size_t world_status(void *ctx, char *text, size_t room)
{
    struct text t = text_over(text, room);

    (void)ctx;
    text_str(&t, ",\"age_us\":");
    if (last_frame == 0)
        text_str(&t, "null");
    else
        text_u64(&t, (ist_now() - last_frame) / 1000u);
    apps_json(&t, &source);
    text_open(&t, "doorbells");
    text_member(&t, "rings", world.rings);
    text_member(&t, "wakes", bell.wakes);
    text_member(&t, "spurious", bell.spurious);
    text_member(&t, "spurious_max", bell.most);
    text_close(&t);
    text_open(&t, "freertos");
    text_member(&t, "unknown", port.unknown);
    text_member(&t, "busy", port.busy);
    text_close(&t);
    return t.cut ? 0 : (size_t)(t.at - text);
}

/* ---- start ------------------------------------------------------------------------------------------------------------- */

static void open_channel(void)
{
    world.status = world_status;
    port.lanes = setup_lanes(&setup, &world, port.lane);
    port.frames = setup.step_frames;
    port.bytes = setup.step_bytes;
    port.now = ist_now;
    port.ring = ring;
    port.of = &world;
    port.valid = valid;
    source.ep = &world.ep;
    source.budget = &port.lane[0].budget;
    turn.lane = port.lane;
    turn.lanes = port.lanes;
    source.lane = port.lane;
    source.lanes = port.lanes;
    if (isthmus_fill_interface(&port, &interface) != pdPASS)
        setup_refuse("the channel's MTU is not ipconfigNETWORK_MTU", NULL);
    port_send = interface.pfOutput;
    interface.pfOutput = send_in_turn;
}

static void open_packet(void)
{
    int error;

    setup_plain(&world);
    if (setup.mtu != ipconfigNETWORK_MTU)
        setup_refuse("the interface's MTU is not ipconfigNETWORK_MTU", NULL);
    error = packet_fill_interface(&packet, &interface, setup.packet_fd);
    if (error != 0)
        setup_refuse("cannot use the descriptor in ISTHMUS_PACKET", strerror(-error));
}

static int start_tasks(void)
{
    const struct task_spec *inside = &critical.tasks[TASK_INSIDE].spec;
    int ok = xTaskCreate(above, "above", STACK, NULL, PRIORITY_ABOVE, &above_task) == pdPASS;

    ok &= xTaskCreate(setup.packet_fd < 0 ? network : network_plain, "network", STACK, NULL, PRIORITY_NETWORK, &network_task) == pdPASS;
    turn.network = network_task;
    if (critical.tasks[TASK_BELOW].spec.name != NULL)
        ok &= xTaskCreate(below, "below", STACK, NULL, PRIORITY_BELOW, &below_task) == pdPASS;
    return ok && apps_start(&source) == 0 && networked_start(inside, setup.flows) == 0;
}

int main(void)
{
    static const uint8_t no_dns[4];
    const uint64_t born = ist_now();

    setup_read(&setup, critical.tasks);
    turn = (struct turn){.look = PRIORITY_LOOK, .attend = attend, .step = step, .busy.max = setup.spin};
    source = (struct status_source){.stack = freertos_status, .critical = report_critical, .now = ist_now,
                                    .last_frame = when_last_frame, .units_per_us = 1000};
    if (setup.packet_fd < 0)
        open_channel();
    else
        open_packet();
    FreeRTOS_FillEndPoint(&interface, &end_point, setup.ip, setup.netmask, setup.peer, no_dns, setup.mac);
    critical_init(critical.tasks, setup.flows, source.ep, source.lanes);
    if (source.ep == NULL)
        critical_follow(IST_RUN);
    setup_guards(&setup, &critical);
    if (turn_init(&turn) != 0 || interrupt_on_input(on_doorbell) != 0 || FreeRTOS_IPInit_Multi() != pdPASS || !start_tasks())
        setup_refuse("no memory for FreeRTOS' tasks", NULL);
    (void)mlockall(MCL_CURRENT); /* no page fault in the critical task, where the limits allow it */
    critical_start(&critical, born);
    vTaskStartScheduler();
    return 2;
}
