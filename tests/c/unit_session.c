/* SPDX-License-Identifier: MIT */
/* The life cycle of a link: every own state against everything that a peer's control block can say, every order of
 * steps of an honest handshake, and each mismatch refused by its name on both sides. */
#include "harness.h"

enum { RING = 4096, FRAME = 256, ME = IST_SECURE, PEER = IST_NORMAL };

static struct ist_config plain(void)
{
    return config_of(RING, FRAME, IST_TAG_NONE);
}

static ist_u32 state_word(struct pair *p, ist_u32 role)
{
    return word_get(p->side[role].own, IST_CTL_STATE);
}

/* Frames pass in both directions, content intact. */
static void check_passes(struct pair *p)
{
    for (ist_u32 from = 0; from < 2; from++) {
        ist_u8 frame[FRAME], got[FRAME];
        struct ist_frame f;
        pattern_fill(frame, FRAME, p->epoch + from);
        CHECK_VERDICT(ist_send(&p->side[from].e, frame, FRAME, NULL), IST_V_OK);
        ist_publish(&p->side[from].e);
        CHECK_VERDICT(ist_peek(&p->side[1 - from].e, ++p->now, &f), IST_V_OK);
        CHECK_VERDICT(ist_take(&p->side[1 - from].e, got), IST_V_OK);
        CHECK(!memcmp(frame, got, FRAME));
    }
}

/* ---- the table: own state x the peer's control block ------------------------------------------------------------ */

enum identity { FITS, OTHER_EPOCH_LO, OTHER_EPOCH_HI, OTHER_DIGEST_LO, OTHER_DIGEST_HI, OTHER_MTU, NO_FEATURE, DEMAND, IDENTITIES };

static const enum ist_verdict refusal_of[IDENTITIES] = {
    IST_V_OK,       IST_V_PEER_EPOCH, IST_V_PEER_EPOCH, IST_V_PEER_GEOMETRY, IST_V_PEER_GEOMETRY,
    IST_V_PEER_MTU, IST_V_PEER_FEATURES, IST_V_PEER_FEATURES,
};

/* Brings side ME into `state` with an honest peer. */
static void reach(struct pair *p, ist_u32 state)
{
    struct ist_endpoint *me = &p->side[ME].e, *peer = &p->side[PEER].e;
    struct ist_config c = plain();
    c.features = c.required = IST_FEATURES_ALL;
    pair_open(p, &c);
    if (state == IST_RESET)
        return;
    ist_begin(me, p->epoch, p->key, p->now);
    ist_begin(peer, p->epoch, p->key, p->now);
    if (state == IST_READY)
        ist_poll(me, p->now);
    if (state == IST_RUN || state == IST_DEAD)
        for (int i = 0; i < 3; i++) {
            ist_poll(me, p->now);
            ist_poll(peer, p->now);
        }
    if (state == IST_DEAD) {
        struct ist_frame f;
        word_set(p->side[PEER].own, IST_CTL_HEAD, 4);
        CHECK_VERDICT(ist_peek(me, p->now, &f), IST_V_HEAD_ALIGN);
        word_set(p->side[PEER].own, IST_CTL_HEAD, 0);
    }
    CHECK_EQ(ist_link_state(me), state);
}

static void set_identity(struct pair *p, enum identity identity)
{
    ist_u8 *b = p->side[PEER].own;
    ist_u64 digest = ist_config_digest(&p->config);
    word_set(b, IST_CTL_EPOCH_LO, (ist_u32)p->epoch);
    word_set(b, IST_CTL_EPOCH_HI, (ist_u32)(p->epoch >> 32));
    word_set(b, IST_CTL_DIGEST_LO, (ist_u32)digest);
    word_set(b, IST_CTL_DIGEST_HI, (ist_u32)(digest >> 32));
    word_set(b, IST_CTL_MTU, p->config.mtu);
    word_set(b, IST_CTL_FEATURES, IST_FEATURES_ALL);
    static const ist_u32 word[IDENTITIES] = {
        0, IST_CTL_EPOCH_LO, IST_CTL_EPOCH_HI, IST_CTL_DIGEST_LO, IST_CTL_DIGEST_HI, IST_CTL_MTU, IST_CTL_FEATURES,
    };
    if (identity == DEMAND) /* of a feature that nobody knows */
        word_set(b, IST_CTL_FEATURES, (IST_FEATURES_ALL + 1) << 16 | IST_FEATURES_ALL);
    else if (identity != FITS)
        word_set(b, word[identity], word_get(b, word[identity]) ^ 1);
}

