/* SPDX-License-Identifier: MIT */
/* What every IP stack's port shares: which lane a frame goes by, what may leave, when receiving stops, what is counted
 * against the bound. */
#include "budget.h"
#include "harness.h"
#include "netport.h"

enum { RING = 8192, FRAME = 512, PEER_RULES = 1 };

static const struct ist_config *config(void)
{
    static struct ist_config c;
    c = config_of(RING, FRAME, IST_TAG_NONE);
    return &c;
}

/* ---- configuration, link ------------------------------------------------------------------------------------------- */

TEST(a_stack_fits_a_channel_with_its_mtu_and_room_for_it)
{
    struct ist_config c = {.mtu = 1500, .frame_max = 1514};
    CHECK(netport_fits(&c, 1500));
    CHECK(!netport_fits(&c, 1499));
    c.frame_max = 1513;
    CHECK(!netport_fits(&c, 1500));
    c.mtu = 0;
    CHECK(!netport_fits(&c, 0));
}

TEST(the_link_is_up_in_run_alone)
{
    for (int state = 0; state <= IST_DEAD; state++)
        for (int up = 0; up < 3; up++)
            CHECK_EQ(netport_link_moved((enum ist_state)state, up), (state == IST_RUN) != (up != 0));
}

/* ---- sending ------------------------------------------------------------------------------------------------------- */

/* A table with one rule, for everything or for nothing. */
static void filter_of(struct ist_filter *f, ist_u64 *table, int admits)
{
    const ist_u32 spans = IST_FILTER_RATES + 2 * PEER_RULES, words = spans + 2;
    memset(table, 0, words * sizeof *table);
    table[IST_FILTER_COUNT] = PEER_RULES;
    table[IST_FILTER_PEER] = 0x024953000002u;
    table[IST_FILTER_LANE] = 1;
    for (ist_u32 i = 0; i < IST_FILTER_FIELDS; i++)
        table[IST_FILTER_SPAN + i] = (ist_u64)spans << 32 | 1;
    table[spans + 1] = admits != 0;
    CHECK_VERDICT(ist_filter_load(f, table, words), IST_V_OK);
}

static const ist_u8 ours[64] = {2, 0x49, 0x53, 0, 0, 1, 2, 0x49, 0x53, 0, 0, 2, 0x88, 0xb5};

TEST(a_frame_goes_by_the_highest_lane_whose_table_admits_it)
{
    static struct ist_filter yes, no;
    ist_u64 tables[2][64];
    filter_of(&yes, tables[0], 1);
    filter_of(&no, tables[1], 0);
    const struct {
        struct ist_filter *out[3];
        ist_u32 lane;
    } cases[] = {
        {{NULL, NULL, NULL}, 0}, {{&yes, NULL, NULL}, 0}, {{NULL, &yes, NULL}, 1}, {{NULL, &yes, &yes}, 2},
        {{NULL, &yes, &no}, 1},  {{NULL, &no, &no}, 0},   {{&no, &no, NULL}, 0},
    };
    for (unsigned i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct netport_lane lane[3] = {{.out = cases[i].out[0]}, {.out = cases[i].out[1]}, {.out = cases[i].out[2]}};
        CHECK_EQ(netport_lane_of(lane, 3, ours, sizeof ours, 1), cases[i].lane);
        CHECK_EQ(netport_lane_of(lane, 1, ours, sizeof ours, 1), 0);
    }
}

TEST(what_may_not_leave_is_counted)
{
    static struct ist_filter yes, no;
    ist_u64 tables[2][64];
    struct pair p;
    pair_up(&p, config());
    filter_of(&yes, tables[0], 1);
    filter_of(&no, tables[1], 0);
    struct ist_endpoint *e = &p.side[IST_SECURE].e;
    CHECK(netport_admits(e, NULL, ours, sizeof ours, 1));
    CHECK(netport_admits(e, &yes, ours, sizeof ours, 1));
    CHECK_EQ(e->count[IST_V_EGRESS], 0);
    CHECK(!netport_admits(e, &no, ours, sizeof ours, 1));
    CHECK_EQ(e->count[IST_V_EGRESS], 1);
    pair_close(&p);
}

/* Either for what it was sent, or for what it waits for. */
TEST(a_flush_rings_for_frames_that_wait)
{
    struct pair p;
    pair_up(&p, config());
    struct ist_endpoint *from = &p.side[IST_SECURE].e, *to = &p.side[IST_NORMAL].e;
    ist_u8 frame[100] = {0};
    CHECK(!netport_flush(from));
    (void)ist_arm(to, 0);
    CHECK_VERDICT(ist_send(from, frame, sizeof frame, NULL), IST_V_OK);
    CHECK(netport_flush(from));
    CHECK(!netport_flush(from));
    while (ist_send(to, frame, sizeof frame, NULL) == IST_V_OK)
        ;
    (void)ist_publish(to);
    CHECK(!ist_arm_tx(to, sizeof frame));
    for (struct ist_frame f; ist_receive(from, ++p.now, frame, &f) == IST_V_OK;)
        ;
    CHECK(netport_flush(from));
    CHECK(!netport_flush(from));
    pair_close(&p);
}

