/* SPDX-License-Identifier: MIT */
/* tasks.c - the board's periodic tasks as tasks of FreeRTOS, and the account of everybody's time, kept at each switch.
 *
 * A task that uses more than its cost is found out by the timer: counted, safe state. The network's tasks together have
 * a cost too: once it is used up and the task below is ready, that goes before them, until the next period. */
#include "isthmus_aarch64.h"

#include "FreeRTOS.h"
#include "task.h"
#include "timers.h"

#include "account.h"
#include "board.h"
#include "channel.h"
#include "clock.h"
#include "platform.h"
#include "restart.h"
#include "share.h"
#include "sysreg.h"

#define PSTATE_EL1T 4u
#define PSTATE_MASKED (PSTATE_OTHERS | 1u << 8 | 1u << 9) /* SError and debug exceptions too, as in start.S's threads */
#define SAVED_PSTATE 3 /* of what the port lays out for a new task: FP flag, nesting, pc, pstate */

enum thread_name { CONTROL, NETWORK, BELOW, IDLE, THREADS };

struct thread {
    TaskHandle_t handle;    /* NETWORK: none, they are what the others are not */
    uint64_t used;          /* in this period */
    uint64_t cost;          /* what it may use in a period */
    uint64_t released;      /* when */
    uint32_t ready, overrun;
};

extern char __control_stack_low[], __control_stack_high[], __below_stack_low[], __below_stack_high[];
void decide(void);
void network_goes_on(void);

static KEPT struct task tasks[TASKS];
static KEPT struct thread threads[THREADS];
static KEPT StaticTask_t control_memory, below_memory;
static KEPT enum thread_name running;
static KEPT const void *current; /* FreeRTOS's name for it */
static KEPT uint64_t since; /* when it got the core, or was last charged */
static KEPT int resting;    /* Linux has the core: nobody's time */
static KEPT struct share linux_share;
static KEPT uint64_t busy, network_total; /* what all have used; of it, the network's tasks */
static KEPT uint64_t ticks, tick_ns, network_every, below_every;
static KEPT uint64_t first_done;
static KEPT int below_first;
static KEPT struct {
    struct ist_limit rate;
    uint64_t began, used;
    TaskHandle_t task; /* that answers now; NULL: none */
} inside;

_Static_assert(PRIORITY_DEFERRED == configTIMER_TASK_PRIORITY && PRIORITY_CONTROL < configMAX_PRIORITIES, "levels");
_Static_assert(PRIORITY_IP == ipconfigIP_TASK_PRIORITY, "the network task stands beside the IP task");

static uint64_t left(const struct thread *t)
{
    return t->used < t->cost ? t->cost - t->used : 0;
}

static void charge(uint64_t now)
{
    if (!resting) {
        threads[running].used += now - since;
        busy += now - since;
        if (running == NETWORK)
            network_total += now - since;
        if (current == inside.task)
            inside.used += now - since;
    }
    since = now;
}

static struct task *task_of(enum thread_name t)
{
    return &tasks[t == CONTROL ? TASK_ABOVE : TASK_BELOW];
}

/* ---- each switch ------------------------------------------------------------------------------------------------- */

/* Linux's interrupts and whatever it may provoke stay masked in every task: the port would let them in. */
void tasks_created(void *task, volatile uint64_t *saved)
{
    stack_adopt(task);
    configASSERT(saved[SAVED_PSTATE] == PSTATE_EL1T);
    saved[SAVED_PSTATE] |= PSTATE_MASKED;
}

/* When the one that runs has used its cost: of the network only where somebody waits for that, of a task only once. */
static uint64_t limit(uint64_t now)
{
    const struct thread *t = &threads[running];
    const int limited = running == NETWORK ? threads[BELOW].ready && left(t) > 0
                                           : running != IDLE && t->ready && !t->overrun;

    return limited ? now + left(t) + 1 : NO_LIMIT;
}

static enum thread_name name_of(const void *task)
{
    for (enum thread_name t = 0; t < THREADS; t++)
        if (t != NETWORK && threads[t].handle == task)
            return t;
    return NETWORK;
}