struct outcome {
    ist_u32 state;
    enum ist_verdict reason;
};

/* What SPEC says happens when ME in `own` looks at a peer whose state word is `word` behind `identity`. */
static struct outcome expected(ist_u32 own, ist_u32 word, enum identity identity)
{
    const ist_u32 peer = IST_STATE_OF(word);
    enum ist_verdict garbled = IST_V_OK;
    if (IST_MAGIC_OF(word) != IST_MAGIC)
        garbled = IST_V_PEER_MAGIC;
    else if (IST_VERSION_OF(word) != IST_VERSION)
        garbled = IST_V_PEER_VERSION;
    else if (IST_ROLE_OF(word) != PEER)
        garbled = IST_V_PEER_ROLE;
    else if (peer > IST_DEAD)
        garbled = IST_V_STATE_WORD;

    switch (own) {
    case IST_INIT:
        if (word == 0)
            return (struct outcome){IST_INIT, IST_V_OK};
        if (garbled != IST_V_OK)
            return (struct outcome){IST_INIT, garbled};
        if (peer == IST_RESET)
            return (struct outcome){IST_INIT, IST_V_OK};
        if (identity != FITS)
            return (struct outcome){IST_INIT, refusal_of[identity]};
        if (peer == IST_INIT || peer == IST_READY)
            return (struct outcome){IST_READY, IST_V_OK};
        return (struct outcome){IST_INIT, peer == IST_DEAD ? IST_V_PEER_DEAD : IST_V_OK};
    case IST_READY:
    case IST_RUN:
        if (garbled != IST_V_OK)
            return (struct outcome){IST_DEAD, IST_V_STATE_WORD};
        if (peer == IST_RESET || (peer == IST_INIT && own == IST_RUN))
            return (struct outcome){IST_RESET, IST_V_PEER_LEFT};
        if (peer == IST_DEAD)
            return (struct outcome){IST_RESET, IST_V_PEER_DEAD};
        return (struct outcome){peer == IST_INIT ? IST_READY : IST_RUN, IST_V_OK};
    default:
        return (struct outcome){own, own == IST_DEAD ? IST_V_HEAD_ALIGN : IST_V_OK};
    }
}

static void look_once(ist_u32 own, ist_u32 word, enum identity identity)
{
    struct pair p;
    snprintf(test_case, sizeof test_case, "own %u word %08x identity %d", own, word, (int)identity);
    reach(&p, own);
    struct ist_endpoint *me = &p.side[ME].e;
    set_identity(&p, identity);
    word_set(p.side[PEER].own, IST_CTL_STATE, word);
    ist_u8 *peer_before = malloc(p.side[PEER].size);
    memcpy(peer_before, p.side[PEER].own, p.side[PEER].size);
    struct ist_endpoint before = *me;

    struct outcome want = expected(own, word, identity);
    CHECK_EQ(ist_poll(me, ++p.now), want.state);
    CHECK_EQ(ist_link_state(me), want.state);
    CHECK_VERDICT(me->reason, want.reason);
    CHECK_EQ(state_word(&p, ME), IST_STATE_WORD(ME, want.state)); /* told to the peer */
    CHECK_VERDICT(word_get(p.side[ME].own, IST_CTL_REFUSAL), want.reason);
    for (ist_u32 v = 0; v < IST_VERDICT_COUNT; v++) /* exactly the reason's counter moves */
        CHECK_EQ(me->count[v], before.count[v] + (v == want.reason && want.reason != before.reason));
    CHECK(!memcmp(peer_before, p.side[PEER].own, p.side[PEER].size)); /* nothing of the peer's is written */
    if (want.state == IST_INIT) { /* looked at again, the same refusal is not counted again */
        ist_poll(me, ++p.now);
        CHECK_EQ(me->count[want.reason], before.count[want.reason] + (want.reason != IST_V_OK));
    }

    /* Whatever it was: a new epoch with an honest peer runs. */
    memset(p.side[PEER].own, 0, p.side[PEER].size);
    pair_run(&p);
    check_passes(&p);
    free(peer_before);
    pair_close(&p);
    test_case[0] = 0;
}

