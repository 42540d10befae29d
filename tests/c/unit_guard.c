/* SPDX-License-Identifier: MIT */
/* The receiving half, the guard: what lies about itself in the ring is refused by name, and the next good frame passes;
 * the tag covers all of a record; the budget holds; what is dropped is counted. */
#include "ring.h"

/* ---- a record that lies ----------------------------------------------------------------------------------------- */

static void lying_length(struct pair *p)
{
    static const ist_u32 lies[] = {0, 1, 59, FRAME + 1, 4096, 0x7fffffff, 0x80000000, 0xffffffff};
    ist_u64 refused = 0;
    for (unsigned i = 0; i < sizeof lies / sizeof *lies; i++) {
        send_one(p, 100, 1);
        send_one(p, 200, 2);
        send_one(p, 300, 3);
        ist_publish(tx(p));
        receive_one(p, 100, 1);
        word_set(tx_buffer(p), next_record(p) + IST_REC_LENGTH, lies[i]);
        CHECK_VERDICT(peek(p), lies[i] < IST_FRAME_MIN ? IST_V_LENGTH_SHORT : IST_V_LENGTH_LONG);
        refused++;
        CHECK_EQ(rx(p)->count[IST_V_LENGTH_SHORT] + rx(p)->count[IST_V_LENGTH_LONG], refused);
        CHECK_VERDICT(peek(p), IST_V_EMPTY); /* all that was published is skipped */
        send_one(p, 120, 4);
        ist_publish(tx(p));
        receive_one(p, 120, 4); /* and the next one passes */
        CHECK_EQ(rx(p)->rx.lost, 2 * refused);
    }
}

TEST(after_a_lying_length_the_next_published_frame_passes)
{
    everywhere(lying_length);
}

static void overrun(struct pair *p)
{
    for (ist_u32 lie = 140; lie <= FRAME; lie++) { /* longer than the record, within the limit: runs past the head */
        send_one(p, 100, 1);
        ist_publish(tx(p));
        word_set(tx_buffer(p), next_record(p) + IST_REC_LENGTH, lie);
        CHECK_VERDICT(peek(p), IST_V_LENGTH_OVERRUN);
        send_one(p, 90, 2);
        ist_publish(tx(p));
        receive_one(p, 90, 2);
    }
    CHECK_EQ(rx(p)->count[IST_V_LENGTH_OVERRUN], FRAME - 139);
}

TEST(a_record_past_the_head_is_refused)
{
    everywhere(overrun);
}

static void sequence_words(struct pair *p)
{
    const ist_u32 slack = RING / 80;
    struct {
        ist_u32 ahead;
        enum ist_verdict verdict;
    } cases[] = {
        {(ist_u32)-1, IST_V_REPLAY}, {(ist_u32)-2, IST_V_REPLAY}, {0x80000000, IST_V_REPLAY},
        {0x7fffffff, IST_V_GAP},     {slack + 20, IST_V_GAP},     {slack + 1, IST_V_GAP},
    };
    for (unsigned i = 0; i < sizeof cases / sizeof *cases; i++) {
        send_one(p, 64, 1);
        send_one(p, 65, 2);
        ist_publish(tx(p));
        ist_u32 at = next_record(p) + IST_REC_SEQUENCE;
        word_set(tx_buffer(p), at, word_get(tx_buffer(p), at) + cases[i].ahead);
        ist_u64 before = rx(p)->count[cases[i].verdict];
        CHECK_VERDICT(peek(p), cases[i].verdict);
        CHECK_EQ(rx(p)->count[cases[i].verdict], before + 1);
        receive_one(p, 65, 2); /* the record itself could be stepped over */
    }
}

TEST(replayed_and_far_sequences_are_refused)
{
    everywhere(sequence_words);
}

TEST(a_gap_within_the_ring_is_accepted_and_counted)
{
    for (ist_u32 gap = 0; gap <= RING / 80; gap++) {
        struct ist_config c = config_of(RING, FRAME, IST_TAG_NONE);
        c.first_sequence = 0xfffffff0u;
        struct pair p;
        pair_up(&p, &c);
        send_one(&p, 64, 1);
        ist_publish(tx(&p));
        ist_u32 at = next_record(&p) + IST_REC_SEQUENCE;
        word_set(tx_buffer(&p), at, word_get(tx_buffer(&p), at) + gap);
        receive_one(&p, 64, 1);
        CHECK_EQ(rx(&p)->rx.lost, gap);
        CHECK_EQ(rx(&p)->rx.expected, 0xfffffff1u + (ist_u64)gap);
        pair_close(&p);
    }
}