/* ---- receiving ----------------------------------------------------------------------------------------------------- */

static ist_u8 room[FRAME];
static unsigned allocated, discarded, delivered;
static int none_left;

static void *allocate(void *stack, ist_u32 length, void **at)
{
    CHECK(length <= FRAME);
    allocated++;
    *at = room;
    return none_left ? NULL : stack;
}

static void discard(void *stack, void *buffer)
{
    CHECK(stack == buffer);
    discarded++;
}

static void deliver(void *stack, void *buffer, const struct ist_meta *meta)
{
    CHECK(stack == buffer);
    CHECK_EQ(meta->flags, 0);
    delivered++;
}

static const struct netport_hooks hooks = {allocate, discard, deliver};

static void sent(struct pair *p, int frames, ist_u32 length)
{
    ist_u8 frame[FRAME];
    pattern_fill(frame, sizeof frame, 5);
    for (int i = 0; i < frames; i++)
        CHECK_VERDICT(ist_send(&p->side[IST_NORMAL].e, frame, length, NULL), IST_V_OK);
    (void)ist_publish(&p->side[IST_NORMAL].e);
}

static enum ist_verdict taken(struct pair *p, struct budget *b, ist_u32 frames, ist_u32 bytes, ist_u32 *work)
{
    allocated = discarded = delivered = 0;
    return netport_receive(&p->side[IST_SECURE].e, &hooks, room, b, ++p->now, frames, bytes, work);
}

TEST(receiving_ends_by_frames_by_bytes_or_for_want_of_them)
{
    struct pair p;
    struct budget b;
    ist_u32 work;
    pair_up(&p, config());
    budget_init(&b, 0, 0, 0, FRAME);
    sent(&p, 6, 100);
    CHECK_VERDICT(taken(&p, &b, 2, 1000, &work), IST_V_OK);
    CHECK_EQ(work, 2);
    CHECK_EQ(delivered, 2);
    CHECK_VERDICT(taken(&p, &b, 9, 101, &work), IST_V_OK); /* the second one reaches it */
    CHECK_EQ(work, 2);
    CHECK_VERDICT(taken(&p, &b, 9, 100, &work), IST_V_OK);
    CHECK_EQ(work, 1);
    CHECK_VERDICT(taken(&p, &b, 9, 1000, &work), IST_V_EMPTY);
    CHECK_EQ(work, 1);
    CHECK_VERDICT(taken(&p, &b, 0, 1000, &work), IST_V_OK);
    ist_end(&p.side[IST_SECURE].e, IST_V_PEER_LEFT);
    CHECK_VERDICT(taken(&p, &b, 9, 1000, &work), IST_V_DOWN);
    CHECK_EQ(work, 0);
    pair_close(&p);
}

TEST(what_is_refused_costs_and_holds_nothing_up)
{
    struct pair p;
    struct budget b;
    ist_u32 work;
    pair_up(&p, config());
    budget_init(&b, 1000000, 100, 100 * FRAME, FRAME);
    p.now += 2000000;
    sent(&p, 3, 100);
    none_left = 1;
    CHECK_VERDICT(taken(&p, &b, 9, 1000, &work), IST_V_EMPTY);
    none_left = 0;
    CHECK_EQ(work, 3);
    CHECK_EQ(allocated, 3);
    CHECK_EQ(delivered + discarded, 0);
    CHECK_EQ(p.side[IST_SECURE].e.count[IST_V_NO_BUFFER], 3);
    CHECK_EQ(b.frames_now, 3);
    CHECK_EQ(b.bytes_now, 300);
    sent(&p, 2, 100);
    CHECK_VERDICT(taken(&p, &b, 9, 1000, &work), IST_V_EMPTY);
    CHECK_EQ(delivered, 2);
    CHECK_EQ(b.exhausted, 0);
    pair_close(&p);
}