TEST(every_own_state_meets_every_peer)
{
    for (ist_u32 own = 0; own < IST_STATES; own++)
        for (ist_u32 state = 0; state < 16; state++) {
            for (int identity = 0; identity < IDENTITIES; identity++)
                look_once(own, IST_STATE_WORD((ist_u32)PEER, state), (enum identity)identity);
            look_once(own, IST_STATE_WORD((ist_u32)ME, state), FITS);
            look_once(own, IST_STATE_WORD(2u, state), FITS);
            look_once(own, IST_STATE_WORD(15u, state), FITS);
            look_once(own, IST_STATE_WORD((ist_u32)PEER, state) ^ 0x100u, FITS);
            look_once(own, IST_STATE_WORD((ist_u32)PEER, state) ^ 0xff00u, FITS);
            look_once(own, IST_STATE_WORD((ist_u32)PEER, state) ^ 0x10000u, FITS);
            look_once(own, IST_STATE_WORD((ist_u32)PEER, state) ^ 0x80000000u, FITS);
            look_once(own, state, FITS); /* no magic at all; 0 is memory that nobody has written */
        }
}

/* ---- an honest handshake --------------------------------------------------------------------------------------- */

/* Every order of 2 x begin and polls up to `STEPS` steps, then polls in turn: both reach RUN. */
TEST(every_order_of_an_honest_handshake_ends_in_run)
{
    enum { STEPS = 9 };
    for (ist_u32 order = 0; order < 1u << STEPS; order++)
        for (ist_u32 second = 0; second <= STEPS; second++) {
            struct ist_config c = plain();
            struct pair p;
            pair_open(&p, &c);
            snprintf(test_case, sizeof test_case, "order %03x second begin at %u", order, second);
            ist_u32 first = order & 1; /* the side that begins at once */
            ist_begin(&p.side[first].e, p.epoch, p.key, p.now);
            for (ist_u32 i = 0; i < STEPS; i++) {
                if (i == second)
                    ist_begin(&p.side[1 - first].e, p.epoch, p.key, p.now);
                ist_poll(&p.side[order >> i & 1].e, ++p.now);
            }
            if (second == STEPS)
                ist_begin(&p.side[1 - first].e, p.epoch, p.key, p.now);
            for (int i = 0; i < 3; i++)
                for (ist_u32 role = 0; role < 2; role++)
                    ist_poll(&p.side[role].e, ++p.now);
            CHECK_EQ(ist_link_state(&p.side[0].e), IST_RUN);
            CHECK_EQ(ist_link_state(&p.side[1].e), IST_RUN);
            check_passes(&p);
            pair_close(&p);
        }
    test_case[0] = 0;
}

TEST(nothing_passes_before_run)
{
    struct ist_config c = plain();
    struct pair p;
    ist_u8 frame[FRAME] = {0};
    struct ist_frame f;
    pair_open(&p, &c);
    for (int stage = 0; stage < 3; stage++) {
        for (ist_u32 role = 0; role < 2; role++) {
            struct ist_endpoint *e = &p.side[role].e;
            CHECK_VERDICT(ist_send(e, frame, 100, NULL), IST_V_DOWN);
            CHECK_VERDICT(ist_reserve(e, 100, NULL), IST_V_DOWN);
            CHECK_VERDICT(ist_peek(e, p.now, &f), IST_V_DOWN);
            CHECK_EQ(ist_room(e), 0);
            CHECK_EQ(ist_publish(e), 0);
            CHECK(ist_pending(e));  /* nobody sleeps on a link that is not up */
            CHECK(ist_arm(e, 1));
            ist_disarm(e);
        }
        for (ist_u32 role = 0; role < 2; role++) {
            if (stage == 0)
                ist_begin(&p.side[role].e, p.epoch, p.key, p.now);
            else
                ist_poll(&p.side[role].e, p.now);
        }
    }
    pair_close(&p);
}