void tasks_switched(const void *task)
{
    const enum thread_name from = running;
    const uint64_t now = clock_now();

    charge(now);
    running = name_of(task);
    current = task;
    interrupts_limit(limit(now));
    if (running == CONTROL || running == BELOW)
        decide();
    else if (from == CONTROL || from == BELOW)
        network_goes_on();
}

static void overran(enum thread_name t)
{
    if (threads[t].overrun++ == 0)
        account_overrun(task_of(t));
}

/* The task below before the network, or behind it again. In a task: the kernel does not do that in an interrupt. */
static void order(void *unused, uint32_t first)
{
    (void)unused;
    below_first = first && threads[BELOW].ready;
    vTaskPrioritySet(threads[BELOW].handle, below_first ? PRIORITY_BELOW_FIRST : PRIORITY_BELOW);
}

long tasks_reorder(uint32_t first)
{
    BaseType_t woken = pdFALSE;

    (void)xTimerPendFunctionCallFromISR(order, NULL, first, &woken);
    return woken;
}

long tasks_limit(void)
{
    charge(clock_now());
    if (running == CONTROL || running == BELOW)
        overran(running);
    else if (running == NETWORK && threads[BELOW].ready)
        return tasks_reorder(1);
    return pdFALSE;
}

/* ---- releases and ends ------------------------------------------------------------------------------------------- */

static void release(enum thread_name t, uint64_t released)
{
    struct thread *th = &threads[t];

    if (th->handle == NULL || th->ready)
        return; /* it counts what has passed by itself, at its end */
    th->released = released;
    th->used = 0;
    th->ready = 1;
    th->overrun = 0;
}

int tasks_tick(uint64_t released)
{
    const int renewed = ticks % network_every == 0;

    charge(clock_now());
    if ((running == CONTROL || running == BELOW) && threads[running].used > threads[running].cost)
        overran(running);
    release(CONTROL, released);
    if (ticks % below_every == 0)
        release(BELOW, released);
    if (renewed)
        threads[NETWORK].used = 0;
    ticks++;
    account_food(tick_ns);
    return renewed && below_first;
}

void tasks_ticked(void)
{
    since = clock_now();
}

/* One period's work; how many releases have passed meanwhile. */
static TickType_t period(enum thread_name t, void (*work)(uint64_t now), TickType_t released, TickType_t every)
{
    struct thread *th = &threads[t];
    const uint64_t late = clock_now() - th->released;
    uint64_t response, used;
    TickType_t passed;

    task_begin(task_of(t), late, late);
    work(th->released);
    taskENTER_CRITICAL();
    charge(clock_now());
    response = clock_now() - th->released;
    used = th->used;
    if (used > th->cost)
        overran(t);
    th->ready = 0;
    passed = (xTaskGetTickCount() - released) / every;
    taskEXIT_CRITICAL();
    task_end(task_of(t), used, response);
    if (t == CONTROL)
        account_period(late, response);
    else
        record_end(&control_record, RECORD_BELOW, th->released + response, response);
    for (TickType_t n = 0; n < passed; n++) {
        task_skip(task_of(t));
        if (t == CONTROL)
            account_period(ACCOUNT_SKIPPED, ACCOUNT_SKIPPED);
    }
    return passed;
}

/* The first release of each is the kernel's first tick. */
static void control(void *unused)
{
    TickType_t released = 0;

    (void)unused;
    for (;;) {
        (void)xTaskDelayUntil(&released, 1);
        released += period(CONTROL, application.above, released, 1);
        if (first_done == 0)
            first_done = clock_now();
    }
}

static void below(void *unused)
{
    TickType_t released = (TickType_t)1 - below_every;

    (void)unused;
    for (;;) {
        (void)xTaskDelayUntil(&released, below_every);
        released += below_every * period(BELOW, application.below, released, below_every);
        order(NULL, 0);
    }
}