/* A whole lap shown again: the head moves on over records that were already taken. */
static void replayed_lap(struct pair *p)
{
    for (int i = 0; i < 20; i++) { /* more than one lap of history */
        send_one(p, 240, (ist_u64)i);
        ist_publish(tx(p));
        receive_one(p, 240, (ist_u64)i);
    }
    ist_release(rx(p));
    word_set(tx_buffer(p), IST_CTL_HEAD, tx(p)->tx.head + RING); /* legal for the ring, a lie for the records */
    enum ist_verdict v;
    int calls = 0;
    while ((v = peek(p)) != IST_V_EMPTY) {
        CHECK(v != IST_V_OK);
        CHECK(++calls <= RING / 16);
    }
    CHECK_EQ(rx(p)->count[IST_V_OK], 20);
}

TEST(an_old_lap_shown_again_delivers_nothing)
{
    everywhere(replayed_lap);
}

static void flag_words(struct pair *p)
{
    for (ist_u32 bit = 0; bit < 32; bit++)
        for (int csum = 0; csum < 2; csum++) {
            send_one(p, 100, bit);
            send_one(p, 64, 99);
            ist_publish(tx(p));
            ist_u32 at = next_record(p) + (csum ? IST_REC_CSUM : IST_REC_FLAGS);
            word_set(tx_buffer(p), at, 1u << bit);
            if (!csum && 1u << bit == IST_FLAG_CSUM_VALID) { /* may stand alone; but a tag, where there is one, sees it */
                ist_u8 got[FRAME];
                CHECK_VERDICT(peek(p), IST_V_OK);
                CHECK_VERDICT(ist_take(rx(p), got), p->config.tag == IST_TAG_NONE ? IST_V_OK : IST_V_TAG);
            } else {
                CHECK_VERDICT(peek(p), !csum && bit >= 4 && bit < 16 ? IST_V_FLAGS : IST_V_OFFLOAD);
            }
            receive_one(p, 64, 99);
        }
}

TEST(unknown_flags_and_contradicting_offloads_are_refused)
{
    everywhere(flag_words);
}

static void without_agreement(ist_u32 features)
{
    struct ist_config c = config_of(RING, FRAME, IST_TAG_CRC32C);
    c.features = features;
    struct pair p;
    pair_up(&p, &c);
    struct ist_meta m = {IST_FLAG_CSUM_VALID, 0, 0, 0};
    ist_u8 frame[FRAME] = {0};
    CHECK_VERDICT(ist_send(tx(&p), frame, 100, &m), IST_V_OFFLOAD); /* nor does an honest sender offer them */
    m.flags = 0;
    CHECK_VERDICT(ist_send(tx(&p), frame, 100, &m), IST_V_OK); /* fields that say nothing need none */
    ist_publish(tx(&p));
    CHECK_VERDICT(peek(&p), IST_V_OK);
    CHECK_VERDICT(ist_take(rx(&p), frame), IST_V_OK);
    send_one(&p, 100, 1);
    ist_publish(tx(&p));
    word_set(tx_buffer(&p), next_record(&p) + IST_REC_FLAGS, IST_FLAG_CSUM_VALID);
    CHECK_VERDICT(peek(&p), IST_V_OFFLOAD);
    pair_close(&p);
}

TEST(offload_fields_need_the_agreement)
{
    without_agreement(0);
    without_agreement(IST_FEATURE_SLEEPER_FENCE); /* on something else */
}

/* Nobody has looked at a frame whose checksum is missing: without a tag, it is refused on both sides. */
TEST(a_missing_checksum_needs_a_tag)
{
    struct ist_config c = config_of(RING, FRAME, IST_TAG_NONE);
    struct pair p;
    pair_up(&p, &c);
    const struct ist_meta m = {IST_FLAG_CSUM_PARTIAL, 0, 34, 16};
    ist_u8 frame[FRAME] = {0};
    CHECK_VERDICT(ist_send(tx(&p), frame, 100, &m), IST_V_OFFLOAD);
    send_one(&p, 100, 1);
    ist_publish(tx(&p));
    memcpy(tx_buffer(&p) + next_record(&p) + IST_REC_FLAGS, &m, sizeof m);
    CHECK_VERDICT(peek(&p), IST_V_OFFLOAD);
    pair_close(&p);
}