TEST(what_the_filter_refuses_holds_nothing_up)
{
    static struct ist_filter no;
    ist_u64 table[64];
    struct pair p;
    struct budget b;
    ist_u32 work;
    filter_of(&no, table, 0);
    pair_up(&p, config());
    p.side[IST_SECURE].e.filter = &no;
    budget_init(&b, 1000000, 100, 100 * FRAME, FRAME);
    p.now += 2000000;
    sent(&p, 3, 100);
    CHECK_VERDICT(taken(&p, &b, 9, 10000, &work), IST_V_EMPTY);
    CHECK_EQ(work, 3);
    CHECK_EQ(discarded, 3);
    CHECK_EQ(b.bytes_now, 300); /* the copy was made */
    const struct ist_endpoint *e = &p.side[IST_SECURE].e;
    CHECK_EQ(e->count[IST_V_SOURCE], 3);
    CHECK_EQ(e->count[IST_V_OK], 0);
    CHECK_EQ(e->rx.bytes, 0);
    pair_close(&p);
}

/* Whether a frame is received by one call or by two. */
TEST(the_filter_is_asked_of_every_frame)
{
    static struct ist_filter filter;
    ist_u64 table[64];
    for (int admits = 0; admits < 2; admits++)
        for (int calls = 1; calls <= 2; calls++) {
            struct pair p;
            struct ist_frame f;
            ist_u8 got[FRAME];
            filter_of(&filter, table, admits);
            pair_up(&p, config());
            struct ist_endpoint *e = &p.side[IST_SECURE].e;
            e->filter = &filter;
            CHECK_VERDICT(ist_send(&p.side[IST_NORMAL].e, ours, sizeof ours, NULL), IST_V_OK);
            ist_publish(&p.side[IST_NORMAL].e);
            enum ist_verdict v;
            if (calls == 2) {
                CHECK_VERDICT(ist_peek(e, ++p.now, &f), IST_V_OK);
                v = ist_take(e, got);
            } else {
                v = ist_receive(e, ++p.now, got, &f);
            }
            CHECK_VERDICT(v, admits ? IST_V_OK : IST_V_VLAN);
            CHECK_EQ(e->count[v], 1);
            CHECK_EQ(e->rx.bytes, admits ? sizeof ours : 0);
            pair_close(&p);
        }
}

TEST(a_record_that_lies_gets_no_buffer)
{
    struct pair p;
    struct budget b;
    ist_u32 work;
    pair_up(&p, config());
    budget_init(&b, 1000000, 100, 100 * FRAME, FRAME);
    p.now += 2000000;
    sent(&p, 1, 100);
    word_set(p.side[IST_NORMAL].own, IST_CONTROL_SIZE + (p.side[IST_SECURE].e.rx.tail & (RING - 1)) + IST_REC_LENGTH, 1);
    CHECK_VERDICT(taken(&p, &b, 9, 1000, &work), IST_V_EMPTY);
    CHECK_EQ(work, 1);
    CHECK_EQ(b.frames_now, 1);
    CHECK_EQ(b.bytes_now, 0);
    CHECK_EQ(allocated, 0);
    pair_close(&p);
}

TEST(a_spent_budget_is_waited_for)
{
    struct pair p;
    struct budget b;
    ist_u32 work;
    pair_up(&p, config());
    budget_init(&b, 1000000, 100, 256, FRAME);
    p.now += 2000000;
    sent(&p, 6, 100);
    const enum ist_verdict v = taken(&p, &b, 9, 10000, &work);
    CHECK_VERDICT(v, IST_V_BUDGET);
    CHECK_EQ(work, 3); /* the one that overdraws included */
    CHECK_EQ(b.exhausted, 1);
    CHECK_VERDICT(taken(&p, &b, 9, 10000, &work), IST_V_BUDGET);
    CHECK_EQ(work, 0);
    p.now += 2000000;
    CHECK_VERDICT(taken(&p, &b, 9, 10000, &work), IST_V_BUDGET);
    CHECK_EQ(work, 3);
    pair_close(&p);
}

static void two_lanes(struct pair p[2], struct netport_lane lane[2])
{
    for (int k = 0; k < 2; k++) {
        pair_up(&p[k], config());
        lane[k] = (struct netport_lane){.ep = &p[k].side[IST_SECURE].e, .stack = room};
    }
}

/* One that has to wait says so for all, whether those below it are empty or not. */
TEST(a_channel_with_a_lane_whose_budget_is_spent_waits)
{
    struct pair p[2];
    struct netport_lane lane[2];
    ist_u32 work;
    two_lanes(p, lane);
    CHECK_VERDICT(netport_receive_lanes(lane, 2, &hooks, p[0].now, 9, 10000, &work), IST_V_EMPTY);
    budget_init(&lane[1].budget, 1000000, 100, 256, FRAME);
    lane[1].budget.bytes.due = UINT32_MAX; /* spent */
    CHECK_VERDICT(netport_receive_lanes(lane, 2, &hooks, p[0].now, 9, 10000, &work), IST_V_BUDGET);
    CHECK_VERDICT(lane[0].last, IST_V_EMPTY);
    CHECK_VERDICT(lane[1].last, IST_V_BUDGET);
    sent(&p[0], 2, 100);
    CHECK_VERDICT(netport_receive_lanes(lane, 2, &hooks, p[0].now, 9, 10000, &work), IST_V_BUDGET);
    CHECK_EQ(work, 2);
    pair_close(&p[0]);
    pair_close(&p[1]);
}

