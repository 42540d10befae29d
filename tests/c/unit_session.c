/* SPDX-License-Identifier: MIT */
/* The life of a link: every order of steps of an honest handshake, each mismatch refused by its name on both sides,
 * restarts, stale memory, silence and violations. */
#include "session.h"

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
    const ist_u32 beat = word_get(p.side[ME].own, IST_CTL_BEAT);
    CHECK_EQ(ist_poll(&p.side[ME].e, ++p.now), IST_RESET);
    CHECK_EQ(word_get(p.side[ME].own, IST_CTL_BEAT), beat); /* who has left is not alive */
    ist_end(&p.side[ME].e, IST_V_PEER_SILENT); /* nor does it leave again, for another reason */
    CHECK_VERDICT(p.side[ME].e.reason, IST_V_PEER_LEFT);
    CHECK_EQ(p.side[ME].e.count[IST_V_PEER_SILENT], 0);
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
    ist_end(&p.side[ME].e, IST_V_PEER_SILENT);
    CHECK_VERDICT(p.side[ME].e.reason, IST_V_PEER_SILENT);
    ist_begin(&p.side[ME].e, p.epoch + 1, p.key, p.now);
    CHECK_VERDICT(p.side[ME].e.reason, IST_V_OK); /* and without a past */
    pair_run(&p);
    CHECK(p.side[ME].e.agreed != 0);
    ist_begin(&p.side[ME].e, ++p.epoch, p.key, p.now);
    CHECK_EQ(p.side[ME].e.agreed, 0); /* nor has anything been agreed */
    pair_close(&p);
}

/* Four looks from `since` to `until`, a quarter of the silence apart: the state after the last. */
static enum ist_state look_until(struct ist_endpoint *e, ist_u64 since, ist_u64 until)
{
    const ist_u64 quarter = (until - since + 3) / 4;
    while (until - since > quarter) {
        since += quarter;
        CHECK_EQ(ist_poll(e, since), ist_link_state(e));
    }
    return ist_poll(e, until);
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
        CHECK_EQ(look_until(me, heard, heard + 100), IST_RUN);
        CHECK_EQ(ist_poll(me, heard + 101), IST_RESET);
        CHECK_VERDICT(me->reason, IST_V_PEER_SILENT);
        CHECK_EQ(me->count[IST_V_PEER_SILENT], 1);
        pair_close(&p);
    }
}

/* Silence is counted from when the peer was there, not from when we began to wait for it. */
TEST(waiting_for_a_peer_is_not_silence)
{
    struct ist_config c = plain();
    c.silence = 100;
    struct pair p;
    pair_open(&p, &c);
    struct ist_endpoint *me = &p.side[ME].e;
    ist_begin(me, p.epoch, p.key, 0);
    CHECK_EQ(ist_poll(me, 10000), IST_INIT);
    ist_begin(&p.side[PEER].e, p.epoch, p.key, 10000); /* it comes, and its heart never beats */
    CHECK_EQ(ist_poll(me, 10010), IST_READY);
    CHECK_EQ(look_until(me, 10010, 10110), IST_READY);
    CHECK_EQ(ist_poll(me, 10111), IST_RESET);
    CHECK_VERDICT(me->reason, IST_V_PEER_SILENT);
    pair_close(&p);
}

/* The machine stood still, and both with it: whoever is up first does not take the other for silent. */
TEST(time_without_a_look_is_not_silence)
{
    struct ist_config c = plain();
    c.silence = 100;
    struct pair p;
    pair_up(&p, &c);
    struct ist_endpoint *me = &p.side[ME].e;
    for (int i = 1; i <= 4; i++)
        CHECK_EQ(ist_poll(me, p.now + (ist_u64)i * 1000000), IST_RUN);
    CHECK_EQ(ist_poll(me, p.now + 5000000), IST_RESET); /* it has been looked for often enough by now */
    CHECK_VERDICT(me->reason, IST_V_PEER_SILENT);
    pair_close(&p);
}

/* Its last words say why it is gone, however long it had been silent before. */
TEST(a_peer_that_leaves_is_not_called_silent)
{
    struct ist_config c = plain();
    c.silence = 100;
    struct pair p;
    pair_up(&p, &c);
    struct ist_endpoint *me = &p.side[ME].e;
    CHECK_EQ(ist_poll(me, p.now), IST_RUN);
    CHECK_EQ(look_until(me, p.now, p.now + 100), IST_RUN);
    ist_end(&p.side[PEER].e, IST_V_OK);
    CHECK_EQ(ist_poll(me, p.now + 125), IST_RESET);
    CHECK_VERDICT(me->reason, IST_V_PEER_LEFT);
    CHECK_EQ(me->count[IST_V_PEER_SILENT], 0);
    pair_close(&p);
}

