/* SPDX-License-Identifier: MIT */
/* One call does what several do, whatever the peer writes: ist_receive what ist_peek and ist_take do, ist_send what
 * ist_reserve, ist_append and ist_commit do. Twins over one peer's buffer, one driven each way, are compared bit by bit. */
#include "filter.h"
#include "ring.h"

enum { CASES = 1500, STEPS = 150, ONE = 0, MANY = 1 };

struct twins {
    struct ist_endpoint e[2];
    struct ist_filter none[2]; /* admits nothing */
    ist_u8 *own[2], *peer;
    ist_u32 size, head, low; /* of the peer: where its next record goes, and that one's sequence */
    ist_u64 now, dice;
};

static int one_in(struct twins *t, ist_u32 n)
{
    return random_below(&t->dice, n) == 0;
}

static ist_u32 any(struct twins *t)
{
    return (ist_u32)random_next(&t->dice) >> random_below(&t->dice, 32);
}

/* What a cursor is off by: mostly nothing. */
static ist_u32 off(struct twins *t)
{
    return !one_in(t, 50) ? 0 : one_in(t, 2) ? any(t) : IST_ROUND(any(t));
}

/* Less what a record in hand leaves behind, and where each one's own things lie. */
static struct ist_endpoint bare(const struct ist_endpoint *e)
{
    struct ist_endpoint copy;
    memcpy(&copy, e, sizeof copy);
    copy.tx.own = copy.rx.own = NULL;
    copy.filter = NULL;
    memset(&copy.tx.tagger, 0, sizeof copy.tx.tagger);
    memset(&copy.tx.meta, 0, sizeof copy.tx.meta);
    memset(&copy.rx.meta, 0, sizeof copy.rx.meta);
    copy.rx.gap = 0;
    copy.rx.now = 0;
    return copy;
}

static void compare(const struct twins *t)
{
    const struct ist_endpoint a = bare(&t->e[ONE]), b = bare(&t->e[MANY]);
    CHECK(!memcmp(&a, &b, sizeof a));
    CHECK(!memcmp(t->own[ONE], t->own[MANY], t->size));
}

static void open_twins(struct twins *t, ist_u64 number)
{
    static const ist_u64 key[2] = {1, 2};
    struct ist_config c = config_of(RING, FRAME, number % 4 == 0 ? IST_TAG_CRC32C : IST_TAG_NONE);
    t->dice = number;
    t->now = 0;
    c.role = IST_SECURE;
    c.first_cursor = t->head = cursors[random_below(&t->dice, 4)];
    c.first_sequence = sequences[random_below(&t->dice, 3)];
    c.budget_interval = one_in(t, 4) ? 100 : 0;
    c.budget_tolerance = 300;
    t->low = (ist_u32)c.first_sequence;
    t->size = ist_buffer_size(&c, IST_SECURE);
    t->peer = buffer_new(ist_buffer_size(&c, IST_NORMAL));
    const int filtered = one_in(t, 4);
    for (int k = 0; k < 2; k++) {
        t->own[k] = buffer_new(t->size);
        memset(&t->none[k], 0, sizeof t->none[k]);
        t->none[k].peer = ~(ist_u64)0;
        CHECK_VERDICT(ist_init(&t->e[k], &c, t->own[k], t->peer), IST_V_OK);
        t->e[k].filter = filtered ? &t->none[k] : NULL;
        ist_begin(&t->e[k], 5, key, 0);
        t->e[k].state = IST_RUN;
        t->e[k].agreed = number % 8 < 4 ? IST_FEATURE_OFFLOAD : 0;
    }
    word_set(t->peer, IST_CTL_STATE, IST_STATE_WORD(IST_NORMAL, IST_RUN));
    word_set(t->peer, IST_CTL_HEAD, t->head);
    word_set(t->peer, IST_CTL_TAIL, t->head);
}

/* A record as good as most, or one whose length, sequence, flags, checksum fields or head are anything. */
static void peer_writes(struct twins *t)
{
    const ist_u32 length = one_in(t, 16) ? any(t) : IST_FRAME_MIN + random_below(&t->dice, FRAME - IST_FRAME_MIN + 1);
    const ist_u32 at = IST_CONTROL_SIZE + (t->head & (RING - 1));
    word_set(t->peer, at + IST_REC_LENGTH, length);
    word_set(t->peer, at + IST_REC_SEQUENCE, t->low++ + (one_in(t, 16) ? any(t) : 0));
    word_set(t->peer, at + IST_REC_FLAGS, one_in(t, 16) ? any(t) : 0);
    word_set(t->peer, at + IST_REC_CSUM, one_in(t, 32) ? any(t) : 0);
    pattern_fill(t->peer + at + IST_REC_PAYLOAD, IST_FRAME_MIN, t->low);
    t->head += IST_ROUND(IST_REC_PAYLOAD + (length <= FRAME ? length : 0));
    t->head += t->e[ONE].config.tag == IST_TAG_NONE ? 0 : IST_TRAILER;
    if (!one_in(t, 4))
        word_set(t->peer, IST_CTL_HEAD, t->head + off(t));
}

