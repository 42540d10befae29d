/* SPDX-License-Identifier: MIT */
#define _GNU_SOURCE
#include "critical.h"

#include <pthread.h>
#include <signal.h>
#include <time.h>

#include "apps.h"
#include "link.h"
#include "platform.h"

#define SECOND 1000000000u
/* ns that a piece takes by itself at the very most, several times what it does take. */
#define LOOK_MAX 20000u
#define PIECE_MAX 50000u
#define GAPS 5u /* of the kernel's in one period of a task that are no overrun */

/* What a thread of ours works on. */
struct work {
    enum task_place place;
    uint64_t used, looked;
};

static _Thread_local struct work work = {.place = TASKS};
static struct critical *critical; /* the one that there is */
static struct ist_limit inside_rate;

static uint64_t least(uint64_t a, uint64_t b)
{
    return a < b ? a : b;
}

static uint64_t most(uint64_t a, uint64_t b)
{
    return a > b ? a : b;
}

void critical_mark(struct critical *c)
{
    c->looked = ist_now();
    c->ours = 0;
}

int critical_piece(struct critical *c)
{
    const uint64_t now = ist_now();

    c->ours += least(now - c->looked, PIECE_MAX);
    c->looked = now;
    return now >= c->next;
}

/* ---- a task at work ------------------------------------------------------------------------------------------------ */

static void enter(enum task_place place)
{
    work = (struct work){.place = place, .looked = ist_now()};
}

/* What it has used. */
static uint64_t leave(void)
{
    const uint64_t used = platform_used();

    work.place = TASKS;
    return used;
}

static void account(struct task *t, uint64_t used, uint64_t wait)
{
    task_end(t, used, wait + used);
    if (used > t->spec.cost + most(t->spec.cost / 2, GAPS * LOOK_MAX)) {
        t->overruns++;
        critical_safe(SAFE_OVERRUN);
    }
}

uint64_t platform_now(void)
{
    return ist_now();
}

enum task_place platform_running(void)
{
    return work.place;
}

uint64_t platform_used(void)
{
    const uint64_t now = ist_now();

    work.used += least(now - work.looked, LOOK_MAX);
    work.looked = now;
    return work.used;
}

/* ---- above ---------------------------------------------------------------------------------------------------------- */

void critical_run(struct critical *c, uint64_t now)
{
    struct task *t = &c->tasks[TASK_ABOVE];
    uint64_t wait;

    critical_piece(c);
    for (;;) {
        uint64_t late = now - c->next;
        wait = least(c->ours, late);
        task_begin(t, late - wait, wait);
        if (late < t->spec.period)
            break;
        t->periods++;
        t->skipped++;
        t->missed += wait + t->spec.cost > t->spec.deadline;
        c->next += t->spec.period;
    }
    enter(TASK_ABOVE);
    application.above(c->next);
    account(t, leave(), wait);
    c->next += t->spec.period;
    if (c->first_done == 0)
        c->first_done = ist_now();
    critical_mark(c);
}

/* ---- inside --------------------------------------------------------------------------------------------------------- */

int platform_inside_begin(void)
{
    const uint64_t now = ist_now();

    if (!ist_limit_take(&inside_rate, now, inside_rate.interval)) {
        critical->tasks[TASK_INSIDE].skipped++;
        return 0;
    }
    task_begin(&critical->tasks[TASK_INSIDE], 0, 0);
    enter(TASK_INSIDE);
    return 1;
}

/* The loop publishes and rings when its step is over, a few frames later. */
void platform_inside_end(void)
{
    account(&critical->tasks[TASK_INSIDE], leave(), 0);
}

/* ---- below ---------------------------------------------------------------------------------------------------------- */

static void sleep_until(uint64_t when)
{
    const struct timespec at = {.tv_sec = (time_t)(when / SECOND), .tv_nsec = (long)(when % SECOND)};

    while (clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &at, NULL) != 0)
        ;
}

void critical_run_below(struct critical *c, uint64_t now)
{
    struct task *t = &c->tasks[TASK_BELOW];
    uint64_t late = now - c->next_below;

    for (; late >= t->spec.period; late -= t->spec.period, c->next_below += t->spec.period) {
        t->periods++; /* the kernel's doing: not missed by us */
        t->skipped++;
    }
    task_begin(t, late, 0);
    enter(TASK_BELOW);
    application.below(c->next_below);
    account(t, leave(), 0);
    c->next_below += t->spec.period;
}

static void *below(void *of)
{
    struct critical *c = of;

    for (;;) {
        sleep_until(c->next_below);
        critical_run_below(c, ist_now());
    }
    return NULL;
}

int critical_thread_below(struct critical *c)
{
    sigset_t all, before;
    pthread_t thread;
    int error = 0;

    if (c->tasks[TASK_BELOW].spec.name != NULL) {
        sigfillset(&all);
        pthread_sigmask(SIG_BLOCK, &all, &before);
        error = pthread_create(&thread, NULL, below, c);
        pthread_sigmask(SIG_SETMASK, &before, NULL);
    }
    return -error;
}

void critical_start(struct critical *c, uint64_t born)
{
    critical = c;
    c->born = born;
    c->next = c->next_below = ist_now();
    inside_rate.interval = inside_rate.tolerance = c->tasks[TASK_INSIDE].spec.period;
    critical_mark(c);
}

/* ---- status --------------------------------------------------------------------------------------------------------- */

void critical_fill(const struct critical *c, struct critical_report *r)
{
    report_tasks(r, c->tasks, c->first_done - c->born);
    report_lateness(r);
}

void critical_burn(struct critical *c, uint64_t ns)
{
    const uint64_t end = c->ours + ns;

    while (c->ours < end)
        critical_piece(c);
}
