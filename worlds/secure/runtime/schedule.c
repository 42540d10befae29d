/* SPDX-License-Identifier: MIT */
#include "schedule.h"

#include "account.h"
#include "apps.h"
#include "board.h"
#include "channel.h"
#include "clock.h"
#include "gic.h"
#include "network.h"
#include "platform.h"
#include "rest.h"
#include "restart.h"
#include "share.h"
#include "sysreg.h"

#define PSTATE_THREAD (4u | PSTATE_OTHERS | 1u << 8 | 1u << 9) /* EL1t; all masked but our own interrupts */

enum thread_name { CONTROL, NETWORK, BELOW, THREADS }; /* highest first */

struct thread {
    struct registers saved; /* while another one runs */
    uint64_t used, total;   /* in this period; of all */
    uint64_t cost;          /* what it may use in a period */
    uint64_t released;      /* when */
    uint32_t ready, begun, overrun;
    uint32_t owed; /* releases that passed while it was at work */
};

extern char __control_stack_high[], __below_stack_high[];

static KEPT struct task tasks[TASKS];
static KEPT struct thread threads[THREADS];
static KEPT enum thread_name running;
static KEPT uint64_t since; /* when it got the core, or was last charged */
static KEPT struct {
    int is;
    uint32_t taken; /* as the controller names it */
} in_hand;          /* the interrupt that is not ended yet */
static KEPT int deciding;   /* in the handler */
static KEPT struct share linux_share;
static KEPT uint64_t busy; /* what all threads have used */
static KEPT int resting;    /* the network thread waits, or Linux has the core: nobody's time */
static KEPT uint64_t next, ticks, armed;
static KEPT uint64_t tick_ns, network_every, below_every; /* the control task's T; in ticks */
static KEPT uint64_t born, first_done, control_late;
static KEPT struct {
    struct ist_limit rate;
    uint64_t began, used; /* the network thread's total then */
    int running;
} inside;

static uint64_t left(enum thread_name t)
{
    return threads[t].used < threads[t].cost ? threads[t].cost - threads[t].used : 0;
}

static void charge(uint64_t now)
{
    if (running != NETWORK || !resting) {
        threads[running].used += now - since;
        threads[running].total += now - since;
        busy += now - since;
    }
    since = now;
}

static struct task *task_of(enum thread_name t)
{
    return &tasks[t == CONTROL ? TASK_ABOVE : TASK_BELOW];
}

/* ---- releases and ends --------------------------------------------------------------------------------------------- */

static void release(enum thread_name t)
{
    struct thread *th = &threads[t];

    if (task_of(t)->spec.name == 0)
        return;
    if (th->ready) {
        task_skip(task_of(t));
        th->owed++;
        return;
    }
    th->released = next;
    th->used = 0;
    th->ready = 1;
    th->begun = th->overrun = 0;
}

static void overran(enum thread_name t)
{
    if (threads[t].overrun++ == 0)
        account_overrun(task_of(t));
}

static void done(enum thread_name t, uint64_t now)
{
    struct thread *th = &threads[t];
    const uint64_t response = now - th->released;

    if (th->used > th->cost)
        overran(t);
    task_end(task_of(t), th->used, response);
    th->ready = 0;
    if (t == CONTROL) {
        account_period(control_late, response);
        for (; th->owed > 0; th->owed--)
            account_period(ACCOUNT_SKIPPED, ACCOUNT_SKIPPED);
        if (first_done == 0)
            first_done = now;
    } else {
        record_end(&control_record, RECORD_BELOW, now, response);
    }
    th->owed = 0;
}

/* The releases of one instant. A long stop brings several: the later ones find their tasks at work. */
static void tick(void)
{
    release(CONTROL);
    if (ticks % below_every == 0)
        release(BELOW);
    if (ticks % network_every == 0)
        threads[NETWORK].used = 0;
    threads[NETWORK].ready = 1;
    ticks++;
    next += tick_ns;
}

/* ---- the decision -------------------------------------------------------------------------------------------------- */

static enum thread_name highest(void)
{
    if (threads[CONTROL].ready)
        return CONTROL;
    if (!threads[BELOW].ready || (threads[NETWORK].ready && left(NETWORK) > 0))
        return NETWORK;
    return BELOW;
}

/* The next release, or when the one that runs has used its cost: of the network work only where somebody waits for
 * that, of a task only the first time. */
static void arm(uint64_t now)
{
    const int limited = running == NETWORK ? threads[BELOW].ready != 0 : !threads[running].overrun;
    uint64_t when = next;

    if (limited && now + left(running) < next)
        when = now + left(running) + 1;
    if (when != armed)
        clock_arm(armed = when);
}

/* True: a task's registers. */
static int go_on(struct registers *r, uint64_t now)
{
    const enum thread_name chosen = highest();

    if (chosen != running) {
        threads[running].saved = *r;
        *r = threads[chosen].saved;
        running = chosen;
    }
    if (running != NETWORK && !threads[running].begun) {
        const uint64_t late = now - threads[running].released;

        threads[running].begun = 1;
        task_begin(task_of(running), late, late);
        if (running == CONTROL)
            control_late = late;
    }
    arm(now);
    return running != NETWORK;
}

static void on_timer(uint64_t now)
{
    const int released = now >= next;

    armed = 0; /* it has come: to be set again in any case */
    while (now >= next)
        tick();
    if (running != NETWORK && threads[running].used > threads[running].cost)
        overran(running);
    if (released)
        account_food(tick_ns);
}

void schedule_leave(void)
{
    if (in_hand.is)
        gic_end(in_hand.taken);
    in_hand.is = 0;
}

/* The doorbell was rung on another core. */
static void kick(void)
{
    threads[NETWORK].ready = 1;
    rest_kick();
}

