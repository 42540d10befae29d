/* SPDX-License-Identifier: MIT */
/* interrupts.c - the tick on the secure timer, and the kick. Both priorities lie where Linux's mask does not reach and
 * where no interrupt that it never ends stands in the way (FreeRTOSConfig.h). */
#include "isthmus_aarch64.h"

#include "FreeRTOS.h"
#include "task.h"

#include "board.h"
#include "clock.h"
#include "gic.h"
#include "restart.h"
#include "schedule.h"
#include "sysreg.h"

#define PRIORITY_MASKED ((uint32_t)configMAX_API_CALL_INTERRUPT_PRIORITY << portPRIORITY_SHIFT)
#define PRIORITY_TICK (portLOWEST_USABLE_INTERRUPT_PRIORITY << portPRIORITY_SHIFT)
#define PRIORITY_KICK 0x60u
#define PERIOD_NS (1000000000u / configTICK_RATE_HZ)

_Static_assert(PRIORITY_TICK < GIC_PRIORITY_LINUX, "Linux cannot mask the tick");
_Static_assert(PRIORITY_MASKED < GIC_PRIORITY_LINUX, "the kernel's mask is no value that Linux can have left there");
_Static_assert(PRIORITY_KICK >= PRIORITY_MASKED && PRIORITY_TICK >= PRIORITY_MASKED, "both may call the kernel");
_Static_assert(PRIORITY_KICK < PRIORITY_TICK, "the port wants its tick to be the lowest");
_Static_assert(BOARD_GIC_VERSION == 3, "the port reaches its interrupts through system registers, as Group 1");

static KEPT uint64_t next, limit;
static KEPT uint64_t linux_mask; /* Linux's priority mask on this core, while it does not run */
static KEPT const struct in_hand {
    uint32_t taken;
    const struct in_hand *outer;
} *in_hand; /* the interrupts that are not ended yet: a kick may interrupt the tick */

const char *interrupts_init(void)
{
    const char *failure = gic_init(PRIORITY_TICK, PRIORITY_KICK);

    linux_mask = read_sysreg(S3_0_C4_C6_0);
    return failure;
}

/* Each world has its own mask in the one register: the port writes it at every turn, and Linux may live by it. */
void interrupts_give(void)
{
    write_sysreg(S3_0_C4_C6_0, linux_mask); /* ICC_PMR_EL1 */
}

void interrupts_back(void)
{
    linux_mask = read_sysreg(S3_0_C4_C6_0); /* lets through whatever is ours; the port sets its own with its next turn */
}

static void arm(void)
{
    clock_arm(limit < next ? limit : next);
}

/* The first tick is now. */
void tick_setup(void)
{
    next = clock_now();
    limit = NO_LIMIT;
    arm();
}

void tick_clear(void)
{
    next += PERIOD_NS;
    arm();
}

void interrupts_limit(uint64_t when)
{
    if (when == limit)
        return;
    limit = when;
    arm();
}

static void timer(void)
{
    if (clock_now() >= next) { /* after a long stop once for each tick that has passed */
        const int reorder = tasks_tick(next);

        FreeRTOS_Tick_Handler(); /* it is the first to let others interrupt it, as any call of the kernel does */
        tasks_ticked();
        if (reorder)
            portYIELD_FROM_ISR(tasks_reorder(0));
    } else {
        interrupts_limit(NO_LIMIT);
        portYIELD_FROM_ISR(tasks_limit());
    }
}

void vApplicationIRQHandler(uint32_t taken)
{
    const uint32_t id = GIC_ID(taken);
    const struct in_hand this = {taken, in_hand};

    if (id < GIC_NONE)
        in_hand = &this;
    if (id == BOARD_TIMER_INTERRUPT)
        timer();
    else if (id == BOARD_KICK_INTERRUPT)
        portYIELD_FROM_ISR(border_kick());
    in_hand = this.outer; /* the port ends it */
}

void schedule_leave(void)
{
    for (; in_hand != NULL; in_hand = in_hand->outer)
        gic_end(in_hand->taken);
}