TEST(a_side_that_restarts_is_noticed_and_the_link_comes_back)
{
    for (ist_u32 who = 0; who < 2; who++)
        for (int fresh = 0; fresh < 2; fresh++) {
            struct ist_config c = plain();
            c.first_cursor = 0xfffff800u;
            struct pair p;
            pair_up(&p, &c);
            check_passes(&p);
            struct side *other = &p.side[1 - who];
            p.epoch++;
            if (fresh) { /* a new process over new memory */
                struct ist_config mine = c;
                mine.role = who;
                memset(p.side[who].own, 0, p.side[who].size);
                CHECK_VERDICT(ist_init(&p.side[who].e, &mine, p.side[who].own, other->own), IST_V_OK);
            }
            ist_begin(&p.side[who].e, p.epoch, p.key, p.now);
            /* Until the other one has entered the new epoch too, the one that restarted refuses it by name. */
            CHECK_EQ(ist_poll(&p.side[who].e, ++p.now), IST_INIT);
            CHECK_VERDICT(p.side[who].e.reason, IST_V_PEER_EPOCH);
            CHECK_EQ(ist_poll(&other->e, ++p.now), IST_RESET);
            CHECK_VERDICT(other->e.reason, IST_V_PEER_LEFT);
            ist_begin(&other->e, p.epoch, p.key, p.now);
            for (int i = 0; i < 2; i++) {
                ist_poll(&other->e, ++p.now);
                ist_poll(&p.side[who].e, ++p.now);
            }
            check_passes(&p);
            pair_close(&p);
        }
}

/* The receiver looks at a cursor in the moment when its peer restarts: the peer left, it broke nothing. */
TEST(a_cursor_cleared_by_a_restart_is_no_violation)
{
    for (int at_reserve = 0; at_reserve < 2; at_reserve++) {
        struct ist_config c = plain();
        struct pair p;
        ist_u8 frame[FRAME] = {0}, got[FRAME];
        struct ist_frame f;
        pair_up(&p, &c);
        for (int lap = 0; lap < 40; lap++)
            check_passes(&p);
        CHECK_VERDICT(ist_send(&p.side[PEER].e, frame, 100, NULL), IST_V_OK);
        ist_publish(&p.side[PEER].e);
        CHECK_VERDICT(ist_peek(&p.side[ME].e, p.now, &f), IST_V_OK);
        CHECK_VERDICT(ist_take(&p.side[ME].e, got), IST_V_OK);
        while (ist_send(&p.side[ME].e, frame, FRAME, NULL) == IST_V_OK)
            ist_publish(&p.side[ME].e);
        ist_begin(&p.side[PEER].e, ++p.epoch, p.key, p.now);
        if (at_reserve)
            CHECK_VERDICT(ist_reserve(&p.side[ME].e, FRAME, NULL), IST_V_DOWN);
        else
            CHECK(ist_peek(&p.side[ME].e, p.now, &f) != IST_V_OK);
        CHECK_EQ(ist_link_state(&p.side[ME].e), IST_RESET);
        CHECK_VERDICT(p.side[ME].e.reason, IST_V_PEER_LEFT);
        CHECK_EQ(p.side[ME].e.count[IST_V_PEER_LEFT], 1);
        CHECK_EQ(p.side[ME].e.count[IST_V_HEAD_RANGE] + p.side[ME].e.count[IST_V_TAIL_RANGE], 0);
        pair_close(&p);
    }
}

TEST(a_side_that_ends_is_seen_to_leave)
{
    struct ist_config c = plain();
    struct pair p;
    pair_up(&p, &c);
    ist_u64 accepted = p.side[PEER].e.count[IST_V_OK];
    ist_end(&p.side[PEER].e, IST_V_OK);
    CHECK_EQ(p.side[PEER].e.count[IST_V_OK], accepted); /* an orderly end is no accepted frame */
    CHECK_EQ(state_word(&p, PEER), IST_STATE_WORD((ist_u32)PEER, IST_RESET));
    CHECK_EQ(ist_poll(&p.side[ME].e, ++p.now), IST_RESET);
    CHECK_VERDICT(p.side[ME].e.reason, IST_V_PEER_LEFT);
    pair_run(&p);
    check_passes(&p);
    pair_close(&p);
}