TEST(offload_fields_travel)
{
    struct ist_config c = config_of(RING, FRAME, IST_TAG_CRC32C);
    struct pair p;
    pair_up(&p, &c);
    struct ist_meta m = {IST_FLAG_CSUM_PARTIAL | IST_FLAG_GSO_TCP4, 100, 34, 16};
    ist_u8 frame[FRAME] = {0};
    CHECK_VERDICT(ist_send(tx(&p), frame, 300, &m), IST_V_OK);
    ist_publish(tx(&p));
    struct ist_frame f;
    CHECK_VERDICT(ist_peek(rx(&p), 1, &f), IST_V_OK);
    CHECK(!memcmp(&f.meta, &m, sizeof m));
    CHECK_VERDICT(ist_take(rx(&p), frame), IST_V_OK);
    struct ist_meta good[] = {
        {IST_FLAG_CSUM_PARTIAL, 0, 14, 0},   /* right behind the Ethernet header */
        {IST_FLAG_CSUM_PARTIAL, 0, 290, 8},  /* the sum is the frame's last two bytes */
        {IST_FLAG_CSUM_VALID, 0, 0, 0},
        {IST_FLAG_CSUM_PARTIAL | IST_FLAG_GSO_TCP6, 299, 34, 16},
    };
    for (unsigned i = 0; i < sizeof good / sizeof *good; i++)
        CHECK_VERDICT(ist_send(tx(&p), frame, 300, &good[i]), IST_V_OK);
    struct ist_meta bad[] = {
        {IST_FLAG_CSUM_PARTIAL, 0, 13, 0},  /* checksum inside the Ethernet header */
        {IST_FLAG_CSUM_PARTIAL, 0, 290, 9}, /* last byte of the sum behind the frame */
        {IST_FLAG_CSUM_PARTIAL, 0, 0xffff, 0xffff},
        {IST_FLAG_CSUM_PARTIAL | IST_FLAG_CSUM_VALID, 0, 34, 16},
        {0, 0, 34, 16},
        {0, 100, 0, 0},
        {IST_FLAG_GSO_TCP4, 0, 0, 0},
        {IST_FLAG_GSO_TCP4, 300, 0, 0},
        {IST_FLAG_GSO_TCP4 | IST_FLAG_GSO_TCP6, 100, 0, 0},
    };
    for (unsigned i = 0; i < sizeof bad / sizeof *bad; i++)
        CHECK_VERDICT(ist_send(tx(&p), frame, 300, &bad[i]), IST_V_OFFLOAD);
    pair_close(&p);
}

/* ---- the tag covers it all ---------------------------------------------------------------------------------- */

/* Flipping any bit of a tagged record is noticed before the frame is delivered, and costs that frame alone. */
TEST(any_flipped_bit_of_a_tagged_record_is_found)
{
    for (ist_u32 tag = IST_TAG_CRC32C; tag < IST_TAGS; tag++) {
        struct ist_config c = config_of(RING, FRAME, tag);
        struct pair p;
        pair_up(&p, &c);
        for (ist_u32 bit = 0; bit < 8 * record_of(&p, 70); bit++) {
            pair_run(&p);
            send_one(&p, 70, bit);
            ist_publish(tx(&p));
            ist_u32 at = next_record(&p);
            if (bit / 8 >= IST_REC_PAYLOAD + 70 && bit / 8 < IST_REC_PAYLOAD + IST_ROUND(70u))
                continue; /* alignment gap: not part of the frame, never copied */
            tx_buffer(&p)[at + bit / 8] ^= (ist_u8)(1 << bit % 8);
            ist_u8 got[FRAME];
            enum ist_verdict v = peek(&p);
            if (v == IST_V_OK)
                CHECK_VERDICT(ist_take(rx(&p), got), IST_V_TAG);
            CHECK_VERDICT(peek(&p), IST_V_EMPTY);
            send_one(&p, 80, 5);
            ist_publish(tx(&p));
            receive_one(&p, 80, 5);
        }
        pair_close(&p);
    }
}

