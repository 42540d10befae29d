/* SPDX-License-Identifier: MIT */
/* Two tasks and a channel: whatever the peer does at whatever moment, nobody sleeps over a frame, nobody reads memory that
 * a session's end took away, and no step exceeds its budget. The kernel's side is this file: at each call a task may lose
 * the processor to the other one, and the peer may act. */
#define _GNU_SOURCE
#include "turn.h"

#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

#include "FreeRTOS_IP_Private.h"
#include "FreeRTOS_IP_Timers.h"

#define CHECK(condition)                                                                              \
    do {                                                                                              \
        if (!(condition)) {                                                                           \
            fprintf(stderr, "%s:%d: %s (deed %u, switch %u of %u)\n", __FILE__, __LINE__, #condition, \
                    deed_at, switch_at, moments);                                                     \
            exit(1);                                                                                  \
        }                                                                                             \
    } while (0)

#define MAPPED 65536u
#define STEP_FRAMES 2u
#define LOOK 5000u /* ns; a call of ist_now() takes 1000 */
#define PRIORITY_LOOK 1u
#define NEVER 0xffffffffu
#define RINGS (*(const uint32_t *)((const uint8_t *)memory[1] + IST_CTL_WAKE_RX)) /* a doorbell is asked for */

enum task { NOBODY, IP, NETWORK };

static struct ist_endpoint peer, own;
static struct netport_lane lane;
static struct turn turn;
static void *memory[2];   /* each world's, as its owner has it */
static void *window;      /* the peer's, as this world has it: readable with the turn or with interrupts masked */
static void *blank;
static int shared_fd;     /* of the window */

static uint64_t now, epoch;
static unsigned moments, deed_at, switch_at;
static void (*deed)(void);
static enum task running, holder;
static int masked, blocked, notified, nested, leave, foreign, stepping, heard;
static unsigned queued, queued_most, got, sent, yields, steps, handled;
static unsigned events, late, served; /* of the application's; looks in a row beyond what was there; network task's turns */
static UBaseType_t priority;

QueueHandle_t xNetworkEventQueue = &queued;

/* ---- the kernel ------------------------------------------------------------------------------------------------------ */

static void protect(void)
{
    CHECK(window == blank || mprotect(window, MAPPED, holder != NOBODY || masked ? PROT_READ : PROT_NONE) == 0);
}

static int network_ready(void)
{
    return !blocked || notified;
}

static void run_network(void)
{
    const enum task before = running;

    if (blocked)
        blocked = notified = 0;
    running = NETWORK;
    served++;
    turn_serve(&turn);
    running = before;
}

/* The IP task: once around its loop. False: it waits for an event. */
static int run_ip(void)
{
    const enum task before = running;
    int found;

    running = IP;
    heard = 0;
    turn_before_wait(&turn);
    CHECK(priority == ipconfigIP_TASK_PRIORITY && holder == NOBODY && !turn.looking);
    found = queued > 0;
    handled += queued;
    queued = 0;
    running = before;
    return found;
}

/* What may come between any two instructions, as far as the tasks allow. */
static void moment(void)
{
    const unsigned at = moments++;

    if (running == NOBODY)
        return;
    if (at == deed_at)
        deed();
    if (at == switch_at && holder == NOBODY && !masked && !nested) {
        nested = 1;
        if (running == IP && network_ready())
            run_network();
        else if (running == NETWORK)
            (void)run_ip();
        nested = 0;
    }
}

SemaphoreHandle_t xSemaphoreCreateMutex(void)
{
    return &holder;
}

BaseType_t xSemaphoreTake(SemaphoreHandle_t mutex, TickType_t wait)
{
    moment();
    CHECK(mutex == &holder && wait == portMAX_DELAY && holder == NOBODY && !masked && running != NOBODY);
    holder = running;
    protect();
    return pdTRUE;
}

BaseType_t xSemaphoreGive(SemaphoreHandle_t mutex)
{
    CHECK(mutex == &holder && holder == running);
    holder = NOBODY;
    protect();
    moment();
    return pdTRUE;
}

void taskENTER_CRITICAL(void)
{
    moment();
    masked++;
    protect();
}

void taskEXIT_CRITICAL(void)
{
    masked--;
    protect();
    moment();
}

void xTaskNotifyGive(TaskHandle_t task)
{
    CHECK(task == &blocked);
    notified = 1;
    moment();
}

uint32_t ulTaskNotifyTake(BaseType_t clear, TickType_t wait)
{
    CHECK(running == NETWORK && clear && wait == portMAX_DELAY && holder == NOBODY);
    moment();
    blocked = !notified;
    notified = 0;
    return 1;
}

void taskYIELD(void)
{
    CHECK(running == NETWORK && holder == NOBODY);
    moment();
}

void vTaskPrioritySet(TaskHandle_t task, UBaseType_t to)
{
    CHECK(task == NULL && running == IP && holder == NOBODY);
    priority = to;
    moment();
}

UBaseType_t uxQueueMessagesWaiting(QueueHandle_t queue)
{
    CHECK(queue == &queued);
    moment();
    return queued;
}