int on_interrupt(struct registers *r)
{
    const uint32_t id = GIC_ID(in_hand.taken = gic_take());
    const uint64_t now = clock_now();
    int a_task;

    in_hand.is = id < GIC_NONE;
    deciding = 1;
    charge(now);
    if (id == BOARD_TIMER_INTERRUPT)
        on_timer(now);
    else if (id == BOARD_KICK_INTERRUPT)
        kick();
    a_task = go_on(r, now);
    schedule_leave();
    deciding = 0;
    return a_task;
}

/* A task is done, or the network work has nothing to do. */
int on_call(struct registers *r)
{
    const uint64_t now = clock_now();
    int a_task;

    deciding = 1;
    charge(now);
    if (running == NETWORK)
        threads[NETWORK].ready = 0;
    else
        done(running, now);
    a_task = go_on(r, now);
    deciding = 0;
    return a_task;
}

static void call(void)
{
    __asm__ volatile("svc #0" ::: "memory");
}

/* ---- the threads --------------------------------------------------------------------------------------------------- */

static _Noreturn void control(void)
{
    for (;;) {
        application.above(threads[CONTROL].released);
        call();
    }
}

static _Noreturn void below(void)
{
    for (;;) {
        application.below(threads[BELOW].released);
        call();
    }
}

static void prepare(enum thread_name t, _Noreturn void (*entry)(void), char *stack)
{
    threads[t].saved = (struct registers){.sp = (uint64_t)stack, .pc = (uint64_t)entry, .pstate = PSTATE_THREAD};
    threads[t].cost = task_of(t)->spec.cost;
}

void schedule_start(void)
{
    static const struct task_spec specs[TASKS] = BOARD_TASKS;
    static const struct flow flows[] = BOARD_FLOWS;

    for (unsigned i = 0; i < TASKS; i++)
        tasks[i].spec = specs[i];
    tick_ns = specs[TASK_ABOVE].period;
    network_every = BOARD_NETWORK_PERIOD_NS / tick_ns;
    below_every = specs[TASK_BELOW].name != 0 ? specs[TASK_BELOW].period / tick_ns : 1;
    inside.rate.interval = inside.rate.tolerance = specs[TASK_INSIDE].period;
    prepare(CONTROL, control, __control_stack_high);
    prepare(BELOW, below, __below_stack_high);
    threads[NETWORK].cost = BOARD_NETWORK_COST_NS;
    linux_share.cost = BOARD_NETWORK_COST_NS;
    linux_share.rest = BOARD_NETWORK_PERIOD_NS - BOARD_NETWORK_COST_NS;
    running = NETWORK;
    critical_init(tasks, flows, channel, BOARD_LANES);
    born = next = since = control_record.born = clock_now();
    clock_arm(next);
}

/* ---- what the network thread asks ---------------------------------------------------------------------------------- */

uint64_t schedule_periods(void)
{
    return __atomic_load_n(&tasks[TASK_ABOVE].periods, __ATOMIC_RELAXED);
}

uint64_t schedule_ticks(void)
{
    return __atomic_load_n(&ticks, __ATOMIC_RELAXED);
}

int schedule_spent(void)
{
    return left(NETWORK) == 0;
}

int schedule_owes(void)
{
    uint64_t now;
    int owes;

    if (!BOARD_CORE_SHARED)
        return 0;
    interrupts_off();
    charge(now = clock_now());
    owes = share_owed(&linux_share, now, busy, threads[NETWORK].total);
    interrupts_on();
    return owes;
}

void schedule_charge(void)
{
    interrupts_off();
    charge(clock_now());
    interrupts_on();
}

int schedule_rest(uint64_t seen)
{
    interrupts_off();
    if (!threads[BELOW].ready && ticks == seen) {
        charge(clock_now());
        resting = 1;
        return 1;
    }
    if (ticks == seen)
        call();
    interrupts_on();
    return 0;
}

void schedule_back(void)
{
    interrupts_off();
    since = clock_now();
    resting = 0;
    interrupts_on();
}

/* ---- what the application's services ask ---------------------------------------------------------------------------- */

uint64_t platform_now(void)
{
    return clock_now();
}

enum task_place platform_running(void)
{
    if (deciding)
        return TASKS;
    if (running == NETWORK)
        return inside.running ? TASK_INSIDE : TASKS;
    return running == CONTROL ? TASK_ABOVE : TASK_BELOW;
}

uint64_t platform_used(void)
{
    if (running == NETWORK)
        return account_now(&threads[NETWORK].total, &since) - inside.used;
    return account_now(&threads[running].used, &since);
}

int platform_inside_begin(void)
{
    inside.began = clock_now();
    if (!ist_limit_take(&inside.rate, inside.began, inside.rate.interval)) {
        tasks[TASK_INSIDE].skipped++;
        return 0;
    }
    inside.used = account_now(&threads[NETWORK].total, &since);
    inside.running = 1;
    task_begin(&tasks[TASK_INSIDE], 0, 0);
    return 1;
}

void platform_inside_end(void)
{
    const uint64_t used = platform_used();
    struct task *t = &tasks[TASK_INSIDE];
    uint64_t now;

    inside.running = 0;
    network_flush();
    now = clock_now();
    task_end(t, used, now - inside.began);
    record_end(&control_record, RECORD_INSIDE, now, now - inside.began);
    if (used > t->spec.cost)
        account_overrun(t);
}

/* ---- status --------------------------------------------------------------------------------------------------------- */

void schedule_report(struct critical_report *r)
{
    interrupts_off();
    report_tasks(r, tasks, first_done - born);
    interrupts_on();
    report_lateness(r);
}
