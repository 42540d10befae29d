/* SPDX-License-Identifier: MIT */
/* The way of a frame through the ring: what is sent arrives once, in order and whole; what the sender does out of
 * order is refused; what lies about itself in the ring is refused by name, and the next good frame passes. */
#include "harness.h"

enum { RING = 4096, FRAME = 512 };

static const ist_u32 cursors[] = {0, 0xfffff000u, 0xfffffff0u, 0x7ffffff0u};
static const ist_u64 sequences[] = {0, 0xfffffffeu, 0xfffffffffffffffeu};

static struct ist_endpoint *tx(struct pair *p)
{
    return &p->side[IST_NORMAL].e;
}

static struct ist_endpoint *rx(struct pair *p)
{
    return &p->side[IST_SECURE].e;
}

static ist_u8 *tx_buffer(struct pair *p)
{
    return p->side[IST_NORMAL].own;
}

static void send_one(struct pair *p, ist_u32 length, ist_u64 seed)
{
    ist_u8 frame[FRAME];
    pattern_fill(frame, length, seed);
    CHECK_VERDICT(ist_send(tx(p), frame, length, NULL), IST_V_OK);
}

/* The frame in hand next is the one sent with `length` and `seed`, padded with zeros to the smallest frame. */
static void receive_one(struct pair *p, ist_u32 length, ist_u64 seed)
{
    ist_u8 want[FRAME] = {0};
    struct ist_frame f;
    pattern_fill(want, length, seed);
    ist_u32 padded = length < IST_FRAME_MIN ? IST_FRAME_MIN : length;
    CHECK_VERDICT(ist_peek(rx(p), ++p->now, &f), IST_V_OK);
    CHECK_EQ(f.length, padded);
    ist_u8 *got = malloc(padded);
    CHECK_VERDICT(ist_take(rx(p), got), IST_V_OK);
    CHECK(!memcmp(got, want, padded));
    free(got);
}

static enum ist_verdict peek(struct pair *p)
{
    struct ist_frame f;
    return ist_peek(rx(p), ++p->now, &f);
}

/* Every tag, cursor start and sequence start in turn. */
static void everywhere(void (*body)(struct pair *p))
{
    for (ist_u32 tag = 0; tag < IST_TAGS; tag++)
        for (unsigned i = 0; i < sizeof cursors / sizeof *cursors; i++)
            for (unsigned j = 0; j < sizeof sequences / sizeof *sequences; j++) {
                struct ist_config c = config_of(RING, FRAME, tag);
                c.first_cursor = cursors[i];
                c.first_sequence = sequences[j];
                snprintf(test_case, sizeof test_case, "tag %u cursor %x sequence %llx", tag, cursors[i],
                         (unsigned long long)sequences[j]);
                struct pair p;
                pair_up(&p, &c);
                body(&p);
                pair_close(&p);
            }
    test_case[0] = 0;
}

static ist_u32 record_of(struct pair *p, ist_u32 length)
{
    ist_u32 padded = length < IST_FRAME_MIN ? IST_FRAME_MIN : length;
    return IST_REC_PAYLOAD + IST_ROUND(padded) + (p->config.tag == IST_TAG_NONE ? 0 : IST_TRAILER);
}

/* Offset of the record that the receiver takes next. */
static ist_u32 next_record(struct pair *p)
{
    return IST_CONTROL_SIZE + (rx(p)->rx.tail & (RING - 1));
}

/* ---- sending and receiving --------------------------------------------------------------------------------- */

static void every_length(struct pair *p)
{
    for (ist_u32 length = 1; length <= FRAME; length++) {
        send_one(p, length, length);
        CHECK_VERDICT(peek(p), IST_V_EMPTY); /* committed is not yet published */
        ist_publish(tx(p));
        receive_one(p, length, length);
        CHECK_VERDICT(peek(p), IST_V_EMPTY);
    }
    CHECK_EQ(tx(p)->sent, FRAME);
    CHECK_EQ(rx(p)->count[IST_V_OK], FRAME);
    CHECK_EQ(rx(p)->rx.lost, 0);
    CHECK_EQ(rx(p)->rx.bytes, tx(p)->tx.bytes);
}