void vCheckNetworkTimers(void)
{
    CHECK(running == IP && !turn.looking);
    heard = 1;
    moment();
}

/* The look's: below everybody, so the network task goes first if it can. */
int sched_yield(void)
{
    CHECK(running == IP && priority == PRIORITY_LOOK && holder == NOBODY && !masked && heard && !RINGS);
    yields++;
    late = queued > 0 || got < sent ? late + 1 : 0;
    CHECK(yields < 1000 && late <= 1); /* a frame or an event ends the look */
    moment();
    if (network_ready() && !nested) {
        nested = 1;
        run_network();
        nested = 0;
    }
    return 0;
}

uint64_t ist_now(void)
{
    moment();
    return now += 1000;
}

int ist_arm_for_sleep(struct ist_endpoint *e)
{
    int work;

    moment();
    CHECK(holder == running);
    work = ist_arm(e, 1);
    moment();
    return work;
}

/* ---- the platform: what main.c gives ----------------------------------------------------------------------------------- */

static void *allocate(void *stack, ist_u32 length, void **room)
{
    static uint8_t buffer[2048];

    (void)stack;
    CHECK(length <= sizeof buffer);
    return *room = buffer;
}

static void discard(void *stack, void *buffer)
{
    (void)stack;
    (void)buffer;
}

static void deliver(void *stack, void *buffer, const struct ist_meta *meta)
{
    (void)stack;
    (void)buffer;
    (void)meta;
    got++;
    queued += foreign ? 0 : 1;
}

static enum ist_verdict step(void)
{
    static const struct netport_hooks hooks = {allocate, discard, deliver};
    const ist_u32 tail = own.rx.tail;
    const unsigned before = got;
    enum ist_verdict v;
    ist_u32 work;

    CHECK(holder == running && holder != NOBODY && !stepping && !RINGS);
    stepping = 1;
    steps++;
    moment();
    v = netport_receive_lanes(&lane, 1, &hooks, now, STEP_FRAMES, 65536, &work);
    CHECK(got - before <= STEP_FRAMES);
    busypoll_looked(&turn.busy, now, own.rx.tail != tail);
    queued_most = queued > queued_most ? queued : queued_most;
    moment();
    stepping = 0;
    return v;
}

/* As host/world.c ends a session: the peer's memory goes. */
static void attend(void)
{
    CHECK(running == NETWORK && holder == NETWORK);
    moment();
    if (leave && window != blank) {
        ist_end(&own, IST_V_PEER_LEFT);
        ist_attach(&own, blank);
        CHECK(munmap(window, MAPPED) == 0);
        window = blank;
    }
    leave = 0;
    (void)ist_poll(&own, now);
    moment();
}

/* ---- the peer's deeds -------------------------------------------------------------------------------------------------- */

static void nothing(void)
{
}

static void frame(void)
{
    static const uint8_t bytes[64];

    if (ist_send(&peer, bytes, sizeof bytes, NULL) != IST_V_OK)
        return;
    sent++;
    if (ist_publish(&peer))
        notified = 1; /* the doorbell's interrupt */
}

static void frames(void)
{
    for (unsigned i = 0; i < 3 * STEP_FRAMES + 1; i++)
        frame();
}

static void departure(void)
{
    leave = notified = 1;
}

static void event(void) /* a task of the application's sends */
{
    queued++;
    events++;
}

/* ---- the course of things ------------------------------------------------------------------------------------------------ */

/* Until both tasks wait. */
static void run(void)
{
    for (unsigned turns = 0, ip = 1; ip || network_ready(); turns++) {
        CHECK(turns < 1000); /* nobody burns the processor */
        if (network_ready())
            run_network();
        ip = (unsigned)run_ip();
    }
    CHECK(!queued && holder == NOBODY && !masked);
}

static void session(void)
{
    const ist_u64 key[2] = {1, 2};

    if (window == blank) {
        window = mmap(NULL, MAPPED, PROT_NONE, MAP_SHARED, shared_fd, 0);
        CHECK(window != MAP_FAILED);
        ist_attach(&own, window);
    }
    epoch++;
    ist_begin(&peer, epoch, key, now);
    ist_begin(&own, epoch, key, now);
    for (int i = 0; i < 6; i++) {
        (void)ist_poll(&peer, ++now);
        notified = 1; /* a period */
        run();
    }
    CHECK(ist_link_state(&own) == IST_RUN && ist_link_state(&peer) == IST_RUN);
}

/* A link in RUN, both tasks asleep, the doorbell asked for, nothing done so far. */
static void start(void)
{
    struct ist_config c = {.ring_bytes = {16384, 16384}, .frame_max = 1518, .mtu = 1500};

    deed_at = switch_at = NEVER;
    deed = nothing;
    if (window != NULL && window != blank)
        munmap(window, MAPPED);
    window = blank;
    CHECK(ist_init(&peer, &c, memory[0], memory[1]) == IST_V_OK);
    c.role = IST_SECURE;
    CHECK(ist_init(&own, &c, memory[1], blank) == IST_V_OK);
    lane = (struct netport_lane){.ep = &own};
    turn = (struct turn){.lane = &lane, .lanes = 1, .look = PRIORITY_LOOK, .network = &blocked, .attend = attend,
                         .step = step, .busy.max = LOOK};
    CHECK(turn_init(&turn) == 0);
    priority = ipconfigIP_TASK_PRIORITY;
    blocked = notified = leave = foreign = 0;
    queued = 0;
    session();
    CHECK(turn.armed);
    moments = queued_most = got = sent = yields = steps = handled = events = late = served = 0;
}

