/* SPDX-License-Identifier: MIT */
/* application.c - the critical application's services, the same on every platform. */
#include "application.h"

#include <string.h>

#include "lane.h"
#include "platform.h"
#include "text.h"

#define US 1000u

CRITICAL_STATE static struct {
    struct task *tasks;
    const struct flow *flows;
    const struct ist_endpoint *lane;
    uint32_t lanes;
    struct {
        uint64_t frames, last;
    } flow[FLOWS_MAX];
    enum ist_state link;
    uint64_t link_changes;
    uint64_t safe[SAFE_REASONS];
    uint64_t fed, fed_at, refused; /* by others than the task above */
    uint32_t hungry, overrun;      /* injected */
} critical;

void critical_init(struct task tasks[TASKS], const struct flow *flows, const struct ist_endpoint *lane, uint32_t lanes)
{
    critical.tasks = tasks;
    critical.flows = flows;
    critical.lane = lane;
    critical.lanes = lanes;
    critical.fed_at = platform_now();
    application.start();
}

/* ---- what the application gets ---------------------------------------------------------------------------------- */

uint64_t critical_now(void)
{
    return platform_now();
}

int critical_cost_left(void)
{
    const enum task_place place = platform_running();
    uint64_t cost;

    if (place == TASKS)
        return 0;
    cost = critical.tasks[place].spec.cost;
    if (place == TASK_ABOVE && shared_get(&critical.overrun))
        cost *= 2;
    else
        cost -= cost / (place == TASK_INSIDE ? 10 : 16); /* the one inside has its answer still to send */
    return platform_used() < cost;
}

enum ist_state critical_link(void)
{
    return critical.lanes != 0 ? ist_link_state(ist_lanes_worst(critical.lane, critical.lanes)) : critical.link;
}

uint32_t critical_flow(const char *name)
{
    for (uint32_t i = 0; i < FLOWS_MAX && critical.flows[i].name != NULL; i++)
        if (strcmp(critical.flows[i].name, name) == 0)
            return i;
    return CRITICAL_NO_FLOW;
}

static uint64_t age_of(uint64_t last)
{
    const uint64_t now = platform_now();

    return last == 0 ? CRITICAL_NEVER : now > last ? now - last : 0;
}

uint64_t critical_flow_age(uint32_t flow)
{
    return flow < FLOWS_MAX ? age_of(__atomic_load_n(&critical.flow[flow].last, __ATOMIC_RELAXED)) : CRITICAL_NEVER;
}

uint64_t critical_verdicts(enum ist_verdict verdict)
{
    uint64_t count = 0;

    for (uint32_t k = 0; verdict < IST_VERDICT_COUNT && k < critical.lanes; k++)
        count += __atomic_load_n(&critical.lane[k].count[verdict], __ATOMIC_RELAXED);
    return count;
}

void critical_feed(void)
{
    if (platform_running() != TASK_ABOVE) {
        __atomic_fetch_add(&critical.refused, 1, __ATOMIC_RELAXED);
    } else if (!shared_get(&critical.hungry)) {
        __atomic_store_n(&critical.fed_at, platform_now(), __ATOMIC_RELAXED);
        __atomic_store_n(&critical.fed, critical.fed + 1, __ATOMIC_RELAXED);
    }
}

/* ---- what the platform calls --------------------------------------------------------------------------------------- */

void critical_follow(enum ist_state state)
{
    if (state == critical.link)
        return;
    critical.link = state;
    critical.link_changes++;
    application.link(state);
    if (state == IST_DEAD)
        critical_safe(SAFE_DEAD);
}

void critical_frame(const void *frame, uint32_t length)
{
    const uint32_t flow = flow_of(critical.flows, frame, length);

    if (flow == FLOWS_MAX)
        return;
    critical.flow[flow].frames++;
    __atomic_store_n(&critical.flow[flow].last, platform_now(), __ATOMIC_RELAXED);
}

void critical_safe(enum safe_reason why)
{
    if (why == SAFE_OVERRUN)
        shared_set(&critical.overrun, 0);
    __atomic_fetch_add(&critical.safe[why], 1, __ATOMIC_RELAXED);
    application.safe(why);
}

uint64_t critical_fed(void)
{
    return __atomic_load_n(&critical.fed, __ATOMIC_RELAXED);
}

void critical_inject(enum critical_fault fault)
{
    shared_set(fault == CRITICAL_HUNGER ? &critical.hungry : &critical.overrun, 1);
}

/* ---- status --------------------------------------------------------------------------------------------------------- */

static void flows_json(struct text *t)
{
    text_key(t, "flows");
    text_char(t, '[');
    for (uint32_t i = 0; i < FLOWS_MAX && critical.flows[i].name != NULL; i++) {
        const uint64_t age = critical_flow_age(i);

        text_str(t, i > 0 ? ",{" : "{");
        text_member_str(t, "name", critical.flows[i].name);
        text_member(t, "frames", critical.flow[i].frames);
        text_key(t, "age_us");
        if (age == CRITICAL_NEVER)
            text_str(t, "null");
        else
            text_u64(t, age / US);
        text_char(t, '}');
    }
    text_char(t, ']');
}

void critical_json(struct text *t)
{
    static const char *const reasons[SAFE_REASONS] = {"DEAD", "FAULT", "OVERRUN", "WATCHDOG"};
    static const char *const states[IST_STATES] = {"RESET", "INIT", "READY", "RUN", "DEAD"};

    text_open(t, "app");
    text_member_str(t, "name", application.name);
    text_member_str(t, "link", states[critical_link()]);
    text_member(t, "link_changes", critical.link_changes);
    text_open(t, "safe"); /* how often the safe state was asked for */
    for (unsigned i = 0; i < SAFE_REASONS; i++)
        text_member(t, reasons[i], critical.safe[i]);
    text_close(t);
    text_open(t, "watchdog");
    text_member(t, "fed", critical_fed());
    text_member(t, "refused", critical.refused);
    text_member(t, "age_us", age_of(critical.fed_at) / US);
    text_close(t);
    flows_json(t);
    text_open(t, "state");
    application.report(t);
    text_close(t);
    text_close(t);
}
