/* SPDX-License-Identifier: MIT */
/* actuator.c - an example of a critical application: it drives an actuator to a setpoint that Linux sends, and lets go
 * of it when the link, the peer, the setpoints or its own tasks are not what they should be.
 *
 *     above    reads the setpoint, runs the control law, feeds the watchdog
 *     inside   judges a datagram with a setpoint, and answers with the actuator's state
 *     below    watches over what the guard has refused, and how well the plant follows
 *
 * A datagram, all numbers in network byte order:
 *
 *     0   4   "ISP1"                                  the answer: the same,
 *     4   4   sequence, above the last one's          the sequence
 *             (a clock's, say); any at a new link
 *     8   4   setpoint, Q16, 0..2.0                   the plant's level, Q16
 *     12                                              4  mode: 0 safe, 1 active
 *
 * The actuator is active while the link is in RUN and the last valid setpoint is at most STALE old. After anything else,
 * and after the safe state was asked for, it takes a new setpoint to be active again. */
#include <string.h>

#include "application.h"
#include "text.h"

#define STALE 50000000u /* ns */
#define LEVEL_MAX (2 << 16)
#define SAFE_OUTPUT 0
#define REQUEST 12u
#define ANSWER 16u

enum mode { MODE_SAFE, MODE_ACTIVE };
enum why { WHY_NOTHING, WHY_START, WHY_LINK, WHY_QUIET, WHY_STALE, WHY_ASKED, WHYS };

/* The plant and its controller, Q16: a PI controller holds the level of a leaking tank. */
struct loop {
    int32_t level, integral, output;
};

/* Each word has one writer. */
CRITICAL_STATE static struct {
    uint32_t setpoint, sequence, refused, predicted, epoch;  /* inside */
    uint32_t level, mode, why, safe_entries, output, search; /* above */
    uint32_t links, link;                                    /* link */
    uint32_t asked;                                          /* safe */
    uint32_t alarms, deviation;                              /* below */
} word;

CRITICAL_STATE static struct {
    struct loop plant;
    uint32_t sequence, asked, armed; /* as last seen; the sequence that does not arm */
    uint64_t heard;                  /* when the last valid setpoint was seen */
} own; /* of the task above */

CRITICAL_STATE static struct {
    uint64_t refused;
} watch; /* of the task below */

CRITICAL_STATE static uint32_t setpoints; /* the flow */

/* ---- the plant --------------------------------------------------------------------------------------------------- */

static void step(struct loop *l, int32_t setpoint, int active)
{
    const int32_t error = setpoint - l->level;

    if (active) {
        l->integral += error / 64;
        if (l->integral > 16 * LEVEL_MAX)
            l->integral = 16 * LEVEL_MAX;
        if (l->integral < -16 * LEVEL_MAX)
            l->integral = -16 * LEVEL_MAX;
        l->output = error / 2 + l->integral / 16;
    } else {
        l->integral = 0;
        l->output = SAFE_OUTPUT;
    }
    l->level += l->output / 32 - l->level / 256;
}

/* Where the plant will be: the longer there is time, the further it looks. */
static uint32_t predict(struct loop from, int32_t setpoint)
{
    while (critical_cost_left())
        for (unsigned i = 0; i < 128; i++)
            step(&from, setpoint, 1);
    return (uint32_t)from.level;
}

/* ---- above ----------------------------------------------------------------------------------------------------------- */

/* What keeps the actuator from being active now. */
static enum why obstacle(uint64_t now)
{
    const uint32_t asked = shared_get(&word.asked), sequence = shared_get(&word.sequence);

    if (sequence != own.sequence) {
        own.sequence = sequence;
        own.heard = now;
    }
    if (asked != own.asked) {
        own.asked = asked;
        return WHY_ASKED;
    }
    if (critical_link() != IST_RUN)
        return WHY_LINK;
    if (critical_flow_age(setpoints) > STALE)
        return WHY_QUIET;
    if (own.heard == 0 || now - own.heard > STALE)
        return WHY_STALE;
    return WHY_NOTHING;
}