/* The tag binds a frame to its epoch, key and direction: a record from elsewhere with a fitting header is refused. */
TEST(a_record_from_another_epoch_key_or_direction_is_refused)
{
    enum { EPOCH, KEY_LOW, KEY_HIGH, DIRECTION };
    for (int other = EPOCH; other <= DIRECTION; other++) {
        struct ist_config c = config_of(RING, FRAME, IST_TAG_SIPHASH);
        struct pair p, q;
        pair_up(&p, &c);
        pair_open(&q, &c);
        if (other == EPOCH)
            q.epoch++;
        if (other == KEY_LOW || other == KEY_HIGH)
            q.key[other == KEY_HIGH] ^= 1;
        pair_run(&q);
        ist_u8 frame[FRAME];
        pattern_fill(frame, 100, 1);
        struct side *from = &q.side[other == DIRECTION ? IST_SECURE : IST_NORMAL];
        CHECK_VERDICT(ist_send(&from->e, frame, 100, NULL), IST_V_OK);
        send_one(&p, 100, 1); /* the same bytes: only the tag differs */
        memcpy(tx_buffer(&p) + IST_CONTROL_SIZE, from->own + IST_CONTROL_SIZE, record_of(&p, 100));
        ist_publish(tx(&p));
        CHECK_VERDICT(peek(&p), IST_V_OK);
        CHECK_VERDICT(ist_take(rx(&p), frame), IST_V_TAG);
        CHECK_EQ(rx(&p)->count[IST_V_TAG], 1);
        CHECK_EQ(rx(&p)->count[IST_V_OK], 0);
        pair_close(&p);
        pair_close(&q);
    }
}

/* ---- budget, drop ------------------------------------------------------------------------------------------- */

TEST(the_budget_makes_frames_wait_and_refused_ones_cost_it_too)
{
    struct ist_config c = config_of(RING, FRAME, IST_TAG_NONE);
    c.budget_interval = 100;
    c.budget_tolerance = 300; /* four at once */
    struct pair p;
    pair_up(&p, &c);
    ist_u64 now = p.now + 1000;
    struct ist_frame f;
    ist_u8 got[FRAME];
    for (int i = 0; i < 6; i++)
        send_one(&p, 100, 1);
    ist_publish(tx(&p));
    ist_u32 second = next_record(&p) + record_of(&p, 100);
    word_set(tx_buffer(&p), second + IST_REC_FLAGS, 0x8000);
    for (int i = 0; i < 4; i++) {
        enum ist_verdict v = ist_peek(rx(&p), now, &f);
        CHECK_VERDICT(v, i == 1 ? IST_V_FLAGS : IST_V_OK);
        if (v == IST_V_OK)
            CHECK_VERDICT(ist_take(rx(&p), got), IST_V_OK);
    }
    ist_u32 tail = rx(&p)->rx.tail;
    CHECK_VERDICT(ist_peek(rx(&p), now, &f), IST_V_BUDGET);
    CHECK_VERDICT(ist_peek(rx(&p), now + 99, &f), IST_V_BUDGET);
    CHECK_EQ(rx(&p)->rx.tail, tail); /* nothing is consumed */
    CHECK_EQ(rx(&p)->count[IST_V_BUDGET], 2);
    CHECK_VERDICT(ist_peek(rx(&p), now + 100, &f), IST_V_OK);
    CHECK_VERDICT(ist_take(rx(&p), got), IST_V_OK);
    CHECK_VERDICT(ist_peek(rx(&p), now + 100, &f), IST_V_BUDGET);
    pair_close(&p);
}

/* Frames that lie behind a head that was seen are received by one call as they are by two. */
TEST(one_call_asks_what_two_calls_ask)
{
    enum { BUDGET, IN_HAND, DOWN, KINDS };
    for (int kind = 0; kind < KINDS; kind++) {
        struct ist_config c = config_of(RING, FRAME, IST_TAG_NONE);
        c.budget_interval = kind == BUDGET ? 100 : 0; /* one at a time */
        struct pair p;
        pair_up(&p, &c);
        struct ist_frame f;
        ist_u8 got[FRAME];
        for (int i = 0; i < 3; i++)
            send_one(&p, 100, 1);
        ist_publish(tx(&p));
        const ist_u64 now = p.now + 1000;
        CHECK_VERDICT(ist_receive(rx(&p), now, got, &f), IST_V_OK);
        if (kind == IN_HAND)
            CHECK_VERDICT(ist_peek(rx(&p), now, &f), IST_V_OK);
        if (kind == DOWN)
            ist_end(rx(&p), IST_V_PEER_LEFT);
        const ist_u32 tail = rx(&p)->rx.tail;
        CHECK_VERDICT(ist_receive(rx(&p), now, got, &f),
                      kind == BUDGET ? IST_V_BUDGET : kind == IN_HAND ? IST_V_MISUSE : IST_V_DOWN);
        CHECK_EQ(rx(&p)->rx.tail, tail); /* nothing is consumed */
        CHECK_EQ(rx(&p)->count[IST_V_OK], 1);
        if (kind == BUDGET)
            CHECK_VERDICT(ist_receive(rx(&p), now + 100, got, &f), IST_V_OK);
        if (kind == IN_HAND)
            CHECK_VERDICT(ist_take(rx(&p), got), IST_V_OK);
        pair_close(&p);
    }
}