/* ---- mismatches, on both sides ------------------------------------------------------------------------------------ */

enum mismatch { GEOMETRY_RING, GEOMETRY_FRAME, GEOMETRY_TAG, GEOMETRY_CURSOR, GEOMETRY_SEQUENCE, MTU, EPOCH, ROLE, MISMATCHES };

TEST(each_mismatch_is_refused_by_its_name_on_both_sides)
{
    static const enum ist_verdict name[MISMATCHES] = {
        IST_V_PEER_GEOMETRY, IST_V_PEER_GEOMETRY, IST_V_PEER_GEOMETRY, IST_V_PEER_GEOMETRY, IST_V_PEER_GEOMETRY,
        IST_V_PEER_MTU, IST_V_PEER_EPOCH, IST_V_PEER_ROLE,
    };
    for (int m = 0; m < MISMATCHES; m++) {
        struct ist_config c[2] = {plain(), plain()};
        ist_u64 epoch[2] = {7, 7}, key[2] = {0, 0};
        struct ist_endpoint e[2];
        ist_u8 *own[2];
        c[1].role = IST_SECURE;
        switch ((enum mismatch)m) {
        case GEOMETRY_RING: c[1].ring_bytes[0] *= 2; break;
        case GEOMETRY_FRAME: c[1].frame_max++; break;
        case GEOMETRY_TAG: c[1].tag = IST_TAG_CRC32C; break;
        case GEOMETRY_CURSOR: c[1].first_cursor = 16; break;
        case GEOMETRY_SEQUENCE: c[1].first_sequence = 1ull << 32; break;
        case MTU: c[1].mtu--; break;
        case EPOCH: epoch[1] = 7 + (1ull << 32); break;
        case ROLE: c[1].role = IST_NORMAL; break;
        default: abort();
        }
        for (int i = 0; i < 2; i++)
            own[i] = buffer_new(ist_buffer_size(&c[i], c[i].role));
        for (int i = 0; i < 2; i++) {
            CHECK_VERDICT(ist_init(&e[i], &c[i], own[i], own[1 - i]), IST_V_OK);
            ist_begin(&e[i], epoch[i], key, 0);
        }
        for (ist_u64 now = 1; now < 10; now++)
            for (int i = 0; i < 2; i++)
                CHECK_EQ(ist_poll(&e[i], now), IST_INIT);
        for (int i = 0; i < 2; i++) {
            CHECK_VERDICT(e[i].reason, name[m]);
            CHECK_EQ(e[i].count[name[m]], 1); /* once per change, not once per look */
            CHECK_VERDICT(word_get(own[i], IST_CTL_REFUSAL), name[m]);
            free(own[i]);
        }
    }
}

/* Whichever side requires it, both say why the link stays down. */
TEST(a_required_feature_that_one_side_lacks_is_refused_by_both)
{
    for (ist_u32 who = 0; who < 2; who++) {
        struct ist_config c = plain();
        struct pair p;
        pair_open(&p, &c);
        p.side[who].e.config.features = IST_FEATURES_ALL;
        p.side[who].e.config.required = IST_FEATURE_SLEEPER_FENCE;
        for (ist_u32 role = 0; role < 2; role++)
            ist_begin(&p.side[role].e, p.epoch, p.key, p.now);
        for (ist_u32 i = 0; i < 4; i++)
            CHECK_EQ(ist_poll(&p.side[i % 2].e, ++p.now), IST_INIT);
        for (ist_u32 role = 0; role < 2; role++) {
            CHECK_VERDICT(p.side[role].e.reason, IST_V_PEER_FEATURES);
            CHECK_EQ(p.side[role].e.count[IST_V_PEER_FEATURES], 1);
        }
        pair_close(&p);
    }
}

