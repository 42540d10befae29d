/* SPDX-License-Identifier: MIT */
#include "orders.h"

#include "account.h"
#include "apps.h"
#include "clock.h"
#include "console.h"
#include "normal.h"
#include "platform.h"
#include "restart.h"
#include "smc.h"
#include "sysreg.h"

#define PERIODS_PER_LINE 256u /* of the record: as much console work as a status */
#define ENDS_PER_LINE 128u    /* of each task, likewise */

static KEPT struct record_reader told; /* of the control task's record */
static char room[RECORD_LINE_MAX(PERIODS_PER_LINE)]; /* for what goes to the console: all else is shorter */

_Static_assert(sizeof room >= RECORD_ENDS_LINE_MAX(ENDS_PER_LINE), "no more ends in a line than fit");

static void tell(struct text t)
{
    if (!t.cut)
        console_write(room, (size_t)(t.at - room));
}

static void tell_status(void)
{
    struct text t = text_over(room, sizeof room);

    status_write(&t);
    tell(t);
}

static void tell_ends(void)
{
    struct text t = text_over(room, sizeof room);

    record_write_ends(&control_record, &told, ENDS_PER_LINE, &t);
    tell(t);
}

static void tell_record(void)
{
    struct text t = text_over(room, sizeof room);

    record_write(&control_record, &told, clock_now(), PERIODS_PER_LINE, &t);
    tell(t);
}

void orders_obey(void (*restart)(void))
{
    switch (console_take()) {
    case 's':
        tell_status();
        break;
    case 'r':
        restart();
        break;
    case 'c':
        critical_inject(CRITICAL_OVERRUN);
        break;
    case 'h':
        critical_inject(CRITICAL_HUNGER);
        break;
    case 't':
        tell_record();
        break;
    case 'e':
        tell_ends();
        break;
    case 'l':
        normal_restart();
        break;
    case 'o':
        call_monitor(&(struct call){{IST_SMC_POWER_OFF}});
        break;
    default:
        break;
    }
}