/* And they are refused as they are by two. */
TEST(one_call_refuses_what_two_calls_refuse)
{
    static const struct {
        ist_u32 offset, value;
        enum ist_verdict verdict;
    } lies[] = {
        {IST_REC_LENGTH, 59, IST_V_LENGTH_SHORT},
        {IST_REC_LENGTH, FRAME + 1, IST_V_LENGTH_LONG},
        {IST_REC_LENGTH, FRAME, IST_V_LENGTH_OVERRUN},
        {IST_REC_FLAGS, 0x8000, IST_V_FLAGS},
        {IST_REC_CSUM, 1, IST_V_OFFLOAD},
        {IST_REC_SEQUENCE, 0, IST_V_REPLAY},
        {IST_REC_SEQUENCE, 1000, IST_V_GAP},
    };
    for (unsigned i = 0; i < sizeof lies / sizeof *lies; i++)
        for (int seen = 0; seen < 2; seen++) { /* behind a head that is known, or not yet */
            struct ist_config c = config_of(RING, FRAME, IST_TAG_NONE);
            struct pair p;
            pair_up(&p, &c);
            struct ist_frame f;
            ist_u8 got[FRAME];
            send_one(&p, 100, 1);
            if (!seen) {
                ist_publish(tx(&p));
                CHECK_VERDICT(ist_receive(rx(&p), ++p.now, got, &f), IST_V_OK);
            }
            send_one(&p, 100, 1);
            send_one(&p, 100, 1);
            ist_publish(tx(&p));
            if (seen)
                CHECK_VERDICT(ist_receive(rx(&p), ++p.now, got, &f), IST_V_OK);
            word_set(tx_buffer(&p), next_record(&p) + lies[i].offset, lies[i].value);
            CHECK_VERDICT(ist_receive(rx(&p), ++p.now, got, &f), lies[i].verdict);
            CHECK_EQ(rx(&p)->count[lies[i].verdict], 1);
            CHECK_EQ(rx(&p)->count[IST_V_OK], 1);
            const int all = lies[i].offset == IST_REC_LENGTH; /* is skipped */
            CHECK_VERDICT(ist_receive(rx(&p), ++p.now, got, &f), all ? IST_V_EMPTY : IST_V_OK);
            pair_close(&p);
        }
}

/* Offload fields, and a gap. */
TEST(one_call_tells_what_two_calls_tell)
{
    struct ist_config c = config_of(RING, FRAME, IST_TAG_NONE);
    struct pair p;
    pair_up(&p, &c);
    const struct ist_meta m = {IST_FLAG_GSO_TCP4, 100, 0, 0}, none = {0, 0, 0, 0};
    ist_u8 frame[FRAME] = {0}, got[FRAME];
    struct ist_frame f;
    for (int i = 0; i < 4; i++)
        CHECK_VERDICT(ist_send(tx(&p), frame, 300, i % 2 ? &m : NULL), IST_V_OK);
    ist_publish(tx(&p));
    for (int i = 0; i < 4; i++) {
        if (i >= 2) {
            const ist_u32 at = next_record(&p) + IST_REC_SEQUENCE;
            word_set(tx_buffer(&p), at, word_get(tx_buffer(&p), at) + 2);
        }
        CHECK_VERDICT(ist_receive(rx(&p), ++p.now, got, &f), IST_V_OK);
        CHECK_EQ(f.length, 300);
        CHECK(!memcmp(&f.meta, i % 2 ? &m : &none, sizeof m));
        CHECK_EQ(rx(&p)->rx.lost, i >= 2 ? 2 : 0);
    }
    pair_close(&p);
}