TEST(features_are_agreed_as_what_both_offer)
{
    for (ist_u32 a = 0; a <= IST_FEATURES_ALL; a++)
        for (ist_u32 b = 0; b <= IST_FEATURES_ALL; b++) {
            struct ist_config c = plain();
            struct pair p;
            pair_open(&p, &c);
            p.side[0].e.config.features = a;
            p.side[1].e.config.features = b;
            pair_run(&p);
            CHECK_EQ(p.side[0].e.agreed, a & b);
            CHECK_EQ(p.side[1].e.agreed, a & b);
            pair_close(&p);
        }
}

/* ---- stale memory, silence, violations ---------------------------------------------------------------------------- */

TEST(stale_memory_of_another_epoch_never_brings_the_link_up)
{
    struct ist_config c = plain();
    struct pair p;
    pair_up(&p, &c);
    check_passes(&p);
    for (ist_u32 state = IST_INIT; state <= IST_RUN; state++) { /* the peer vanished; its memory stays as it was */
        word_set(p.side[PEER].own, IST_CTL_STATE, IST_STATE_WORD((ist_u32)PEER, state));
        ist_begin(&p.side[ME].e, ++p.epoch, p.key, p.now);
        for (int i = 0; i < 5; i++)
            CHECK_EQ(ist_poll(&p.side[ME].e, ++p.now), IST_INIT);
        CHECK_VERDICT(p.side[ME].e.reason, IST_V_PEER_EPOCH);
    }
    pair_close(&p);
}

TEST(a_new_epoch_starts_with_cleared_words)
{
    struct ist_config c = plain();
    c.first_cursor = 0xfffffff0u;
    struct pair p;
    pair_open(&p, &c);
    ist_u8 *own = p.side[ME].own;
    memset(own, 0xa5, IST_CONTROL_SIZE); /* garbage at boot */
    struct ist_config mine = c;
    mine.role = ME;
    CHECK_VERDICT(ist_init(&p.side[ME].e, &mine, own, p.side[PEER].own), IST_V_OK);
    CHECK_EQ(word_get(own, IST_CTL_STATE), IST_STATE_WORD((ist_u32)ME, IST_RESET));
    ist_begin(&p.side[ME].e, p.epoch, p.key, p.now);
    CHECK_EQ(word_get(own, IST_CTL_STATE), IST_STATE_WORD((ist_u32)ME, IST_INIT));
    CHECK_EQ(word_get(own, IST_CTL_REFUSAL), 0);
    CHECK_EQ(word_get(own, IST_CTL_EPOCH_LO), (ist_u32)p.epoch);
    CHECK_EQ(word_get(own, IST_CTL_EPOCH_HI), (ist_u32)(p.epoch >> 32));
    CHECK_EQ(word_get(own, IST_CTL_MTU), c.mtu);
    CHECK_EQ(word_get(own, IST_CTL_FEATURES), c.features | c.required << 16);
    CHECK_EQ(word_get(own, IST_CTL_HEAD), c.first_cursor);
    CHECK_EQ(word_get(own, IST_CTL_TAIL), c.first_cursor);
    CHECK_EQ(word_get(own, IST_CTL_WAKE_RX), 0);
    CHECK_EQ(word_get(own, IST_CTL_WAKE_TX), 0);
    pair_close(&p);
}

TEST(a_silent_peer_is_noticed_in_time_and_not_before)
{
    static const ist_u64 starts[] = {0, 0xffffffffffffff00u};
    for (unsigned k = 0; k < 2; k++) {
        struct ist_config c = plain();
        c.silence = 100;
        struct pair p;
        pair_open(&p, &c);
        p.now = starts[k];
        pair_run(&p);
        struct ist_endpoint *me = &p.side[ME].e;
        for (int i = 0; i < 10; i++) { /* alive: one beat within each interval */
            p.now += 100;
            ist_poll(&p.side[PEER].e, p.now);
            CHECK_EQ(ist_poll(me, p.now), IST_RUN);
        }
        ist_u64 heard = p.now;
        CHECK_EQ(ist_poll(me, heard + 100), IST_RUN);
        CHECK_EQ(ist_poll(me, heard + 101), IST_RESET);
        CHECK_VERDICT(me->reason, IST_V_PEER_SILENT);
        CHECK_EQ(me->count[IST_V_PEER_SILENT], 1);
        pair_close(&p);
    }
}