TEST(every_length_passes_from_every_start)
{
    everywhere(every_length);
}

static void full_ring(struct pair *p)
{
    for (ist_u32 length = 1; length <= FRAME; length += 73) {
        for (int lap = 0; lap < 3; lap++) {
            ist_u32 n = 0;
            ist_u8 frame[FRAME];
            pattern_fill(frame, length, n);
            while (ist_send(tx(p), frame, length, NULL) == IST_V_OK)
                pattern_fill(frame, length, ++n);
            CHECK_EQ(n, RING / record_of(p, length));
            CHECK_EQ(ist_room(tx(p)) >= length && ist_room(tx(p)) >= IST_FRAME_MIN, 0);
            ist_publish(tx(p));
            for (ist_u32 i = 0; i < n; i++)
                receive_one(p, length, i);
            CHECK_VERDICT(peek(p), IST_V_EMPTY);
        }
    }
    CHECK_EQ(tx(p)->count[IST_V_FULL], ((FRAME - 1) / 73 + 1) * 3);
}

TEST(a_full_ring_drops_at_the_sender_and_loses_nothing_sent)
{
    everywhere(full_ring);
}

static void in_pieces(struct pair *p)
{
    ist_u8 frame[FRAME];
    pattern_fill(frame, FRAME, 7);
    for (ist_u32 a = 0; a <= 200; a += 11)
        for (ist_u32 b = a; b <= 200; b += 17) {
            CHECK_VERDICT(ist_reserve(tx(p), 300, NULL), IST_V_OK);
            CHECK_VERDICT(ist_append(tx(p), frame, a), IST_V_OK);
            CHECK_VERDICT(ist_append(tx(p), frame + a, b - a), IST_V_OK);
            CHECK_VERDICT(ist_append(tx(p), frame + b, 201 - b), IST_V_OK);
            CHECK_VERDICT(ist_commit(tx(p), 201), IST_V_OK); /* shorter than reserved */
            ist_publish(tx(p));
            receive_one(p, 201, 7);
        }
}

TEST(a_frame_may_be_appended_in_pieces_and_end_early)
{
    everywhere(in_pieces);
}

TEST(a_frame_may_be_written_in_place_where_no_tag_is_carried)
{
    for (ist_u32 tag = 0; tag < IST_TAGS; tag++) {
        struct ist_config c = config_of(RING, FRAME, tag);
        struct pair p;
        pair_up(&p, &c);
        CHECK(!ist_place(tx(&p)));
        CHECK_VERDICT(ist_reserve(tx(&p), 200, NULL), IST_V_OK);
        ist_u8 *place = ist_place(tx(&p));
        CHECK_EQ(place != NULL, tag == IST_TAG_NONE);
        if (place) {
            pattern_fill(place, 100, 3);
            CHECK_VERDICT(ist_commit(tx(&p), 100), IST_V_OK);
            ist_publish(tx(&p));
            receive_one(&p, 100, 3);
        }
        pair_close(&p);
    }
}

/* ---- misuse ------------------------------------------------------------------------------------------------ */

