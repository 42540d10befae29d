/* SPDX-License-Identifier: MIT */
#define _GNU_SOURCE
#include "critical.h"

#include <errno.h>
#include <stdlib.h>

#include "apps.h"
#include "link.h"
#include "owntime.h"

#define US 1000u
#define STEPS_PER_LOOK 256 /* of the control law between two looks at the time spent: about 1 us */
#define LOOK_MAX 20000u    /* ns that such a piece takes by itself at the very most; what is beyond was an interrupt */

static uint64_t least(uint64_t a, uint64_t b)
{
    return a < b ? a : b;
}

static void raise_to(uint64_t *max, uint64_t v)
{
    if (v > *max)
        *max = v;
}

int critical_parse(struct critical *c, const char *text)
{
    uint64_t v[3];

    for (unsigned i = 0; i < 3; i++) {
        char *end;
        errno = 0;
        v[i] = strtoull(text, &end, 10);
        if (end == text || errno != 0 || v[i] == 0 || v[i] > 1000000u || (*end != ' ' && *end != '\0'))
            return -1;
        text = end;
    }
    if (*text != '\0' || v[1] > v[2] || v[2] > v[0])
        return -1;
    c->period = v[0] * US;
    c->cost = v[1] * US;
    c->deadline = v[2] * US;
    return 0;
}

void critical_start(struct critical *c, uint64_t born)
{
    c->born = born;
    c->next = ist_now();
    c->setpoint = 1 << 16;
    critical_mark(c);
}

void critical_mark(struct critical *c)
{
    c->mark = owntime();
}

/* One step of the work: a PI controller holds the level of a leaking tank (Q16 fixed point). */
static void control_law(struct critical *c)
{
    int32_t error = c->setpoint - c->level;

    c->integral += error / 64;
    c->output = error / 2 + c->integral / 16;
    c->level += c->output / 32 - c->level / 256;
}

void critical_run(struct critical *c, uint64_t now)
{
    const uint64_t begun = owntime(), ours = begun - c->mark;
    uint64_t wait, used = 0;

    for (;;) {
        uint64_t late = now - c->next;
        wait = least(ours, late);
        histogram_add(&c->late_kernel, late - wait);
        raise_to(&c->wait_max, wait);
        c->periods++;
        if (late < c->period)
            break;
        c->skipped++;
        c->missed += wait + c->cost > c->deadline;
        c->next += c->period;
    }
    c->mark = begun;
    do {
        const uint64_t seen = c->mark;

        for (int i = 0; i < STEPS_PER_LOOK; i++)
            control_law(c);
        c->mark = owntime();
        used += least(c->mark - seen, LOOK_MAX);
    } while (used < c->cost);
    raise_to(&c->cost_max, used);
    c->missed += wait + used > c->deadline;
    c->next += c->period;
    if (c->first_done == 0)
        c->first_done = ist_now();
}

void critical_fill(const struct critical *c, struct critical_report *r)
{
    const struct histogram *h = &c->late_kernel;

    *r = (struct critical_report){
        .periods = c->periods,
        .missed = c->missed,
        .skipped = c->skipped,
        .period_us = (uint32_t)(c->period / US),
        .cost_us = (uint32_t)(c->cost / US),
        .deadline_us = (uint32_t)(c->deadline / US),
        .first_period_us = (uint32_t)((c->first_done - c->born) / US),
        .cost_us_max = (uint32_t)(c->cost_max / US),
        .wait_us_max = (uint32_t)(c->wait_max / US),
        .late_kernel = {(uint32_t)(histogram_quantile(h, 500) / US), (uint32_t)(histogram_quantile(h, 990) / US),
                        (uint32_t)(h->max / US)},
        .output = (uint32_t)c->output,
    };
}

void critical_burn(uint64_t ns)
{
    const uint64_t begun = owntime();

    while (owntime() - begun < ns)
        ;
}
