/* SPDX-License-Identifier: MIT */
/* Lanes: two endpoints side by side in the same two buffers. What happens in one costs the other nothing, no record of
 * one passes in the other, and they have one fate. */
#include "harness.h"
#include "lane.h"
#include "netport.h"

enum { RING = 4096, SMALL = 8192, FRAME = 512, BULK = 0, CRITICAL = 1, LANES = 2 };

struct channel {
    struct ist_config config[2][LANES]; /* by role */
    struct ist_endpoint e[2][LANES];
    ist_u8 *own[2];
    ist_u64 now;
};

static const ist_u64 key[2] = {0x0706050403020100u, 0x0f0e0d0c0b0a0908u};

static void polls(struct channel *c, int times)
{
    for (int i = 0; i < 2 * times; i++)
        (void)ist_lanes_poll(c->e[i % 2], LANES, ++c->now);
}

static void begin(struct channel *c, ist_u64 epoch)
{
    for (ist_u32 role = 0; role < 2; role++)
        ist_lanes_begin(c->e[role], LANES, epoch, key, c->now);
    polls(c, 4);
}

static void up(struct channel *c, ist_u32 tag)
{
    memset(c, 0, sizeof *c);
    for (ist_u32 role = 0; role < 2; role++) {
        c->config[role][BULK] = config_of(RING, FRAME, tag);
        c->config[role][BULK].role = role;
        c->config[role][CRITICAL] = ist_lane_config(&c->config[role][BULK], CRITICAL, SMALL, 0, 0);
        c->own[role] = buffer_new(ist_lanes_size(c->config[role], LANES, role));
    }
    for (ist_u32 role = 0; role < 2; role++)
        CHECK_VERDICT(ist_lanes_init(c->e[role], c->config[role], LANES, c->own[role], c->own[1 - role]), IST_V_OK);
    begin(c, 77);
    CHECK_EQ(ist_link_state(&c->e[IST_SECURE][BULK]), IST_RUN);
    CHECK_EQ(ist_link_state(&c->e[IST_SECURE][CRITICAL]), IST_RUN);
}

static void down(struct channel *c)
{
    free(c->own[0]);
    free(c->own[1]);
}

static enum ist_verdict put(struct channel *c, ist_u32 lane, ist_u64 seed)
{
    ist_u8 frame[FRAME];
    pattern_fill(frame, sizeof frame, seed);
    const enum ist_verdict v = ist_send(&c->e[IST_NORMAL][lane], frame, sizeof frame, NULL);
    (void)ist_publish(&c->e[IST_NORMAL][lane]);
    return v;
}

static enum ist_verdict get(struct channel *c, ist_u32 lane)
{
    ist_u8 frame[FRAME];
    struct ist_frame f;
    return ist_receive(&c->e[IST_SECURE][lane], ++c->now, frame, &f);
}

/* ---- layout ---------------------------------------------------------------------------------------------------------- */

TEST(lanes_lie_behind_each_other_on_lines_of_their_own)
{
    struct ist_config c[LANES] = {config_of(RING, FRAME + 1, IST_TAG_NONE)};
    c[CRITICAL] = ist_lane_config(&c[BULK], CRITICAL, SMALL, 0, 0);
    for (ist_u32 role = 0; role < 2; role++) {
        const ist_u32 at = ist_lane_offset(c, CRITICAL, role), bulk = ist_buffer_size(&c[BULK], role);
        CHECK_EQ(ist_lane_offset(c, BULK, role), 0);
        CHECK(at >= bulk && at - bulk < IST_LINE && at % IST_LINE == 0);
        CHECK_EQ(ist_lanes_size(c, 1, role), bulk);
        CHECK_EQ(ist_lanes_size(c, LANES, role), at + ist_buffer_size(&c[CRITICAL], role));
    }
}

TEST(the_bulk_lane_is_a_channel_without_lanes_and_another_is_none)
{
    const struct ist_config bulk = config_of(RING, FRAME, IST_TAG_NONE);
    const struct ist_config same = ist_lane_config(&bulk, BULK, RING, 0, 0);
    CHECK(!memcmp(&bulk, &same, sizeof bulk));
    for (ist_u32 a = 0; a < IST_LANES_MAX; a++)
        for (ist_u32 b = 0; b < a; b++) {
            const struct ist_config ca = ist_lane_config(&bulk, a, RING, 0, 0), cb = ist_lane_config(&bulk, b, RING, 0, 0);
            CHECK(ist_config_digest(&ca) != ist_config_digest(&cb));
        }
}