static void above(uint64_t now)
{
    const enum why why = obstacle(now);

    if (why != WHY_NOTHING) {
        own.armed = own.sequence;
        if (word.mode == MODE_ACTIVE)
            shared_set(&word.safe_entries, word.safe_entries + 1);
        if (word.mode == MODE_ACTIVE || why == WHY_ASKED)
            shared_set(&word.why, why);
        shared_set(&word.mode, MODE_SAFE);
    } else if (own.sequence != own.armed) {
        shared_set(&word.mode, MODE_ACTIVE);
        shared_set(&word.why, WHY_NOTHING);
    }
    step(&own.plant, (int32_t)shared_get(&word.setpoint), word.mode == MODE_ACTIVE);
    shared_set(&word.level, (uint32_t)own.plant.level);
    shared_set(&word.output, (uint32_t)own.plant.output);
    critical_feed();
    shared_set(&word.search, predict(own.plant, (int32_t)shared_get(&word.setpoint)));
}

/* ---- inside ---------------------------------------------------------------------------------------------------------- */

static uint32_t get(const uint8_t *p)
{
    return (uint32_t)p[0] << 24 | (uint32_t)p[1] << 16 | (uint32_t)p[2] << 8 | p[3];
}

static void put(uint8_t *p, uint32_t v)
{
    for (int i = 3; i >= 0; i--, v >>= 8)
        p[i] = (uint8_t)v;
}

static uint32_t inside(uint64_t now, uint8_t *data, uint32_t length, uint32_t room)
{
    const uint32_t sequence = length == REQUEST ? get(data + 4) : 0, setpoint = length == REQUEST ? get(data + 8) : 0;
    const int newer = (int32_t)(sequence - word.sequence) > 0 || (word.epoch != word.links && sequence != word.sequence);

    (void)now;
    if (length != REQUEST || room < ANSWER || memcmp(data, "ISP1", 4) != 0 || setpoint > LEVEL_MAX || !newer) {
        shared_set(&word.refused, word.refused + 1);
        return 0;
    }
    word.epoch = word.links; /* both are the network work's */
    shared_set(&word.setpoint, setpoint);
    shared_set(&word.sequence, sequence);
    shared_set(&word.predicted, predict((struct loop){.level = (int32_t)shared_get(&word.level)}, (int32_t)setpoint));
    put(data + 8, shared_get(&word.level));
    put(data + 12, shared_get(&word.mode));
    return ANSWER;
}

/* ---- below ----------------------------------------------------------------------------------------------------------- */

static void below(uint64_t now)
{
    const int32_t level = (int32_t)shared_get(&word.level), setpoint = (int32_t)shared_get(&word.setpoint);
    uint64_t refused = 0;

    (void)now;
    for (uint32_t v = IST_V_LENGTH_SHORT; v <= IST_V_STATE_WORD; v++)
        refused += critical_verdicts(v);
    if (refused > watch.refused)
        shared_set(&word.alarms, word.alarms + 1);
    watch.refused = refused;
    (void)predict((struct loop){.level = level}, setpoint);
    shared_set(&word.deviation, (uint32_t)(level > setpoint ? level - setpoint : setpoint - level));
}

/* ---- what is told ---------------------------------------------------------------------------------------------------- */

static void on_link(enum ist_state state)
{
    shared_set(&word.link, state);
    shared_set(&word.links, word.links + 1);
}

/* The output itself: a product switches its power stage off here. The control law follows within a period. */
static void on_safe(enum safe_reason why)
{
    (void)why;
    shared_set(&word.output, SAFE_OUTPUT);
    shared_set(&word.asked, word.asked + 1);
}

static void start(void)
{
    setpoints = critical_flow("setpoints");
    word.why = WHY_START;
}

static void report(struct text *t)
{
    static const char *const modes[] = {"safe", "active"};
    static const char *const whys[WHYS] = {"", "start", "link", "quiet", "stale", "asked"};

    text_member_str(t, "mode", modes[shared_get(&word.mode)]);
    text_member_str(t, "why_safe", whys[shared_get(&word.why)]);
    text_member(t, "safe_entries", shared_get(&word.safe_entries));
    text_member(t, "safe_asked", shared_get(&word.asked));
    text_member(t, "setpoint", shared_get(&word.setpoint));
    text_member(t, "level", shared_get(&word.level));
    text_member(t, "sequence", shared_get(&word.sequence));
    text_member(t, "refused", shared_get(&word.refused));
    text_member(t, "links", shared_get(&word.links));
    text_member(t, "alarms", shared_get(&word.alarms));
    text_member(t, "deviation", shared_get(&word.deviation));
}

const struct application application = {
    .name = "actuator",
    .start = start,
    .above = above,
    .inside = inside,
    .below = below,
    .link = on_link,
    .safe = on_safe,
    .report = report,
};