/* Not before, and not a record later. */
TEST(the_sender_is_told_of_each_quarter_of_the_ring)
{
    struct ist_config c = config_of(RING, FRAME, IST_TAG_NONE);
    struct pair p;
    pair_up(&p, &c);
    const ist_u32 record = RING / 32, all = 24;
    for (ist_u32 i = 0; i < all; i++)
        send_one(&p, record - IST_REC_PAYLOAD, i);
    ist_publish(tx(&p));
    for (ist_u32 i = 0; i < all; i++) {
        CHECK_EQ(word_get(p.side[IST_SECURE].own, IST_CTL_TAIL), i / 8 * (RING / 4));
        receive_one(&p, record - IST_REC_PAYLOAD, i);
    }
    pair_close(&p);
}

static void dropped(struct pair *p)
{
    for (int i = 0; i < 200; i++) {
        send_one(p, 100, 1);
        send_one(p, 101, 2);
        ist_publish(tx(p));
        CHECK_VERDICT(peek(p), IST_V_OK);
        ist_drop(rx(p), i % 2 ? IST_V_NO_BUFFER : IST_V_FILTER);
        receive_one(p, 101, 2);
    }
    CHECK_EQ(rx(p)->count[IST_V_NO_BUFFER], 100);
    CHECK_EQ(rx(p)->count[IST_V_FILTER], 100);
}

TEST(a_dropped_frame_is_counted_under_its_reason)
{
    everywhere(dropped);
}

/* However many frames in a row are refused, the next good one passes: its gap is our doing. */
static void many_refused(struct pair *p)
{
    for (int i = 0; i < 1000; i++) {
        send_one(p, 60, 1);
        ist_publish(tx(p));
        CHECK_VERDICT(peek(p), IST_V_OK);
        ist_drop(rx(p), IST_V_NO_BUFFER);
    }
    send_one(p, 60, 2);
    ist_publish(tx(p));
    receive_one(p, 60, 2);
    CHECK_EQ(rx(p)->rx.lost, 1000);
}

TEST(a_long_run_of_refusals_ends)
{
    everywhere(many_refused);
}

/* The same where whole batches are skipped, more frames than a gap may have by itself. */
static void batches_skipped(struct pair *p)
{
    const ist_u32 batch = RING / record_of(p, 60);
    for (int i = 0; i < 5; i++) {
        for (ist_u32 n = 0; n < batch; n++)
            send_one(p, 60, 1);
        ist_publish(tx(p));
        word_set(tx_buffer(p), next_record(p) + IST_REC_LENGTH, 0);
        CHECK_VERDICT(peek(p), IST_V_LENGTH_SHORT);
        CHECK_VERDICT(peek(p), IST_V_EMPTY);
    }
    send_one(p, 60, 2);
    ist_publish(tx(p));
    receive_one(p, 60, 2);
    CHECK_EQ(rx(p)->rx.lost, 5 * batch);
}

TEST(skipped_batches_are_gaps_of_our_own)
{
    everywhere(batches_skipped);
}

/* However long frames are refused, the room for gaps stays below the half that replays begin in. */
TEST(room_for_gaps_has_a_bound)
{
    struct ist_config c = config_of(RING, FRAME, IST_TAG_NONE);
    struct pair p;
    pair_up(&p, &c);
    const ist_u32 most = 1u << 30;
    rx(&p)->rx.slack = most; /* as after a thousand million refusals */
    for (int i = 0; i < 3; i++) {
        send_one(&p, 60, 1);
        send_one(&p, 60, 1);
        ist_publish(tx(&p));
        word_set(tx_buffer(&p), next_record(&p) + IST_REC_LENGTH, 0);
        CHECK_VERDICT(peek(&p), IST_V_LENGTH_SHORT);
        CHECK_EQ(rx(&p)->rx.slack, most);
        send_one(&p, 60, 1);
        ist_publish(tx(&p));
        CHECK_VERDICT(peek(&p), IST_V_OK);
        ist_drop(rx(&p), IST_V_FILTER);
        CHECK_EQ(rx(&p)->rx.slack, most);
    }
    pair_close(&p);
}

int main(int argc, char **argv)
{
    return run_tests(argc, argv);
}
