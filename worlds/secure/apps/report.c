/* SPDX-License-Identifier: MIT */
/* report.c - the account of the critical tasks, as the status shows it. */
#include "apps.h"

#define US 1000u

void report_tasks(struct critical_report *r, const struct task *tasks, uint64_t first_ns)
{
    const struct task *t = &tasks[TASK_ABOVE];

    *r = (struct critical_report){
        .tasks = tasks,
        .periods = t->periods,
        .missed = t->missed,
        .skipped = t->skipped,
        .period_us = (uint32_t)(t->spec.period / US),
        .cost_us = (uint32_t)(t->spec.cost / US),
        .deadline_us = (uint32_t)(t->spec.deadline / US),
        .first_period_us = (uint32_t)(first_ns / US),
        .cost_us_max = (uint32_t)(t->cost_max / US),
        .wait_us_max = (uint32_t)(t->wait_max / US),
        .late_kernel.max = (uint32_t)(t->late.max / US),
    };
}

void report_lateness(struct critical_report *r)
{
    const struct histogram *h = &r->tasks[TASK_ABOVE].late;

    r->late_kernel.p50 = (uint32_t)(histogram_quantile(h, 500) / US);
    r->late_kernel.p99 = (uint32_t)(histogram_quantile(h, 990) / US);
}

static void lateness_json(struct text *t, const char *name, const struct lateness *l)
{
    text_open(t, name);
    text_member(t, "p50", l->p50);
    text_member(t, "p99", l->p99);
    text_member(t, "max", l->max);
    text_close(t);
}

void report_json(struct text *t, const struct critical_report *r)
{
    text_open(t, "critical");
    text_member(t, "periods", r->periods);
    text_member(t, "missed", r->missed);
    text_member(t, "skipped", r->skipped);
    text_member(t, "period_us", r->period_us);
    text_member(t, "cost_us", r->cost_us);
    text_member(t, "deadline_us", r->deadline_us);
    text_member(t, "first_period_us", r->first_period_us);
    text_member(t, "cost_us_max", r->cost_us_max);
    text_member(t, "wait_us_max", r->wait_us_max);
    lateness_json(t, "late_kernel_us", &r->late_kernel);
    lateness_json(t, "bare_timer_us", &r->bare_timer);
    if (r->tasks != NULL)
        tasks_json(t, r->tasks);
    text_close(t);
}