static void receive(struct twins *t)
{
    ist_u8 got[2][FRAME] = {{0}};
    struct ist_frame f[2] = {{0}};
    const enum ist_verdict one = ist_receive(&t->e[ONE], t->now, got[ONE], &f[ONE]);
    enum ist_verdict many = ist_peek(&t->e[MANY], t->now, &f[MANY]);
    if (many == IST_V_OK)
        many = ist_take(&t->e[MANY], got[MANY]);
    CHECK_VERDICT(one, many);
    if (one == IST_V_OK)
        CHECK(!memcmp(&f[ONE], &f[MANY], sizeof f[ONE]) && !memcmp(got[ONE], got[MANY], FRAME));
}

static void send(struct twins *t)
{
    const ist_u32 length = random_below(&t->dice, FRAME + 20);
    const struct ist_meta m = {.flags = one_in(t, 4) ? (ist_u16)any(t) : 0}, *meta = one_in(t, 2) ? &m : NULL;
    ist_u8 frame[FRAME + 20];
    pattern_fill(frame, length, t->now);
    const enum ist_verdict one = ist_send(&t->e[ONE], frame, length, meta);
    enum ist_verdict many = ist_reserve(&t->e[MANY], length, meta);
    if (many == IST_V_OK) {
        CHECK_VERDICT(ist_append(&t->e[MANY], frame, length), IST_V_OK);
        many = ist_commit(&t->e[MANY], length);
    }
    CHECK_VERDICT(one, many);
}

static void publish(struct twins *t)
{
    word_set(t->peer, IST_CTL_WAKE_RX, any(t));
    word_set(t->peer, IST_CTL_WAKE_TX, any(t));
    CHECK_EQ(ist_publish(&t->e[ONE]), ist_publish(&t->e[MANY]));
    if (one_in(t, 2))
        word_set(t->peer, IST_CTL_TAIL, t->e[ONE].tx.published + off(t));
}

/* A record in hand meanwhile, or room that is reserved. */
static void in_between(struct twins *t)
{
    struct ist_frame f;
    enum ist_verdict v[2], room[2];
    for (int k = 0; k < 2; k++) {
        v[k] = ist_peek(&t->e[k], t->now, &f);
        room[k] = ist_reserve(&t->e[k], FRAME, NULL);
    }
    CHECK_VERDICT(v[ONE], v[MANY]);
    CHECK_VERDICT(room[ONE], room[MANY]);
    receive(t);
    if (room[ONE] == IST_V_OK)
        CHECK_VERDICT(ist_send(&t->e[ONE], "frame", 5, NULL), IST_V_MISUSE);
    for (int k = 0; k < 2; k++) {
        ist_drop(&t->e[k], IST_V_NO_BUFFER);
        ist_cancel(&t->e[k]);
    }
}

TEST(one_call_does_what_several_do)
{
    ist_u64 seen[IST_VERDICT_COUNT] = {0};
    for (ist_u64 number = 1; number <= CASES; number++) {
        struct twins t;
        snprintf(test_case, sizeof test_case, "%llu", (unsigned long long)number);
        open_twins(&t, number);
        for (int i = 0; i < STEPS; i++) {
            t.now += random_below(&t.dice, 20);
            switch (random_below(&t.dice, 8)) {
            case 0: case 1: case 2: peer_writes(&t); break;
            case 3: case 4: receive(&t); break;
            case 5: send(&t); break;
            case 6: publish(&t); break;
            default: if (one_in(&t, 8)) in_between(&t);
            }
            compare(&t);
        }
        for (ist_u32 v = 0; v < IST_VERDICT_COUNT; v++)
            seen[v] += t.e[ONE].count[v];
        free(t.own[ONE]);
        free(t.own[MANY]);
        free(t.peer);
    }
    static const enum ist_verdict wanted[] = {
        IST_V_OK, IST_V_FULL, IST_V_DOWN, IST_V_LENGTH_SHORT, IST_V_LENGTH_LONG, IST_V_LENGTH_OVERRUN, IST_V_FLAGS,
        IST_V_OFFLOAD, IST_V_REPLAY, IST_V_GAP, IST_V_TAG, IST_V_SOURCE, IST_V_BUDGET, IST_V_NO_BUFFER, IST_V_HEAD_RANGE,
        IST_V_HEAD_ALIGN, IST_V_TAIL_RANGE, IST_V_TAIL_ALIGN, IST_V_TOO_LONG,
    };
    test_case[0] = 0;
    for (unsigned i = 0; i < sizeof wanted / sizeof *wanted; i++)
        if (seen[wanted[i]] == 0) /* or the cases are worth nothing */
            fail_at(__FILE__, __LINE__, "no case met %s", ist_verdict_name(wanted[i]));
}

int main(int argc, char **argv)
{
    return run_tests(argc, argv);
}
