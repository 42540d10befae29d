/* SPDX-License-Identifier: MIT */
#include "channel.h"

#include <stddef.h>

#include "account.h"
#include "clock.h"
#include "console.h"
#include "fault.h"
#include "normal.h"
#include "random.h"
#include "restart.h"
#include "smc.h"
#include "sysreg.h"

#define CHANNEL 0 /* its number, with the monitor */

struct ist_endpoint channel[BOARD_LANES];
static struct ist_filter received[BOARD_LANES], sent[BOARD_LANES];

/* The board's allow-lists: of what is received always, of what is sent where the board says so. */
static enum ist_verdict load_filters(uint32_t k, struct netport_lane *lane)
{
    static const ist_u64 table[] = BOARD_LANE_TABLES;
    static const struct {
        uint32_t in, in_words, out, out_words;
    } at[BOARD_LANES] = BOARD_LANE_FILTERS;
    enum ist_verdict v = ist_filter_load(&received[k], table + at[k].in, at[k].in_words);

    channel[k].filter = &received[k];
    lane->out = at[k].out_words != 0 ? &sent[k] : NULL;
    if (v == IST_V_OK && at[k].out_words != 0)
        v = ist_filter_load(&sent[k], table + at[k].out, at[k].out_words);
    return v;
}

enum ist_verdict channel_init(struct netport_lane lane[BOARD_LANES])
{
    static const struct ist_config config[BOARD_LANES] = BOARD_LANE_CONFIGS;
    static const struct {
        uint32_t frames, bytes;
    } budget[BOARD_LANES] = BOARD_LANE_BUDGETS;
    enum ist_verdict v = ist_lanes_init(channel, config, BOARD_LANES, (void *)BOARD_SECURE_BUFFER_BASE,
                                        (const void *)BOARD_NORMAL_BUFFER_BASE);

    for (uint32_t k = 0; k < BOARD_LANES && v == IST_V_OK; k++) {
        lane[k].ep = &channel[k];
        budget_init(&lane[k].budget, BOARD_BUDGET_PERIOD_NS, budget[k].frames, budget[k].bytes, config[k].frame_max);
        v = load_filters(k, &lane[k]);
    }
    return v;
}

void channel_ask_session(void (*begin)(uint64_t epoch, const ist_u64 key[2]), void (*follow)(enum ist_state state))
{
    struct call c = {{IST_SMC_SESSION, CHANNEL}};

    call_monitor(&c);
    if (c.x[0] != IST_SMC_OK)
        fault("the monitor does not know our channel");
    if (c.x[1] == IST_SESSION_SEALED && c.x[2] != channel[0].epoch) {
        begin(c.x[2], (const ist_u64[2]){c.x[3], c.x[4]});
    } else if (c.x[1] == IST_SESSION_ENDING) { /* once ended, we are quiescent */
        const uint64_t ended = c.x[2];

        ist_lanes_end(channel, BOARD_LANES, IST_V_PEER_LEFT);
        follow(channel_state());
        normal_took_leave();
        c = (struct call){{IST_SMC_QUIESCED, CHANNEL, ended}};
        call_monitor(&c);
    }
}

void channel_ring(uint32_t lanes)
{
    call_monitor(&(struct call){{IST_SMC_RING, CHANNEL, lanes}});
}

void channel_restart(void (*stop)(void), const char *(*start)(const uint64_t seed[2]))
{
    uint64_t seed[2];
    const char *failure;

    random_seed_next(seed);
    ist_lanes_end(channel, BOARD_LANES, IST_V_PEER_LEFT);
    record_event(&control_record, clock_now(), "stack restarts");
    if (stop != NULL)
        stop();
    restart_memory();
    failure = start(seed);
    if (failure != NULL)
        fault(failure);
    console_line("channel and stack", " begin anew");
}

void channel_frames(uint64_t *in, uint64_t *out)
{
    *in = *out = 0;
    for (uint32_t k = 0; k < BOARD_LANES; k++) {
        *in += channel[k].count[IST_V_OK];
        *out += channel[k].sent;
    }
}
