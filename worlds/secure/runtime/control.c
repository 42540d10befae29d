/* SPDX-License-Identifier: MIT */
#include "control.h"

#include "apps.h"
#include "board.h"
#include "clock.h"
#include "histogram.h"
#include "network.h"
#include "record.h"
#include "restart.h"
#include "sysreg.h"

#define US 1000u
#define STEPS_PER_LOOK 16 /* of the control law between two looks at the clock */

static KEPT struct {
    uint64_t born, next, spent;
    uint64_t periods, missed, skipped;
    uint64_t cost_max, wait_max, first_done;
    struct histogram late;
    int32_t level, setpoint, integral, output; /* the plant and its controller, Q16 */
} task;
KEPT struct record control_record;

/* One step of the work: a PI controller holds the level of a leaking tank (Q16 fixed point). */
static void control_law(void)
{
    int32_t error = task.setpoint - task.level;

    task.integral += error / 64;
    task.output = error / 2 + task.integral / 16;
    task.level += task.output / 32 - task.level / 256;
}

static void record(uint64_t late, uint64_t done)
{
    uint64_t in, out;

    network_frames(&in, &out);
    record_period(&control_record, late < RECORD_NONE ? (uint32_t)late : RECORD_NONE,
                  done < RECORD_NONE ? (uint32_t)done : RECORD_NONE, in, out);
}

void control_start(void)
{
    task.setpoint = 1 << 16;
    task.born = task.next = control_record.born = clock_now();
    clock_arm(task.next);
}

void control_on_timer(void)
{
    const uint64_t begun = clock_now();
    uint64_t late, done;

    if (begun < task.next) { /* a period that is over already */
        clock_arm(task.next);
        return;
    }
    late = begun - task.next;
    histogram_add(&task.late, late);
    if (late > task.wait_max)
        task.wait_max = late;
    do {
        for (int i = 0; i < STEPS_PER_LOOK; i++)
            control_law();
        done = clock_now();
    } while (done - begun < BOARD_TASK_COST_NS);
    if (done - begun > task.cost_max)
        task.cost_max = done - begun;
    task.periods++;
    task.missed += done - task.next > BOARD_TASK_DEADLINE_NS;
    record(late, done - task.next);
    task.next += BOARD_TASK_PERIOD_NS;
    for (; done >= task.next + BOARD_TASK_PERIOD_NS; task.next += BOARD_TASK_PERIOD_NS) {
        task.periods++; /* after a long stop it does not run many times in a row */
        task.skipped++;
        task.missed++;
        record(RECORD_NONE, RECORD_NONE);
    }
    if (task.first_done == 0)
        task.first_done = done;
    clock_arm(task.next);
    task.spent += clock_now() - begun;
}

uint64_t control_periods(void)
{
    return __atomic_load_n(&task.periods, __ATOMIC_RELAXED);
}

uint64_t control_spent(void)
{
    return __atomic_load_n(&task.spent, __ATOMIC_RELAXED);
}

void control_report(struct critical_report *r)
{
    interrupts_off();
    *r = (struct critical_report){
        .periods = task.periods,
        .missed = task.missed,
        .skipped = task.skipped,
        .period_us = BOARD_TASK_PERIOD_NS / US,
        .cost_us = BOARD_TASK_COST_NS / US,
        .deadline_us = BOARD_TASK_DEADLINE_NS / US,
        .first_period_us = (uint32_t)((task.first_done - task.born) / US),
        .cost_us_max = (uint32_t)(task.cost_max / US),
        .wait_us_max = (uint32_t)(task.wait_max / US),
        .late_kernel.max = (uint32_t)(task.late.max / US),
        .output = (uint32_t)task.output,
    };
    interrupts_on();
    r->late_kernel.p50 = (uint32_t)(histogram_quantile(&task.late, 500) / US);
    r->late_kernel.p99 = (uint32_t)(histogram_quantile(&task.late, 990) / US);
}
