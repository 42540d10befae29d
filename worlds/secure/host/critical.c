/* SPDX-License-Identifier: MIT */
#define _GNU_SOURCE
#include "critical.h"

#include <errno.h>
#include <stdlib.h>

#include "apps.h"
#include "link.h"

#define US 1000u
#define STEPS_PER_LOOK 256 /* of the control law between two looks at the clock: about 1 us */
/* ns that a piece takes by itself at the very most, about ten times what it does take. */
#define LOOK_MAX 20000u
#define PIECE_MAX 100000u

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
    c->looked = ist_now();
    c->ours = 0;
}

void critical_piece(struct critical *c)
{
    const uint64_t now = ist_now();

    c->ours += least(now - c->looked, PIECE_MAX);
    c->looked = now;
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
    uint64_t wait, used = 0;

    critical_piece(c);
    for (;;) {
        uint64_t late = now - c->next;
        wait = least(c->ours, late);
        histogram_add(&c->late_kernel, late - wait);
        raise_to(&c->wait_max, wait);
        c->periods++;
        if (late < c->period)
            break;
        c->skipped++;
        c->missed += wait + c->cost > c->deadline;
        c->next += c->period;
    }
    c->looked = ist_now();
    do {
        const uint64_t seen = c->looked;

        for (int i = 0; i < STEPS_PER_LOOK; i++)
            control_law(c);
        c->looked = ist_now();
        used += least(c->looked - seen, LOOK_MAX);
    } while (used < c->cost);
    c->ours = 0;
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

void critical_burn(struct critical *c, uint64_t ns)
{
    const uint64_t end = c->ours + ns;

    while (c->ours < end)
        critical_piece(c);
}
