/* SPDX-License-Identifier: MIT */
#include "normal.h"

#include "account.h"
#include "board.h"
#include "console.h"
#include "fault.h"
#include "restart.h"
#include "smc.h"
#include "sysreg.h"

#define MS 1000000ull

static KEPT struct {
    uint64_t state, starts; /* as the monitor has them */
    uint64_t heard;         /* its last heartbeat, or its start */
    uint64_t patience;      /* from then on; 0 = it owes none */
    uint64_t silent;        /* restarts for silence */
    int spoke;              /* there was a heartbeat since its start */
    int waits;              /* for the limit to allow another restart */
    struct ist_limit limit;
} normal;

static const char *state_name(void)
{
    switch (normal.state) {
    case IST_NORMAL_RUNNING:
        return "running";
    case IST_NORMAL_STOPPING:
        return "stopping";
    default:
        return "off";
    }
}

static void tell(uint64_t now, const char *what)
{
    record_event(&control_record, now, what);
    console_line(what, "");
}

static void owe(uint64_t now, int spoke)
{
    normal.heard = now;
    normal.spoke = spoke;
    normal.patience = (spoke ? BOARD_RESTART_SILENT_MS : BOARD_RESTART_BOOT_MS) * MS;
}

static void ask(void)
{
    struct call c = {{IST_SMC_NORMAL}};

    call_monitor(&c);
    if (c.x[0] != IST_SMC_OK)
        fault("the monitor does not know Linux");
    normal.state = c.x[1];
    normal.starts = c.x[2];
}

void normal_init(uint64_t now)
{
    normal.limit.interval = BOARD_RESTART_INTERVAL_MS * MS;
    normal.limit.tolerance = normal.limit.interval * (BOARD_RESTART_BURST - 1);
    owe(now, 0);
}

void normal_told(uint64_t now)
{
    ask();
    if (normal.state == IST_NORMAL_OFF) {
        normal.patience = 0;
        tell(now, "Linux is off");
    } else {
        owe(now, 0);
        tell(now, "Linux restarts");
    }
}

void normal_took_leave(void)
{
    if (normal.spoke)
        normal.patience = 0;
}

void normal_restart(void)
{
    call_monitor(&(struct call){{IST_SMC_NORMAL_RESTART}});
}

void normal_watch(uint64_t now, enum ist_state state)
{
    if (state == IST_RUN)
        owe(now, 1);
    if (normal.patience == 0 || now - normal.heard < normal.patience)
        return;
    if (!ist_limit_take(&normal.limit, now, normal.limit.interval)) {
        if (!normal.waits)
            tell(now, "Linux silent, restarts used up");
        normal.waits = 1;
        return;
    }
    normal.waits = 0;
    normal.patience = 0; /* until the monitor has told of its stop */
    normal.silent++;
    tell(now, "Linux silent");
    normal_restart();
}

void normal_json(struct text *t)
{
    ask();
    text_open(t, "normal");
    text_member_str(t, "state", state_name());
    text_member(t, "starts", normal.starts);
    text_member(t, "silent", normal.silent);
    text_close(t);
}