TEST(a_lane_that_is_refused_refuses_the_channel)
{
    for (ist_u32 bad = 0; bad < LANES; bad++) {
        static _Alignas(IST_LINE) ist_u8 memory[2][4 * RING];
        struct ist_config c[LANES] = {config_of(RING, FRAME, IST_TAG_NONE)};
        struct ist_endpoint e[LANES];
        c[CRITICAL] = ist_lane_config(&c[BULK], CRITICAL, SMALL, 0, 0);
        CHECK_VERDICT(ist_lanes_init(e, c, LANES, memory[0], memory[1]), IST_V_OK);
        c[bad].tag = IST_TAGS;
        CHECK_VERDICT(ist_lanes_init(e, c, LANES, memory[0], memory[1]), IST_V_BAD_TAG);
    }
}

/* A peer that maps its lanes the other way round has another geometry, even where rings are equal. */
TEST(a_lane_is_not_taken_for_another)
{
    struct pair p;
    const struct ist_config bulk = config_of(RING, FRAME, IST_TAG_NONE);
    pair_open(&p, &bulk);
    struct ist_config other = ist_lane_config(&bulk, CRITICAL, RING, 0, 0);
    other.role = IST_SECURE;
    CHECK_VERDICT(ist_init(&p.side[1].e, &other, p.side[1].own, p.side[0].own), IST_V_OK);
    for (ist_u32 role = 0; role < 2; role++)
        ist_begin(&p.side[role].e, 5, p.key, 0);
    for (int i = 0; i < 8; i++)
        (void)ist_poll(&p.side[i % 2].e, ++p.now);
    CHECK_VERDICT(p.side[0].e.reason, IST_V_PEER_GEOMETRY);
    CHECK_VERDICT(p.side[1].e.reason, IST_V_PEER_GEOMETRY);
    pair_close(&p);
}

/* ---- a record moved between lanes ------------------------------------------------------------------------------------ */

static void move_record(struct channel *c, ist_u32 from, ist_u32 to)
{
    ist_u8 *own = c->own[IST_NORMAL];
    const ist_u32 a = ist_lane_offset(c->config[0], from, IST_NORMAL), b = ist_lane_offset(c->config[0], to, IST_NORMAL);
    const ist_u32 record = IST_REC_PAYLOAD + FRAME + IST_TRAILER;
    CHECK_VERDICT(put(c, from, 1), IST_V_OK);
    memcpy(own + b + IST_CONTROL_SIZE, own + a + IST_CONTROL_SIZE, record);
    word_set(own + b, IST_CTL_HEAD, word_get(own + a, IST_CTL_HEAD));
}

TEST(a_record_of_one_lane_does_not_pass_in_another)
{
    for (ist_u32 tag = IST_TAG_CRC32C; tag < IST_TAGS; tag++)
        for (ist_u32 to = 0; to < LANES; to++) {
            struct channel c;
            up(&c, tag);
            move_record(&c, 1 - to, to);
            CHECK_VERDICT(get(&c, to), IST_V_TAG);
            CHECK_VERDICT(get(&c, 1 - to), IST_V_OK); /* where it belongs it passes */
            down(&c);
        }
}

/* Control: with the same first sequence nothing would tell the lanes apart. */
TEST(without_a_sequence_of_its_own_a_lane_takes_anothers_record)
{
    struct channel c;
    up(&c, IST_TAG_SIPHASH);
    for (ist_u32 role = 0; role < 2; role++) {
        c.config[role][CRITICAL].first_sequence = c.config[role][BULK].first_sequence;
        c.e[role][CRITICAL].config.first_sequence = c.config[role][BULK].first_sequence;
    }
    begin(&c, 78);
    move_record(&c, BULK, CRITICAL);
    CHECK_VERDICT(get(&c, CRITICAL), IST_V_OK);
    down(&c);
}

/* ---- one fate -------------------------------------------------------------------------------------------------------- */