static void misuse(struct pair *p)
{
    ist_u8 frame[FRAME] = {0};
    struct ist_endpoint *e = tx(p);
    for (int round = 0; round < 3; round++) {
        struct ist_endpoint before = *e;
        CHECK_VERDICT(ist_append(e, frame, 1), IST_V_MISUSE); /* nothing reserved: before, after commit, after cancel */
        CHECK_VERDICT(ist_append(e, frame, 0xffffffff), IST_V_MISUSE);
        CHECK_VERDICT(ist_append(e, frame, 0x80000000), IST_V_MISUSE);
        CHECK_VERDICT(ist_commit(e, 60), IST_V_MISUSE);
        CHECK_VERDICT(ist_commit(e, 0), IST_V_MISUSE);
        CHECK(!ist_place(e));
        CHECK_VERDICT(ist_reserve(e, 0, NULL), IST_V_MISUSE);
        CHECK_VERDICT(ist_send(e, frame, 0, NULL), IST_V_MISUSE);
        ist_cancel(e);
        CHECK(!memcmp(&before, e, sizeof before));

        CHECK_VERDICT(ist_send(e, frame, FRAME + 1, NULL), IST_V_TOO_LONG);
        CHECK_VERDICT(ist_reserve(e, 0x7fffffff, NULL), IST_V_TOO_LONG);
        CHECK_VERDICT(ist_reserve(e, 0xffffffff, NULL), IST_V_TOO_LONG);

        CHECK_VERDICT(ist_reserve(e, 100, NULL), IST_V_OK);
        CHECK_VERDICT(ist_reserve(e, 100, NULL), IST_V_MISUSE); /* one at a time */
        CHECK_VERDICT(ist_send(e, frame, 100, NULL), IST_V_MISUSE);
        CHECK_VERDICT(ist_append(e, frame, 101), IST_V_MISUSE);
        CHECK_VERDICT(ist_append(e, frame, 60), IST_V_OK);
        CHECK_VERDICT(ist_append(e, frame, 41), IST_V_MISUSE);
        CHECK_VERDICT(ist_append(e, frame, 0xffffffff), IST_V_MISUSE);
        CHECK_VERDICT(ist_commit(e, 0), IST_V_MISUSE);
        CHECK_VERDICT(ist_commit(e, 59), IST_V_MISUSE); /* neither less nor more than was appended */
        CHECK_VERDICT(ist_commit(e, 61), IST_V_MISUSE);
        CHECK_VERDICT(ist_commit(e, 101), IST_V_MISUSE);
        if (round == 1)
            ist_cancel(e);
        else
            CHECK_VERDICT(ist_commit(e, 60), IST_V_OK);
    }
    ist_publish(e);
    CHECK_EQ(e->sent, 2);
    for (int i = 0; i < 2; i++) {
        struct ist_frame f;
        CHECK_VERDICT(ist_take(rx(p), frame), IST_V_MISUSE); /* nothing in hand */
        ist_drop(rx(p), IST_V_FILTER);
        CHECK_EQ(rx(p)->count[IST_V_FILTER], 0);
        CHECK_VERDICT(peek(p), IST_V_OK);
        CHECK_VERDICT(ist_peek(rx(p), p->now, &f), IST_V_MISUSE);
        CHECK_VERDICT(ist_take(rx(p), frame), IST_V_OK);
    }
    CHECK_VERDICT(peek(p), IST_V_EMPTY);
}

TEST(calls_out_of_order_are_refused_and_change_nothing)
{
    everywhere(misuse);
}

/* ---- nothing old leaks ---------------------------------------------------------------------------------------- */

/* Bytes that were never part of a frame of this epoch: the ring's start and a cancelled reservation. */
enum { CANARY = 0xa5 };

