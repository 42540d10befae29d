/* SPDX-License-Identifier: MIT */
#include "channel.h"

#include <stddef.h>

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

void channel_frames(uint64_t *in, uint64_t *out)
{
    *in = *out = 0;
    for (uint32_t k = 0; k < BOARD_LANES; k++) {
        *in += channel[k].count[IST_V_OK];
        *out += channel[k].sent;
    }
}
