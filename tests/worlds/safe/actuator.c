/* SPDX-License-Identifier: MIT */
/* actuator.c - a critical application that says aloud when the safe state is asked for, and does wrong when it is told to.
 *
 *     a datagram "fault"      writes where nothing is
 *     a datagram "overrun"    uses more than its cost */
#include <string.h>

#include "application.h"
#include "text.h"

#if __has_include("console.h")
#include "console.h"
#define SAY(why) console_line("safe state: ", why)
#else
#include <unistd.h>
#define SAY(why) ((void)!write(2, "safe state: " why "\n", sizeof "safe state: " why))
#endif

#define OVERRUN_NS 5000000u

static void on_safe(enum safe_reason why)
{
    switch (why) {
    case SAFE_DEAD:
        SAY("DEAD");
        break;
    case SAFE_FAULT:
        SAY("FAULT");
        break;
    case SAFE_OVERRUN:
        SAY("OVERRUN");
        break;
    default:
        SAY("another");
    }
}

static uint32_t inside(uint64_t now, uint8_t *data, uint32_t length, uint32_t room)
{
    static volatile uintptr_t nowhere;

    (void)room;
    if (length == 5 && memcmp(data, "fault", 5) == 0)
        *(volatile uint32_t *)nowhere = 0;
    if (length == 7 && memcmp(data, "overrun", 7) == 0)
        while (critical_now() - now < OVERRUN_NS)
            (void)critical_cost_left(); /* where time is charged in pieces, each ends with such a look */
    return length;
}

static void start(void)
{
}

static void above(uint64_t now)
{
    (void)now;
    critical_feed();
}

static void below(uint64_t now)
{
    (void)now;
}

static void on_link(enum ist_state state)
{
    (void)state;
}

static void report(struct text *t)
{
    (void)t;
}

const struct application application = {
    .name = "safe",
    .start = start,
    .above = above,
    .inside = inside,
    .below = below,
    .link = on_link,
    .safe = on_safe,
    .report = report,
};
