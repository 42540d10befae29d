/* SPDX-License-Identifier: MIT */
/* channels.c - many channels and one poll, driven by words on standard input; prints what was served, in order.
 *
 *     channels CHANNELS LANES TURN_FRAMES TURN_BYTES BUDGET LINGER
 *         BUDGET: frames of each bulk lane per period, 0: none; LINGER: in periods, -1: nothing is armed by the poll
 *
 *     send C K N LENGTH   the peer of channel C sends N frames by lane K and rings if it is told to
 *     mute C K N LENGTH   the same, but it never rings; both -> "+ FRAMES" that found room
 *     late C K N LENGTH   the same as send, during the next poll, behind its first turn
 *     ring C K            it rings for nothing
 *     wait C K            it has no room for a frame and waits for some
 *     bell C K            -> "+ 1" if it is to be told that there is some, else "+ 0"
 *     period              the next period begins
 *     poll FRAMES BYTES   -> "C K LENGTH" for each frame, then "= VERDICT WORK" */
#include "channels.h"
#include "harness.h"
#include "lane.h"

enum { RING = 4096, FRAME = 512, PERIOD = 1000000 };

struct channel {
    struct ist_endpoint peer[IST_LANES_MAX], own[IST_LANES_MAX];
};

static struct channel channel[CHANNELS_MAX];
static struct netport_lane lane[CHANNELS_MAX * IST_LANES_MAX];
static struct channels set;
static ist_u64 now = PERIOD;

/* ---- what the stack does --------------------------------------------------------------------------------------- */

static ist_u8 room[FRAME];
static ist_u32 length_now;

static void *allocate(void *stack, ist_u32 length, void **at)
{
    length_now = length;
    *at = room;
    return stack;
}

static void discard(void *stack, void *buffer)
{
    (void)stack, (void)buffer;
    CHECK(!"refused");
}

static void deliver(void *stack, void *buffer, const struct ist_meta *meta)
{
    const ist_u32 at = (ist_u32)((struct netport_lane *)buffer - lane);
    (void)meta;
    CHECK(stack == buffer);
    CHECK_EQ(room[0], at % 251u);
    printf("%u %u %u\n", at / set.lanes, at % set.lanes, length_now);
}

/* ---- setting up ------------------------------------------------------------------------------------------------- */

static void open_channel(ist_u32 c, ist_u32 budget)
{
    static const ist_u64 key[2] = {1, 2};
    struct ist_config config[2][IST_LANES_MAX];
    void *buffer[2];
    for (ist_u32 role = 0; role < 2; role++) {
        config[role][0] = config_of(RING, FRAME, IST_TAG_NONE);
        config[role][0].role = role;
        if (role == IST_SECURE && budget) {
            config[role][0].budget_interval = (PERIOD + budget - 1) / budget;
            config[role][0].budget_tolerance = PERIOD - config[role][0].budget_interval;
        }
        for (ist_u32 k = 1; k < set.lanes; k++)
            config[role][k] = ist_lane_config(&config[role][0], k, RING, 0, 0);
        buffer[role] = buffer_new(ist_lanes_size(config[role], set.lanes, role));
    }
    struct ist_endpoint *e[2] = {channel[c].peer, channel[c].own};
    for (ist_u32 role = 0; role < 2; role++)
        CHECK_VERDICT(ist_lanes_init(e[role], config[role], set.lanes, buffer[role], buffer[1 - role]), IST_V_OK);
    for (ist_u32 role = 0; role < 2; role++)
        ist_lanes_begin(e[role], set.lanes, c + 1, key, now);
    for (int i = 0; i < 6; i++)
        (void)ist_lanes_poll(e[i % 2], set.lanes, now);
    CHECK_EQ(ist_link_state(e[IST_SECURE]), IST_RUN);
    for (ist_u32 k = 0; k < set.lanes; k++) {
        struct netport_lane *l = &lane[c * set.lanes + k];
        *l = (struct netport_lane){.ep = &e[IST_SECURE][k], .stack = l};
    }
}

/* ---- what the peers do ------------------------------------------------------------------------------------------ */

static void sends(ist_u32 c, ist_u32 k, ist_u32 n, ist_u32 length, int rings)
{
    ist_u8 frame[FRAME] = {(ist_u8)((c * set.lanes + k) % 251u)};
    struct ist_endpoint *e = &channel[c].peer[k];
    ist_u32 sent = 0;
    while (sent < n && ist_send(e, frame, length, NULL) == IST_V_OK)
        sent++;
    printf("+ %u\n", sent);
    if (ist_publish(e) && rings)
        channels_rung(&set, k, 1ull << c);
}

static struct {
    ist_u32 c, k, n, length;
    int turns; /* until then; none are waited for where nothing is to be sent */
} late;

static void hear(void *doorbells, struct channels *s)
{
    CHECK(doorbells == &late && s == &set);
    if (late.turns-- == 0)
        sends(late.c, late.k, late.n, late.length, 1);
}

int main(int argc, char **argv)
{
    char word[16];
    ist_u32 a, b, n, length, work;
    CHECK_EQ(argc, 7);
    set = (struct channels){.lane = lane,
                            .count = (ist_u32)atoi(argv[1]),
                            .lanes = (ist_u32)atoi(argv[2]),
                            .turn_frames = (ist_u32)atoi(argv[3]),
                            .turn_bytes = (ist_u32)atoi(argv[4]),
                            .linger = atoi(argv[6]) < 0 ? 0 : (ist_u64)atoi(argv[6]) * PERIOD,
                            .caller_arms = atoi(argv[6]) < 0};
    for (ist_u32 c = 0; c < set.count; c++)
        open_channel(c, (ist_u32)atoi(argv[5]));
    channels_period(&set);
    while (scanf("%15s", word) == 1) {
        if (!strcmp(word, "send") || !strcmp(word, "mute")) {
            CHECK_EQ(scanf("%u %u %u %u", &a, &b, &n, &length), 4);
            sends(a, b, n, length, word[0] == 's');
        } else if (!strcmp(word, "late")) {
            CHECK_EQ(scanf("%u %u %u %u", &late.c, &late.k, &late.n, &late.length), 4);
            late.turns = 1;
        } else if (!strcmp(word, "ring")) {
            CHECK_EQ(scanf("%u %u", &a, &b), 2);
            const int ready = channels_ready(&set);
            channels_rung(&set, b, 1ull << a);
            CHECK_EQ(channels_ready(&set), ready || a < set.count);
        } else if (!strcmp(word, "wait")) {
            CHECK_EQ(scanf("%u %u", &a, &b), 2);
            CHECK(!ist_arm_tx(&channel[a].peer[b], FRAME));
        } else if (!strcmp(word, "bell")) {
            CHECK_EQ(scanf("%u %u", &a, &b), 2);
            printf("+ %u\n", (ist_u32)(set.ring[b] >> a & 1));
            set.ring[b] &= ~(1ull << a);
        } else if (!strcmp(word, "period")) {
            now += PERIOD;
            channels_period(&set);
            CHECK(channels_ready(&set));
        } else {
            CHECK_EQ(scanf("%u %u", &n, &length), 2);
            const enum ist_verdict v = channels_poll(&set, &(const struct netport_hooks){allocate, discard, deliver},
                                                     late.turns > 0 ? hear : NULL, &late, now, n, length, &work);
            CHECK_EQ(channels_ready(&set), v == IST_V_OK ? channels_ready(&set) : 0);
            printf("= %s %u\n", ist_verdict_name(v), work);
        }
    }
    return 0;
}