TEST(a_lane_that_breaks_the_protocol_ends_the_others)
{
    for (ist_u32 lane = 0; lane < LANES; lane++) {
        struct channel c;
        up(&c, IST_TAG_NONE);
        word_set(c.own[IST_NORMAL] + ist_lane_offset(c.config[0], lane, IST_NORMAL), IST_CTL_HEAD, 1u << 20);
        CHECK_VERDICT(get(&c, lane), IST_V_HEAD_RANGE);
        CHECK_EQ(ist_lanes_poll(c.e[IST_SECURE], LANES, ++c.now), IST_DEAD);
        CHECK_VERDICT(ist_lanes_worst(c.e[IST_SECURE], LANES)->reason, IST_V_HEAD_RANGE);
        CHECK_EQ(ist_link_state(&c.e[IST_SECURE][1 - lane]), IST_RESET);
        CHECK_VERDICT(put(&c, 1 - lane, 2), IST_V_OK); /* the peer has not looked yet */
        CHECK_VERDICT(get(&c, 1 - lane), IST_V_DOWN);
        CHECK_EQ(ist_lanes_poll(c.e[IST_NORMAL], LANES, ++c.now), IST_RESET);
        CHECK_EQ(ist_link_state(&c.e[IST_NORMAL][lane]), IST_RESET);
        CHECK_EQ(ist_link_state(&c.e[IST_NORMAL][1 - lane]), IST_RESET);
        begin(&c, 79); /* and a new epoch brings all of them back */
        for (ist_u32 k = 0; k < LANES; k++) {
            CHECK_VERDICT(put(&c, k, k), IST_V_OK);
            CHECK_VERDICT(get(&c, k), IST_V_OK);
        }
        down(&c);
    }
}

TEST(a_lane_that_ends_ends_the_others)
{
    for (ist_u32 lane = 0; lane < LANES; lane++) {
        struct channel c;
        up(&c, IST_TAG_NONE);
        ist_end(&c.e[IST_SECURE][lane], IST_V_PEER_LEFT);
        CHECK(ist_lanes_worst(c.e[IST_SECURE], LANES) == &c.e[IST_SECURE][lane]);
        CHECK_EQ(ist_lanes_poll(c.e[IST_SECURE], LANES, ++c.now), IST_RESET);
        CHECK_EQ(ist_link_state(&c.e[IST_SECURE][1 - lane]), IST_RESET);
        down(&c);
    }
}

TEST(a_channel_is_up_when_every_lane_is)
{
    struct channel c;
    up(&c, IST_TAG_NONE);
    ist_lanes_end(c.e[IST_NORMAL], LANES, IST_V_PEER_LEFT);
    CHECK_EQ(ist_lanes_poll(c.e[IST_SECURE], LANES, ++c.now), IST_RESET);
    for (ist_u32 role = 0; role < 2; role++)
        ist_lanes_begin(c.e[role], LANES, 80, key, c.now);
    ist_end(&c.e[IST_NORMAL][CRITICAL], IST_V_PEER_LEFT); /* a peer that brings up one lane alone */
    for (int i = 0; i < 8; i++)
        CHECK(ist_lanes_poll(c.e[IST_SECURE], LANES, ++c.now) != IST_RUN);
    down(&c);
}

/* ---- strict priority under a flood ----------------------------------------------------------------------------------- */

static ist_u8 room[LANES][FRAME];
static unsigned delivered[LANES], order[64], ordered;

static void *allocate(void *stack, ist_u32 length, void **at)
{
    CHECK(length <= FRAME);
    *at = room[*(ist_u32 *)stack];
    return stack;
}

static void discard(void *stack, void *buffer)
{
    CHECK(stack != buffer); /* no copy is refused here */
}

static void deliver(void *stack, void *buffer, const struct ist_meta *meta)
{
    const ist_u32 lane = *(ist_u32 *)buffer;
    (void)stack, (void)meta;
    delivered[lane]++;
    if (ordered < 64)
        order[ordered++] = lane;
}

static const struct netport_hooks hooks = {allocate, discard, deliver};

static void serve(struct channel *c, struct netport_lane lane[LANES], ist_u32 number[LANES])
{
    for (ist_u32 k = 0; k < LANES; k++) {
        number[k] = k;
        delivered[k] = 0;
        lane[k] = (struct netport_lane){.ep = &c->e[IST_SECURE][k], .stack = &number[k]};
    }
    ordered = 0;
}

