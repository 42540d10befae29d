/* SPDX-License-Identifier: MIT */
/* The sending half and the way of a frame: what is sent arrives once, in order and whole; what the sender does out of
 * order is refused and changes nothing; nothing old leaks into what the peer can read. */
#include "ring.h"

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

/* What ist_room promises is what ist_reserve keeps, to the byte, however full the ring is. */
static void room_is_exact(struct pair *p)
{
    ist_u8 frame[FRAME] = {0};
    for (ist_u32 step = 60; step <= FRAME; step += 41) {
        ist_u32 room, sent = 0, first = 60;
        if (step == 60) { /* then the smallest frame fits exactly in the end */
            while ((RING - record_of(p, first)) % record_of(p, 60))
                first++;
            CHECK_VERDICT(ist_send(tx(p), frame, first, NULL), IST_V_OK);
            sent++;
        }
        while ((room = ist_room(tx(p))) != 0) {
            CHECK(room >= IST_FRAME_MIN && room <= FRAME);
            CHECK_VERDICT(ist_reserve(tx(p), room, NULL), IST_V_OK);
            ist_cancel(tx(p));
            CHECK_VERDICT(ist_reserve(tx(p), room + 1, NULL), room == FRAME ? IST_V_TOO_LONG : IST_V_FULL);
            CHECK_VERDICT(ist_send(tx(p), frame, room < step ? room : step, NULL), IST_V_OK);
            ist_publish(tx(p));
            sent++;
        }
        CHECK_VERDICT(ist_reserve(tx(p), 1, NULL), IST_V_FULL); /* not even the smallest */
        for (; sent; sent--) {
            CHECK_VERDICT(peek(p), IST_V_OK);
            CHECK_VERDICT(ist_take(rx(p), frame), IST_V_OK);
        }
        CHECK_VERDICT(peek(p), IST_V_EMPTY);
        memset(frame, 0, sizeof frame);
    }
}

TEST(room_is_exact_at_every_fill)
{
    everywhere(room_is_exact);
}

TEST(room_that_is_there_asks_for_no_doorbell)
{
    struct ist_config c = config_of(RING, FRAME, IST_TAG_NONE);
    struct pair p;
    ist_u8 frame[FRAME] = {0};
    pair_up(&p, &c);
    const ist_u32 length = 128 - IST_REC_PAYLOAD; /* the last record fills the ring */
    while (tx(&p)->tx.head - tx(&p)->tx.tail < RING - 128) {
        CHECK_VERDICT(ist_send(tx(&p), frame, length, NULL), IST_V_OK);
        ist_publish(tx(&p));
    }
    CHECK_EQ(ist_arm_tx(tx(&p), length), 1);
    CHECK_EQ(word_get(tx_buffer(&p), IST_CTL_WAKE_TX), 0);
    CHECK_EQ(ist_arm_tx(tx(&p), length + 1), 0);
    CHECK(word_get(tx_buffer(&p), IST_CTL_WAKE_TX) != 0);
    pair_close(&p);
}

/* A frame that is padded needs the room of the shortest one. */
TEST(a_byte_waits_for_the_room_of_the_shortest_frame)
{
    struct ist_config c = config_of(RING, FRAME, IST_TAG_NONE);
    struct pair p;
    ist_u8 frame[FRAME] = {0};
    pair_up(&p, &c);
    const ist_u32 shortest = record_of(&p, 1), left = shortest - IST_ALIGN;
    const ist_u32 first = shortest + (RING - left) % shortest;
    CHECK_VERDICT(ist_send(tx(&p), frame, first - IST_REC_PAYLOAD, NULL), IST_V_OK);
    while (ist_send(tx(&p), frame, 1, NULL) == IST_V_OK)
        ist_publish(tx(&p));
    CHECK_EQ(RING - (tx(&p)->tx.head - tx(&p)->tx.tail), left);
    CHECK_EQ(ist_arm_tx(tx(&p), 1), 0);
    pair_close(&p);
}

/* What was committed before the link went down is not published any more. */
TEST(nothing_is_published_on_a_link_that_is_down)
{
    struct ist_config c = config_of(RING, FRAME, IST_TAG_NONE);
    struct pair p;
    pair_up(&p, &c);
    send_one(&p, 100, 1);
    ist_end(tx(&p), IST_V_PEER_LEFT);
    CHECK_EQ(ist_publish(tx(&p)), 0);
    CHECK_EQ(word_get(tx_buffer(&p), IST_CTL_HEAD), c.first_cursor);
    CHECK_VERDICT(ist_send(tx(&p), "", 1, NULL), IST_V_DOWN);
    CHECK_EQ(tx(&p)->count[IST_V_DOWN], 1);
    pair_close(&p);
}

/* Offload fields of a reserved frame, and none left over for the next. */
TEST(reserved_frames_carry_their_own_fields)
{
    struct ist_config c = config_of(RING, FRAME, IST_TAG_CRC32C);
    struct pair p;
    pair_up(&p, &c);
    const struct ist_meta m = {IST_FLAG_CSUM_PARTIAL, 0, 34, 16}, none = {0, 0, 0, 0};
    ist_u8 frame[FRAME] = {0};
    for (int i = 0; i < 4; i++) {
        struct ist_frame f;
        CHECK_VERDICT(ist_reserve(tx(&p), 100, i % 2 ? NULL : &m), IST_V_OK);
        CHECK_VERDICT(ist_append(tx(&p), frame, 100), IST_V_OK);
        CHECK_VERDICT(ist_commit(tx(&p), 100), IST_V_OK);
        ist_publish(tx(&p));
        CHECK_VERDICT(ist_peek(rx(&p), 1, &f), IST_V_OK);
        CHECK(!memcmp(&f.meta, i % 2 ? &none : &m, sizeof m));
        CHECK_VERDICT(ist_take(rx(&p), frame), IST_V_OK);
    }
    pair_close(&p);
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

        CHECK_EQ(e->count[IST_V_TOO_LONG], 3 * (ist_u64)(round + 1));

        CHECK_VERDICT(ist_reserve(e, 100, NULL), IST_V_OK);
        CHECK_VERDICT(ist_reserve(e, 100, NULL), IST_V_MISUSE); /* one at a time */
        CHECK_VERDICT(ist_commit(e, 0), IST_V_MISUSE); /* nothing written yet: neither appended nor in place */
        if (p->config.tag != IST_TAG_NONE)
            CHECK_VERDICT(ist_commit(e, 60), IST_V_MISUSE); /* in place no tag would cover it */
        CHECK_VERDICT(ist_commit(e, 101), IST_V_MISUSE); /* nor is there room for more than was reserved */
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

int main(int argc, char **argv)
{
    return run_tests(argc, argv);
}
