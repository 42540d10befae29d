/* SPDX-License-Identifier: MIT */
#include "account.h"

#include "board.h"
#include "channel.h"
#include "clock.h"
#include "fault.h"
#include "platform.h"
#include "restart.h"

KEPT struct record control_record;

static uint32_t short_ns(uint64_t ns)
{
    return ns < RECORD_NONE ? (uint32_t)ns : RECORD_NONE;
}

void account_period(uint64_t late, uint64_t response)
{
    uint64_t in, out;

    channel_frames(&in, &out);
    record_period(&control_record, short_ns(late), short_ns(response), in, out);
}

void account_overrun(struct task *t)
{
    t->overruns++;
    critical_safe(SAFE_OVERRUN);
}

void account_food(uint64_t apart)
{
    static KEPT uint64_t seen, unfed;
    const uint64_t fed = critical_fed();

    unfed = fed == seen ? unfed + apart : 0;
    seen = fed;
    if (BOARD_WATCHDOG_NS != 0 && unfed > BOARD_WATCHDOG_NS)
        fault_unfed();
}

uint64_t account_now(const uint64_t *count, const uint64_t *since)
{
    uint64_t charged, total;

    do {
        charged = __atomic_load_n(count, __ATOMIC_RELAXED);
        total = charged + clock_now() - __atomic_load_n(since, __ATOMIC_RELAXED);
    } while (charged != __atomic_load_n(count, __ATOMIC_RELAXED));
    return total;
}
