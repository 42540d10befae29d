/* SPDX-License-Identifier: MIT */
#include "periodic.h"

#define US 1000u

static void raise_to(uint64_t *max, uint64_t v)
{
    if (v > *max)
        *max = v;
}

void task_begin(struct task *t, uint64_t late, uint64_t wait)
{
    histogram_add(&t->late, late);
    raise_to(&t->wait_max, wait);
}

void task_end(struct task *t, uint64_t used, uint64_t response)
{
    t->periods++;
    t->missed += response > t->spec.deadline;
    raise_to(&t->cost_max, used);
    raise_to(&t->response_max, response);
}

void task_skip(struct task *t)
{
    t->periods++;
    t->skipped++;
    t->missed++;
}

void tasks_json(struct text *out, const struct task *t)
{
    static const char *const runs[TASKS] = {"above", "inside", "below"};

    text_key(out, "tasks");
    text_char(out, '[');
    for (unsigned i = 0; i < TASKS; i++) {
        if (t[i].spec.name == 0)
            continue;
        if (out->at[-1] != '[')
            text_char(out, ',');
        text_char(out, '{');
        text_member_str(out, "name", t[i].spec.name);
        text_member_str(out, "runs", runs[i]);
        text_member(out, "periods", t[i].periods);
        text_member(out, "missed", t[i].missed);
        text_member(out, "skipped", t[i].skipped);
        text_member(out, "overruns", t[i].overruns);
        text_member(out, "period_us", t[i].spec.period / US);
        text_member(out, "cost_us", t[i].spec.cost / US);
        text_member(out, "deadline_us", t[i].spec.deadline / US);
        text_member(out, "cost_us_max", t[i].cost_max / US);
        text_member(out, "wait_us_max", t[i].wait_max / US);
        text_member(out, "response_us_max", t[i].response_max / US);
        text_char(out, '}');
    }
    text_char(out, ']');
}