static void no_leak(struct pair *p)
{
    ist_u8 frame[FRAME];
    for (ist_u32 length = 1; length <= FRAME; length++) {
        memset(tx_buffer(p) + IST_CONTROL_SIZE, CANARY, p->side[IST_NORMAL].size - IST_CONTROL_SIZE);
        memset(frame, CANARY, sizeof frame);
        if (length % 3 == 0) { /* abandoned: must leave none of it either */
            CHECK_VERDICT(ist_reserve(tx(p), FRAME, NULL), IST_V_OK);
            CHECK_VERDICT(ist_append(tx(p), frame, length), IST_V_OK);
            ist_cancel(tx(p));
            const ist_u8 *place = tx_buffer(p) + IST_CONTROL_SIZE + (tx(p)->tx.head & (RING - 1)) + IST_REC_PAYLOAD;
            for (ist_u32 i = 0; i < length; i++)
                CHECK_EQ(place[i], 0);
            memset(tx_buffer(p) + IST_CONTROL_SIZE, CANARY, p->side[IST_NORMAL].size - IST_CONTROL_SIZE);
        }
        memset(frame, 0x11, sizeof frame);
        const ist_u8 *record = tx_buffer(p) + IST_CONTROL_SIZE + (tx(p)->tx.head & (RING - 1));
        CHECK_VERDICT(ist_send(tx(p), frame, length, NULL), IST_V_OK);
        ist_u32 size = record_of(p, length);
        ist_u32 payload_end = IST_REC_PAYLOAD + length, trailer = size - (p->config.tag ? IST_TRAILER : 0);
        for (ist_u32 i = payload_end; i < trailer; i++)
            CHECK_EQ(record[i], 0); /* padding and the gap up to the alignment */
        CHECK_EQ(word_get(record, IST_REC_FLAGS), 0);
        CHECK_EQ(word_get(record, IST_REC_CSUM), 0);
        if (p->config.tag == IST_TAG_CRC32C) /* the tag's unused words */
            for (ist_u32 i = trailer + 4; i < size; i++)
                CHECK_EQ(record[i], 0);
        ist_publish(tx(p));
        ist_u8 got[FRAME];
        CHECK_VERDICT(peek(p), IST_V_OK);
        CHECK_VERDICT(ist_take(rx(p), got), IST_V_OK);
    }
}

TEST(padding_and_gaps_carry_no_old_bytes)
{
    everywhere(no_leak);
}

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
        CHECK_EQ(rx(&p)->rx.sequence, 0xfffffff0u + (ist_u64)gap);
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
            enum ist_verdict v = peek(p);
            if (v == IST_V_OK) { /* a flag that may stand alone: then the tag, where there is one, sees it */
                ist_u8 got[FRAME];
                CHECK(!csum && 1u << bit == IST_FLAG_CSUM_VALID);
                CHECK_VERDICT(ist_take(rx(p), got), p->config.tag == IST_TAG_NONE ? IST_V_OK : IST_V_TAG);
            } else {
                CHECK_VERDICT(v, !csum && bit >= 4 && bit < 16 ? IST_V_FLAGS : IST_V_OFFLOAD);
            }
            receive_one(p, 64, 99);
        }
}

TEST(unknown_flags_and_contradicting_offloads_are_refused)
{
    everywhere(flag_words);
}

TEST(offload_fields_need_the_agreement)
{
    struct ist_config c = config_of(RING, FRAME, IST_TAG_CRC32C);
    c.features = 0;
    struct pair p;
    pair_up(&p, &c);
    struct ist_meta m = {IST_FLAG_CSUM_VALID, 0, 0, 0};
    ist_u8 frame[FRAME] = {0};
    CHECK_VERDICT(ist_send(tx(&p), frame, 100, &m), IST_V_OFFLOAD); /* nor does an honest sender offer them */
    send_one(&p, 100, 1);
    ist_publish(tx(&p));
    word_set(tx_buffer(&p), next_record(&p) + IST_REC_FLAGS, IST_FLAG_CSUM_VALID);
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
    enum { EPOCH, KEY, DIRECTION };
    for (int other = EPOCH; other <= DIRECTION; other++) {
        struct ist_config c = config_of(RING, FRAME, IST_TAG_SIPHASH);
        struct pair p, q;
        pair_up(&p, &c);
        pair_open(&q, &c);
        if (other == EPOCH)
            q.epoch++;
        if (other == KEY)
            q.key[1] ^= 1;
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
    CHECK_VERDICT(ist_peek(rx(&p), now + 100, &f), IST_V_OK);
    CHECK_VERDICT(ist_take(rx(&p), got), IST_V_OK);
    CHECK_VERDICT(ist_peek(rx(&p), now + 100, &f), IST_V_BUDGET);
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

int main(int argc, char **argv)
{
    return run_tests(argc, argv);
}