const char *tasks_init(void)
{
    static const struct task_spec specs[TASKS] = BOARD_TASKS;
    static const struct flow flows[] = BOARD_FLOWS;

    for (unsigned i = 0; i < TASKS; i++)
        tasks[i].spec = specs[i];
    tick_ns = specs[TASK_ABOVE].period;
    if (tick_ns * configTICK_RATE_HZ != 1000000000u)
        return "the task above has another period than FreeRTOS's tick";
    network_every = BOARD_NETWORK_PERIOD_NS / tick_ns;
    below_every = specs[TASK_BELOW].name != 0 ? specs[TASK_BELOW].period / tick_ns : 1;
    inside.rate.interval = inside.rate.tolerance = specs[TASK_INSIDE].period;
    threads[CONTROL].cost = specs[TASK_ABOVE].cost;
    threads[BELOW].cost = specs[TASK_BELOW].cost;
    threads[NETWORK].cost = linux_share.cost = BOARD_NETWORK_COST_NS;
    linux_share.rest = BOARD_NETWORK_PERIOD_NS - BOARD_NETWORK_COST_NS;
    running = NETWORK;
    critical_init(tasks, flows, channel, BOARD_LANES);
    threads[CONTROL].handle =
        xTaskCreateStatic(control, "control", (uint32_t)(__control_stack_high - __control_stack_low) / sizeof(StackType_t),
                          NULL, PRIORITY_CONTROL, (StackType_t *)(void *)__control_stack_low, &control_memory);
    if (specs[TASK_BELOW].name != 0)
        threads[BELOW].handle =
            xTaskCreateStatic(below, "below", (uint32_t)(__below_stack_high - __below_stack_low) / sizeof(StackType_t),
                              NULL, PRIORITY_BELOW, (StackType_t *)(void *)__below_stack_low, &below_memory);
    since = control_record.born = clock_now();
    return NULL;
}

int tasks_began(void)
{
    return first_done != 0 && (threads[BELOW].handle == NULL || tasks[TASK_BELOW].periods > 0);
}

/* ---- what the network asks --------------------------------------------------------------------------------------- */

int tasks_spent(void)
{
    return left(&threads[NETWORK]) == 0;
}

int tasks_owe(void)
{
    uint64_t now;
    int owe;

    if (!BOARD_CORE_SHARED)
        return 0;
    taskENTER_CRITICAL();
    charge(now = clock_now());
    owe = share_owed(&linux_share, now, busy, network_total);
    taskEXIT_CRITICAL();
    return owe;
}

void tasks_give(void)
{
    threads[IDLE].handle = xTaskGetCurrentTaskHandle();
    charge(clock_now());
    running = IDLE;
    resting = 1;
}

void tasks_back(void)
{
    since = clock_now();
    resting = 0;
}

/* ---- what the application's services ask ------------------------------------------------------------------------- */

uint64_t platform_now(void)
{
    return clock_now();
}

enum task_place platform_running(void)
{
    if (running == NETWORK)
        return inside.task != NULL && inside.task == xTaskGetCurrentTaskHandle() ? TASK_INSIDE : TASKS;
    return running == CONTROL ? TASK_ABOVE : running == BELOW ? TASK_BELOW : TASKS;
}

uint64_t platform_used(void)
{
    return account_now(running == NETWORK ? &inside.used : &threads[running].used, &since);
}

int platform_inside_begin(void)
{
    inside.began = clock_now();
    if (!ist_limit_take(&inside.rate, inside.began, inside.rate.interval)) {
        tasks[TASK_INSIDE].skipped++;
        return 0;
    }
    taskENTER_CRITICAL();
    charge(inside.began);
    inside.used = 0;
    inside.task = xTaskGetCurrentTaskHandle();
    taskEXIT_CRITICAL();
    task_begin(&tasks[TASK_INSIDE], 0, 0);
    return 1;
}

void platform_inside_end(void)
{
    const uint64_t used = platform_used();
    const uint64_t now = clock_now();
    struct task *t = &tasks[TASK_INSIDE];

    inside.task = NULL;
    task_end(t, used, now - inside.began);
    record_end(&control_record, RECORD_INSIDE, now, now - inside.began);
    if (used > t->spec.cost)
        account_overrun(t);
}

/* ---- status ------------------------------------------------------------------------------------------------------ */

void tasks_report(struct critical_report *r)
{
    taskENTER_CRITICAL();
    report_tasks(r, tasks, first_done - control_record.born);
    taskEXIT_CRITICAL();
    report_lateness(r);
}