/* A lane that is down says so for all, whatever those below it wait for. */
TEST(a_channel_with_a_lane_that_is_down_is_down)
{
    struct pair p[2];
    struct netport_lane lane[2];
    ist_u32 work;
    two_lanes(p, lane);
    budget_init(&lane[0].budget, 1000000, 100, 256, FRAME);
    lane[0].budget.bytes.due = UINT32_MAX; /* spent */
    sent(&p[0], 1, 100);
    CHECK_VERDICT(netport_receive_lanes(lane, 2, &hooks, p[0].now, 9, 10000, &work), IST_V_BUDGET);
    ist_end(lane[1].ep, IST_V_PEER_LEFT);
    CHECK_VERDICT(netport_receive_lanes(lane, 2, &hooks, p[0].now, 9, 10000, &work), IST_V_DOWN);
    CHECK_EQ(work, 0);
    pair_close(&p[0]);
    pair_close(&p[1]);
}

/* ---- the ledger ---------------------------------------------------------------------------------------------------- */

TEST(a_budget_is_rounded_so_that_nothing_is_given_away)
{
    struct budget b;
    budget_init(&b, 1000, 3, 7 * IST_ALIGN, 500);
    CHECK_EQ(b.bytes.interval, 143); /* 1000 / 7, up */
    CHECK_EQ(b.bytes.tolerance, 1000 - 143);
    CHECK_EQ(b.frames_bound, 6);
    CHECK_EQ(b.bytes_bound, 14 * IST_ALIGN + 500);
    budget_init(&b, 0, 3, 7 * IST_ALIGN, 500);
    CHECK_EQ(b.frames_bound + b.bytes.interval, 0);
    CHECK(budget_open(&b, 0));
    budget_init(&b, 1000, 3, IST_ALIGN - 1, 500);
    CHECK_EQ(b.frames_bound + b.bytes.interval, 0);
    CHECK(budget_open(&b, 0));
    budget_spend(&b, 1, 5000);
    CHECK_EQ(b.frames_now, 1);
    b.period = 0;
    budget_spend(&b, 1, 6000);
    CHECK_EQ(b.frames_now, 1);
    CHECK_EQ(b.bytes_now, 5000);
}

TEST(the_ledger_counts_each_window_and_what_goes_beyond_its_bound_once)
{
    struct budget b;
    budget_init(&b, 1000, 2, 2 * IST_ALIGN, 100);
    b.bytes_bound = 1000;
    for (int i = 0; i < 4; i++)
        budget_spend(&b, 10, 1);
    CHECK_EQ(b.over, 0);
    budget_spend(&b, 999, 1);
    CHECK_EQ(b.over, 1);
    budget_spend(&b, 999, 1);
    CHECK_EQ(b.over, 1);
    CHECK_EQ(b.frames_most, 6);
    CHECK_EQ(b.bytes_most, 6);
    budget_spend(&b, 1000, 1000); /* another window, filled to the brim */
    CHECK_EQ(b.began, 1000);
    CHECK_EQ(b.frames_now, 1);
    CHECK_EQ(b.bytes_now, 1000);
    CHECK_EQ(b.over, 1);
    budget_spend(&b, 1001, 1);
    CHECK_EQ(b.over, 2);
    budget_spend(&b, 1002, 1);
    CHECK_EQ(b.over, 2);
    CHECK_EQ(b.frames_most, 6);
    CHECK_EQ(b.bytes_most, 1002);
    budget_spend(&b, 2000, 1);
    CHECK_EQ(b.bytes_most, 1002);
}

/* What is copied is charged in whole units, a refused frame nothing but its place in the ledger. */
TEST(bytes_are_charged_in_whole_units)
{
    struct budget b;
    budget_init(&b, 1000, 8, 10 * IST_ALIGN, 100);
    const ist_u64 before = b.bytes.due = 5000;
    budget_spend(&b, 5000, 0);
    CHECK_EQ(b.bytes.due, before);
    budget_spend(&b, 5000, 1);
    CHECK_EQ(b.bytes.due, before + 100);
    budget_spend(&b, 5000, IST_ALIGN);
    CHECK_EQ(b.bytes.due, before + 200);
    budget_spend(&b, 5000, IST_ALIGN + 1);
    CHECK_EQ(b.bytes.due, before + 400);
    CHECK(budget_open(&b, 5000));
    b.bytes.due = 5000 + 901;
    CHECK(!budget_open(&b, 5000));
}

int main(int argc, char **argv)
{
    return run_tests(argc, argv);
}