TEST(a_higher_lane_is_looked_at_before_each_frame)
{
    struct channel c;
    struct netport_lane lane[LANES];
    ist_u32 number[LANES], work;
    up(&c, IST_TAG_NONE);
    serve(&c, lane, number);
    for (int i = 0; i < 3; i++)
        CHECK_VERDICT(put(&c, BULK, 1), IST_V_OK);
    for (int i = 0; i < 2; i++)
        CHECK_VERDICT(put(&c, CRITICAL, 1), IST_V_OK);
    CHECK_VERDICT(netport_receive_lanes(lane, LANES, &hooks, ++c.now, 3, 1 << 20, &work), IST_V_OK);
    CHECK_EQ(work, 3);
    CHECK_VERDICT(put(&c, CRITICAL, 1), IST_V_OK);
    CHECK_VERDICT(netport_receive_lanes(lane, LANES, &hooks, ++c.now, 64, 1 << 20, &work), IST_V_EMPTY);
    CHECK_EQ(work, 3);
    static const unsigned wanted[] = {CRITICAL, CRITICAL, BULK, CRITICAL, BULK, BULK};
    CHECK_EQ(ordered, 6);
    CHECK(!memcmp(order, wanted, sizeof wanted));
    /* The bytes of a call are shared: one frame uses them up. */
    CHECK_VERDICT(put(&c, BULK, 1), IST_V_OK);
    CHECK_VERDICT(put(&c, BULK, 1), IST_V_OK);
    CHECK_VERDICT(netport_receive_lanes(lane, LANES, &hooks, ++c.now, 64, FRAME, &work), IST_V_OK);
    CHECK_EQ(work, 1);
    down(&c);
}

/* 1,000 periods: the bulk ring kept full, one critical frame in each. `shared`: both flows in one ring, the control. */
static unsigned lost_in_a_flood(int shared)
{
    enum { PERIODS = 1000, PERIOD = 1000, BULK_FRAMES = 4, CRITICAL_FRAMES = 2 };
    struct channel c;
    struct netport_lane lane[LANES];
    ist_u32 number[LANES], work;
    unsigned lost = 0;
    up(&c, IST_TAG_NONE);
    serve(&c, lane, number);
    for (ist_u32 k = 0; k < LANES; k++) {
        const ist_u32 n = k == BULK ? BULK_FRAMES : CRITICAL_FRAMES;
        struct ist_limit *l = &c.e[IST_SECURE][k].rx.budget;
        budget_init(&lane[k].budget, PERIOD, n, n * FRAME, FRAME);
        *l = (struct ist_limit){PERIOD / n, PERIOD - PERIOD / n, c.now};
    }
    for (unsigned i = 0; i < PERIODS; i++) {
        while (put(&c, BULK, i) == IST_V_OK)
            continue;
        lost += put(&c, shared ? BULK : CRITICAL, i) != IST_V_OK;
        c.now += PERIOD;
        (void)netport_receive_lanes(lane, LANES, &hooks, c.now, 64, 1 << 20, &work);
        CHECK(shared || delivered[CRITICAL] == i + 1); /* in its own period */
    }
    CHECK(c.e[IST_SECURE][BULK].count[IST_V_BUDGET] + lane[BULK].budget.exhausted > PERIODS / 2); /* it was a flood */
    CHECK_EQ(lane[BULK].budget.over + lane[CRITICAL].budget.over, 0);
    down(&c);
    return lost;
}

TEST(a_bulk_flood_costs_the_critical_lane_no_frame)
{
    CHECK_EQ(lost_in_a_flood(0), 0);
}

TEST(in_one_ring_a_flood_costs_nearly_all)
{
    CHECK(lost_in_a_flood(1) > 900);
}

/* What a lane may ask a doorbell for is its own affair: one that waits for its budget stays unarmed. */
TEST(a_lane_that_spent_its_budget_says_so_beside_one_that_is_empty)
{
    struct channel c;
    struct netport_lane lane[LANES];
    ist_u32 number[LANES], work;
    up(&c, IST_TAG_NONE);
    serve(&c, lane, number);
    budget_init(&lane[CRITICAL].budget, 0, 0, 0, FRAME);
    budget_init(&lane[BULK].budget, 1000, 1, FRAME, FRAME);
    for (int i = 0; i < 4; i++)
        CHECK_VERDICT(put(&c, BULK, 1), IST_V_OK);
    CHECK_VERDICT(netport_receive_lanes(lane, LANES, &hooks, ++c.now, 64, 1 << 20, &work), IST_V_BUDGET);
    CHECK_VERDICT(lane[BULK].last, IST_V_BUDGET);
    CHECK_VERDICT(lane[CRITICAL].last, IST_V_EMPTY);
    down(&c);
}

int main(int argc, char **argv)
{
    return run_tests(argc, argv);
}