/* To look has paid off lately. */
static void look_pays(void)
{
    turn.busy.worth = LOOK;
    turn.busy.worked = now;
}

/* Frames follow each other; the deed comes at each moment of that, with a switch of tasks at each. `after`: what holds
 * then. */
static void at_every_moment(void (*what)(void), int not_ours, void (*after)(void))
{
    unsigned end = 1, runs = 0;

    for (unsigned d = 0; d < end; d++)
        for (unsigned s = 0; s <= end; s++, runs++) {
            start();
            foreign = not_ours;
            look_pays();
            deed = what;
            deed_at = d;
            switch_at = s == end ? NEVER : s;
            frame();
            run();
            end = s == end ? moments : end > moments ? end : moments;
            deed_at = switch_at = NEVER;
            after();
        }
    CHECK(runs > 1000);
}

static void all_came(void)
{
    CHECK(got == sent && handled == (foreign ? 0 : got) + events);
    CHECK(turn.armed && turn.last == IST_V_EMPTY && blocked); /* the next one rings */
    frame();
    CHECK(notified);
    run();
    CHECK(got == sent);
}

static void it_is_over(void)
{
    const unsigned before = yields;

    if (leave || window != blank) { /* it came after the last look */
        notified = leave = 1;
        run();
    }
    CHECK(window == blank && ist_link_state(&own) != IST_RUN && turn.last == IST_V_DOWN && blocked);
    look_pays();
    event();
    run();
    CHECK(yields == before); /* nobody looks without a session */
    got = sent = handled = 0;
    (void)ist_poll(&peer, ++now);
    session();
    frame();
    notified = 1;
    run();
    CHECK(got == sent && got == 1);
}

/* ---- what has to hold ------------------------------------------------------------------------------------------------------ */

static void a_frame_is_never_slept_over(void)
{
    at_every_moment(frame, 0, all_came);
    at_every_moment(frame, 1, all_came); /* of no concern to the stack */
    at_every_moment(frames, 0, all_came);
}

static void a_session_may_end_at_any_moment(void)
{
    at_every_moment(departure, 0, it_is_over);
}

static void an_event_ends_the_look(void)
{
    at_every_moment(event, 0, all_came);
}

static void a_look_lasts_as_long_as_it_has_paid_off(void)
{
    start();
    turn.busy.worked = now;
    run(); /* worth nothing */
    CHECK(yields == 0 && turn.armed);
    start();
    look_pays();
    run();
    CHECK(yields > 0 && yields <= LOOK / 1000 && turn.armed && served == 0);
    all_came();
    CHECK(priority == ipconfigIP_TASK_PRIORITY);
}

static void no_step_exceeds_its_budget(void)
{
    start();
    frames();
    run();
    CHECK(got == 3 * STEP_FRAMES + 1 && steps >= 4);
    CHECK(queued_most <= 2 * STEP_FRAMES); /* what came is worked off before more is taken */
}

static void a_spent_budget_waits_for_the_period(void)
{
    start();
    budget_init(&lane.budget, 1000000, 3, 3 * 64, 64);
    frames();
    run();
    const unsigned before = steps, frames_before = got;
    CHECK(turn.last == IST_V_BUDGET && got < sent && yields == 0 && blocked);
    look_pays();
    event();
    run(); /* the IP task has other work: neither a look nor a step */
    CHECK(steps == before && got == frames_before && yields == 0);
    while (got < sent) {
        const unsigned last = got;
        now += 1000000;
        notified = 1;
        run();
        CHECK(got > last);
    }
}

int main(void)
{
    static const struct {
        const char *name;
        void (*run)(void);
    } tests[] = {
#define TEST(name) {#name, name}
        TEST(a_look_lasts_as_long_as_it_has_paid_off),
        TEST(an_event_ends_the_look),
        TEST(a_frame_is_never_slept_over),
        TEST(a_session_may_end_at_any_moment),
        TEST(no_step_exceeds_its_budget),
        TEST(a_spent_budget_waits_for_the_period),
    };

    shared_fd = memfd_create("peer", MFD_CLOEXEC);
    CHECK(shared_fd >= 0 && ftruncate(shared_fd, MAPPED) == 0);
    memory[0] = mmap(NULL, MAPPED, PROT_READ | PROT_WRITE, MAP_SHARED, shared_fd, 0);
    memory[1] = mmap(NULL, MAPPED, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    blank = mmap(NULL, MAPPED, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    CHECK(memory[0] != MAP_FAILED && memory[1] != MAP_FAILED && blank != MAP_FAILED);
    for (size_t i = 0; i < sizeof tests / sizeof *tests; i++) {
        tests[i].run();
        printf("ok %s\n", tests[i].name);
    }
    return 0;
}
