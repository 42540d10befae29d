/* SPDX-License-Identifier: MIT */
#include "rest.h"

#include "board.h"
#include "isthmus.h"
#include "restart.h"
#include "schedule.h"
#include "smc.h"
#include "sysreg.h"

static KEPT volatile uint32_t kicked;

void rest_kick(void)
{
    kicked = 1;
}

void rest_begin(void)
{
    kicked = 0;
}

#if BOARD_CORE_SHARED

void rest(uint64_t why, uint64_t period, const struct ist_endpoint *from)
{
    (void)why, (void)period, (void)from;
}

#else

/* An interrupt that comes between the question and the WFI is pending then, and ends it. */
static void wait_for(uint64_t period, int or_kick)
{
    interrupts_off();
    while (schedule_ticks() == period && !(or_kick && kicked)) {
        __asm__ volatile("wfi" ::: "memory");
        interrupts_on();
        interrupts_off();
    }
    interrupts_on();
}

#if BOARD_DOORBELL_POLL

static int pending(const struct ist_endpoint *from)
{
    int any = 0;

    for (uint32_t k = 0; k < BOARD_LANES; k++)
        any |= ist_pending(&from[k]);
    return any;
}

/* From the last of the first marks to the second is what a frame costs here to be noticed. The instruction counter knows
 * the marks (worlds/normal/guest/mark.h); to the processor they are no operation. */
static void look(uint64_t period, const struct ist_endpoint *from)
{
    interrupts_on();
    do
        __asm__ volatile("yield\n\thint #(96 + 23)" ::: "memory");
    while (!pending(from) && schedule_ticks() == period);
    __asm__ volatile("hint #(96 + 24)" ::: "memory");
}

void rest(uint64_t why, uint64_t period, const struct ist_endpoint *from)
{
    if (why == IST_YIELD_IDLE && ist_link_state(from) == IST_RUN)
        look(period, from);
    else
        wait_for(period, 0);
}

#else

void rest(uint64_t why, uint64_t period, const struct ist_endpoint *from)
{
    (void)from;
    wait_for(period, why == IST_YIELD_IDLE);
}

#endif
#endif