/* What we refused leaves gaps in the epoch that it was of, and in no other. */
TEST(room_for_gaps_ends_with_its_epoch)
{
    struct ist_config c = plain();
    struct pair p;
    pair_up(&p, &c);
    struct ist_endpoint *me = &p.side[ME].e, *peer = &p.side[PEER].e;
    ist_u8 frame[FRAME] = {0};
    struct ist_frame f;
    for (int lap = 0; lap < 2; lap++) {
        CHECK_VERDICT(ist_send(peer, frame, 100, NULL), IST_V_OK);
        ist_publish(peer);
        if (lap == 1) {
            const ist_u32 record = IST_CONTROL_SIZE + (c.first_cursor & (RING - 1u)), most = RING / 80;
            word_set(p.side[PEER].own, record + IST_REC_SEQUENCE, (ist_u32)c.first_sequence + most + 1);
        }
        CHECK_VERDICT(ist_peek(me, ++p.now, &f), lap ? IST_V_GAP : IST_V_OK);
        ist_drop(me, IST_V_NO_BUFFER);
        pair_run(&p);
    }
    pair_close(&p);
}

/* What was half done when the epoch ended is not carried over. */
TEST(an_open_call_ends_with_its_epoch)
{
    struct ist_config c = plain();
    struct pair p;
    pair_up(&p, &c);
    ist_u8 frame[FRAME] = {0};
    struct ist_frame f;
    CHECK_VERDICT(ist_send(&p.side[PEER].e, frame, 100, NULL), IST_V_OK);
    ist_publish(&p.side[PEER].e);
    CHECK_VERDICT(ist_peek(&p.side[ME].e, p.now, &f), IST_V_OK);
    CHECK_VERDICT(ist_reserve(&p.side[ME].e, 100, NULL), IST_V_OK);
    CHECK_VERDICT(ist_append(&p.side[ME].e, frame, 50), IST_V_OK);
    pair_run(&p);
    CHECK_VERDICT(ist_take(&p.side[ME].e, frame), IST_V_MISUSE);
    CHECK_VERDICT(ist_append(&p.side[ME].e, frame, 1), IST_V_MISUSE);
    CHECK_VERDICT(ist_commit(&p.side[ME].e, 50), IST_V_MISUSE);
    check_passes(&p);
    pair_close(&p);
}

/* A clock that is past half of its range when the first epoch begins. */
TEST(the_budget_starts_with_the_epoch)
{
    struct ist_config c = plain();
    c.budget_interval = 10;
    struct pair p;
    pair_open(&p, &c);
    p.now = (1ull << 63) + 1000;
    pair_run(&p);
    check_passes(&p);
    pair_close(&p);
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

/* A cursor that cannot be, beside a state word that says nothing: that is no departure. */
TEST(garbage_is_no_departure)
{
    static const ist_u32 words[] = {0, IST_STATE_WORD((ist_u32)ME, IST_RESET)};
    for (unsigned i = 0; i < sizeof words / sizeof *words; i++) {
        struct ist_config c = plain();
        struct pair p;
        struct ist_frame f;
        pair_up(&p, &c);
        word_set(p.side[PEER].own, IST_CTL_STATE, words[i]);
        word_set(p.side[PEER].own, IST_CTL_HEAD, c.first_cursor + 8);
        CHECK_VERDICT(ist_peek(&p.side[ME].e, p.now, &f), IST_V_HEAD_ALIGN);
        CHECK_EQ(ist_link_state(&p.side[ME].e), IST_DEAD);
        pair_close(&p);
    }
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
        if (i % 2) /* a peer that has yet to look at us again is as much here as one in RUN */
            word_set(p.side[PEER].own, IST_CTL_STATE, IST_STATE_WORD((ist_u32)PEER, IST_READY));
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
        const ist_u32 beat = word_get(p.side[ME].own, IST_CTL_BEAT);
        CHECK_EQ(ist_poll(me, ++p.now), IST_DEAD);
        CHECK_EQ(word_get(p.side[ME].own, IST_CTL_BEAT), beat); /* nobody is to take it for one that lives */
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
