/* SPDX-License-Identifier: MIT */
/* actuator.c - a critical application that computes in FP registers, in the example's place: each of its tasks fills all
 * of them and the rounding mode with its own, works a while, and counts how often something else is in them then. The
 * task below is interrupted by the one above, by the network work and, through the monitor, by Linux. */
#include "application.h"
#include "text.h"

#define ROUND_DOWN (2u << 22) /* FPCR.RMode */
#define ROUND_UP (1u << 22)
#define REGISTERS "0,1,2,3,4,5,6,7,8,9,10,11,12,13,14,15,16,17,18,19,20,21,22,23,24,25,26,27,28,29,30,31"

static CRITICAL_STATE struct {
    uint64_t looks, wrong;
} above_saw, below_saw;
static double sum; /* as the compiler does it */

/* Not 0: a bit that has changed. */
static uint64_t disturbed(uint64_t seed, uint64_t fpcr, uint64_t turns)
{
    uint64_t wrong = 0, own;

    __asm__ volatile("mrs %[own], fpcr\n\t"
                     "msr fpcr, %[fpcr]\n\t"
                     ".irp n, " REGISTERS "\n\t"
                     "add x9, %[seed], #\\n\n\t"
                     "dup v\\n\\().2d, x9\n\t"
                     ".endr\n"
                     "1: subs %[turns], %[turns], #1\n\t"
                     "b.ne 1b\n\t"
                     ".irp n, " REGISTERS "\n\t"
                     "add x9, %[seed], #\\n\n\t"
                     "mov x10, v\\n\\().d[0]\n\t"
                     "mov x11, v\\n\\().d[1]\n\t"
                     "eor x10, x10, x9\n\t"
                     "eor x11, x11, x9\n\t"
                     "orr %[wrong], %[wrong], x10\n\t"
                     "orr %[wrong], %[wrong], x11\n\t"
                     ".endr\n\t"
                     "mrs x9, fpcr\n\t"
                     "eor x9, x9, %[fpcr]\n\t"
                     "orr %[wrong], %[wrong], x9\n\t"
                     "msr fpcr, %[own]\n\t"
                     : [wrong] "+r"(wrong), [turns] "+r"(turns), [own] "=&r"(own)
                     : [seed] "r"(seed), [fpcr] "r"(fpcr)
                     : "cc", "x9", "x10", "x11", "v0", "v1", "v2", "v3", "v4", "v5", "v6", "v7", "v8", "v9", "v10", "v11",
                       "v12", "v13", "v14", "v15", "v16", "v17", "v18", "v19", "v20", "v21", "v22", "v23", "v24", "v25",
                       "v26", "v27", "v28", "v29", "v30", "v31");
    return wrong;
}

static void above(uint64_t now)
{
    above_saw.wrong += disturbed(now, ROUND_DOWN, 20) != 0;
    above_saw.looks++;
    critical_feed();
}

static void below(uint64_t now)
{
    while (critical_cost_left()) {
        below_saw.wrong += disturbed(~now, ROUND_UP, 2000) != 0;
        below_saw.looks++;
    }
    sum += 0.5;
}

static void start(void)
{
}

static uint32_t inside(uint64_t now, uint8_t *data, uint32_t length, uint32_t room)
{
    (void)now, (void)data, (void)length, (void)room;
    return 0;
}

static void on_link(enum ist_state state)
{
    (void)state;
}

static void on_safe(enum safe_reason why)
{
    (void)why;
}

static void report(struct text *t)
{
    text_member(t, "above_looks", above_saw.looks);
    text_member(t, "above_wrong", above_saw.wrong);
    text_member(t, "below_looks", below_saw.looks);
    text_member(t, "below_wrong", below_saw.wrong);
    text_member(t, "halves", (uint64_t)(sum * 2.0));
}

const struct application application = {
    .name = "fp",
    .start = start,
    .above = above,
    .inside = inside,
    .below = below,
    .link = on_link,
    .safe = on_safe,
    .report = report,
};