TEST(silence_zero_waits_for_ever)
{
    struct ist_config c = plain();
    struct pair p;
    pair_up(&p, &c);
    CHECK_EQ(ist_poll(&p.side[ME].e, 1ull << 62), IST_RUN);
    CHECK_EQ(ist_poll(&p.side[ME].e, 1ull << 63), IST_RUN);
    pair_close(&p);
}

struct violation {
    ist_u32 word, value;
    enum ist_verdict verdict;
};

/* Cursor 1024 stands at head and tail of both rings, nothing is in flight but what the case sends. */
TEST(impossible_cursors_end_the_epoch_by_name)
{
    static const struct violation cases[] = {
        {IST_CTL_HEAD, 1008, IST_V_HEAD_RANGE},        /* backwards */
        {IST_CTL_HEAD, 0, IST_V_HEAD_RANGE},
        {IST_CTL_HEAD, 1024 + RING + 16, IST_V_HEAD_RANGE}, /* past the ring */
        {IST_CTL_HEAD, 0x80000000, IST_V_HEAD_RANGE},
        {IST_CTL_HEAD, 0x7ffffff0, IST_V_HEAD_RANGE},
        {IST_CTL_HEAD, 0xfffffff0, IST_V_HEAD_RANGE},
        {IST_CTL_HEAD, 1025, IST_V_HEAD_ALIGN},
        {IST_CTL_HEAD, 1024 + 15, IST_V_HEAD_ALIGN},
        {IST_CTL_HEAD, 0xffffffff, IST_V_HEAD_ALIGN},
        {IST_CTL_TAIL, 1008, IST_V_TAIL_RANGE},
        {IST_CTL_TAIL, 1024 + RING + 16, IST_V_TAIL_RANGE}, /* past what was sent */
        {IST_CTL_TAIL, 0x80000000, IST_V_TAIL_RANGE},
        {IST_CTL_TAIL, 0, IST_V_TAIL_RANGE},
        {IST_CTL_TAIL, 1025, IST_V_TAIL_ALIGN},
        {IST_CTL_TAIL, 0xffffffff, IST_V_TAIL_ALIGN},
    };
    for (unsigned i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct ist_config c = plain();
        c.first_cursor = 1024;
        struct pair p;
        pair_up(&p, &c);
        struct ist_endpoint *me = &p.side[ME].e;
        ist_u8 frame[FRAME] = {0};
        struct ist_frame f;
        while (ist_send(me, frame, FRAME - 16, NULL) == IST_V_OK) /* 16 records of 256 bytes: brim full */
            ist_publish(me);
        me->count[IST_V_FULL] = 0;
        word_set(p.side[PEER].own, cases[i].word, cases[i].value);
        if (cases[i].word == IST_CTL_HEAD)
            CHECK_VERDICT(ist_peek(me, p.now, &f), cases[i].verdict);
        else
            CHECK_VERDICT(ist_reserve(me, FRAME, NULL), IST_V_DOWN);
        CHECK_EQ(ist_link_state(me), IST_DEAD);
        CHECK_VERDICT(me->reason, cases[i].verdict);
        CHECK_EQ(me->count[cases[i].verdict], 1);
        CHECK_EQ(state_word(&p, ME), IST_STATE_WORD((ist_u32)ME, IST_DEAD));

        CHECK_VERDICT(ist_peek(me, p.now, &f), IST_V_DOWN); /* and stays so until the next epoch */
        CHECK_VERDICT(ist_reserve(me, 100, NULL), IST_V_DOWN);
        CHECK_EQ(ist_poll(me, ++p.now), IST_DEAD);
        ist_end(me, IST_V_PEER_LEFT);
        CHECK_EQ(ist_link_state(me), IST_DEAD);
        CHECK_VERDICT(me->reason, cases[i].verdict);
        CHECK_EQ(ist_poll(&p.side[PEER].e, ++p.now), IST_RESET); /* the peer is told */
        CHECK_VERDICT(p.side[PEER].e.reason, IST_V_PEER_DEAD);
        pair_run(&p);
        check_passes(&p);
        pair_close(&p);
    }
}

int main(int argc, char **argv)
{
    return run_tests(argc, argv);
}
