/* SPDX-License-Identifier: MIT */
/* Doorbells: who arms is rung at the first event that he asked for, once, and nobody sleeps over work that is there.
 * Built with the hook of core/shared.h, so that the other side can act between any two of one side's steps. */
#include "ring.h"

/* ---- the other side, in the middle of a call ------------------------------------------------------------------- */

static void (*at_load)(struct pair *p); /* what happens before load number `when` of the side that is watched */
static struct pair *at_pair;
static const ist_u8 *watched;
static ist_u32 when, loads;

ist_u32 ist_test_load(const void *addr, ist_u32 value);
void ist_test_copy(const void *addr, ist_size n);

ist_u32 ist_test_load(const void *addr, ist_u32 value)
{
    const ist_size offset = (ist_size)((const ist_u8 *)addr - watched);
    if (!at_load || offset >= IST_CONTROL_SIZE || ++loads != when)
        return value;
    void (*act)(struct pair *p) = at_load;
    at_load = NULL;
    act(at_pair);
    return word_get(watched, (ist_u32)offset);
}

void ist_test_copy(const void *addr, ist_size n)
{
    (void)addr;
    (void)n;
}

static void interrupt(struct pair *p, const ist_u8 *peer_buffer, ist_u32 at, void (*act)(struct pair *p))
{
    at_pair = p;
    watched = peer_buffer;
    when = at;
    loads = 0;
    at_load = act;
}

/* ---- frames to read ------------------------------------------------------------------------------------------------ */

static void first_frame_rings(struct pair *p)
{
    for (int round = 0; round < 60; round++) {
        CHECK_EQ(ist_arm(rx(p), 1), 0);
        CHECK_EQ(word_get(p->side[IST_SECURE].own, IST_CTL_WAKE_RX), rx(p)->rx.tail | IST_WAKE_ARMED);
        CHECK_EQ(ist_publish(tx(p)), 0); /* nothing committed: nothing to ring for */
        send_one(p, 200, 1);
        CHECK_EQ(ist_publish(tx(p)), 1);
        send_one(p, 200, 2);
        CHECK_EQ(ist_publish(tx(p)), 0); /* it is awake by now */
        CHECK(ist_pending(rx(p)));
        CHECK_EQ(ist_arm(rx(p), 1), 1); /* and does not sleep over a frame */
        receive_one(p, 200, 1);
        CHECK_EQ(ist_arm(rx(p), 1), 1);
        receive_one(p, 200, 2);
        CHECK_EQ(ist_arm(rx(p), 0), 0);
        ist_disarm(rx(p));
        CHECK_EQ(word_get(p->side[IST_SECURE].own, IST_CTL_WAKE_RX), 0);
        send_one(p, 100, 3);
        CHECK_EQ(ist_publish(tx(p)), 0); /* nobody asked */
        receive_one(p, 100, 3);
    }
}

TEST(the_first_frame_after_arming_rings_once)
{
    everywhere(first_frame_rings);
}

/* Every event around what is published rings exactly if the head moves over it. */
static void events(struct pair *p)
{
    for (int32_t distance = -512; distance <= 512; distance += 16)
        for (int armed = 0; armed < 2; armed++) {
            const ist_u32 before = tx(p)->tx.published, event = before + (ist_u32)distance;
            word_set(p->side[IST_SECURE].own, IST_CTL_WAKE_RX, event | (ist_u32)armed);
            send_one(p, 200, 1);
            const int32_t moved = (int32_t)(tx(p)->tx.head - before);
            CHECK_EQ(ist_publish(tx(p)), armed && distance >= 0 && distance < moved);
            receive_one(p, 200, 1);
        }
}

TEST(an_event_rings_if_the_head_moves_over_it)
{
    everywhere(events);
}

/* ---- room to write --------------------------------------------------------------------------------------------------- */

static ist_u32 fill(struct pair *p, ist_u32 length)
{
    ist_u8 frame[FRAME] = {0};
    ist_u32 n = 0;
    while (ist_send(tx(p), frame, length, NULL) == IST_V_OK)
        n++;
    ist_publish(tx(p));
    return n;
}

static void take_one(struct pair *p)
{
    ist_u8 got[FRAME];
    CHECK_VERDICT(peek(p), IST_V_OK);
    CHECK_VERDICT(ist_take(rx(p), got), IST_V_OK);
}

static void room_rings(struct pair *p)
{
    for (ist_u32 length = 60; length <= FRAME; length += 37)
        for (ist_u32 next = 60; next <= FRAME; next += 113) {
            const ist_u32 n = fill(p, length), in_flight = tx(p)->tx.head - tx(p)->tx.tail;
            while (ist_peek(rx(p), ++p->now, &(struct ist_frame){0, {0, 0, 0, 0}}) != IST_V_OK)
                CHECK(0);
            ist_drop(rx(p), IST_V_FILTER);
            ist_release(rx(p));
            ist_rx_bell(rx(p));
            ist_u32 rung = 0, taken = 1;
            if (ist_arm_tx(tx(p), next) == 0) {
                CHECK_EQ(word_get(tx_buffer(p), IST_CTL_WAKE_TX) % IST_ALIGN, IST_WAKE_ARMED); /* no other bit */
                while (!rung && taken < n) {
                    take_one(p);
                    taken++;
                    rung = (ist_u32)(ist_release(rx(p)) | ist_rx_bell(rx(p)));
                    /* Half of what was in flight is consumed, or enough for the frame, whichever is later; not before. */
                    const ist_u32 consumed = taken * record_of(p, length);
                    const ist_u32 need = record_of(p, next) - (RING - in_flight);
                    const ist_u32 half = in_flight / 2 & ~15u, event = need > half ? need : half;
                    CHECK_EQ(rung, consumed >= event);
                }
                CHECK(rung);
                CHECK_EQ(ist_release(rx(p)) | ist_rx_bell(rx(p)), 0); /* asked and answered once */
            }
            CHECK(ist_room(tx(p)) >= next);
            CHECK_EQ(ist_arm_tx(tx(p), next), 1);
            for (; taken < n; taken++)
                take_one(p);
            CHECK_VERDICT(peek(p), IST_V_EMPTY);
            ist_rx_bell(rx(p));
        }
}

TEST(room_rings_when_half_is_consumed)
{
    everywhere(room_rings);
}

/* A frame that needs more than half of what is in flight to go: rung when it fits, not before. */
TEST(room_for_a_large_frame_rings_when_it_fits)
{
    enum { LARGE = 3000 };
    struct ist_config c = config_of(RING, LARGE, IST_TAG_NONE);
    c.first_cursor = 0xfffff800u;
    struct pair p;
    pair_up(&p, &c);
    for (int lap = 0; lap < 10; lap++) {
        static const ist_u8 frame[LARGE];
        ist_u32 n = 0, rung = 0, room = 0;
        while (ist_send(tx(&p), frame, lap % 2 ? 1100 : 60, NULL) == IST_V_OK) /* 1100: a good part stays free */
            n++;
        ist_publish(tx(&p));
        CHECK_EQ(ist_arm_tx(tx(&p), LARGE), 0);
        for (; !rung; n--) {
            CHECK(n && room < LARGE);
            CHECK_VERDICT(peek(&p), IST_V_OK);
            ist_drop(rx(&p), IST_V_FILTER);
            rung = (ist_u32)(ist_release(rx(&p)) | ist_rx_bell(rx(&p)));
            room = ist_room(tx(&p));
        }
        CHECK(room >= LARGE);
        while (peek(&p) == IST_V_OK)
            ist_drop(rx(&p), IST_V_FILTER);
    }
    pair_close(&p);
}

TEST(nobody_waits_for_room_on_a_link_that_is_down)
{
    struct ist_config c = config_of(RING, FRAME, IST_TAG_NONE);
    struct pair p;
    pair_up(&p, &c);
    fill(&p, 200);
    ist_end(tx(&p), IST_V_PEER_LEFT);
    CHECK_EQ(ist_arm_tx(tx(&p), 200), 1);
    pair_close(&p);
}

static void bell_is_kept(struct pair *p)
{
    const ist_u32 n = fill(p, 200);
    CHECK_EQ(ist_arm_tx(tx(p), 200), 0);
    CHECK_EQ(ist_rx_bell(rx(p)), 0);
    for (ist_u32 i = 0; i < n; i++)
        take_one(p); /* tells the sender a quarter at a time */
    CHECK_EQ(ist_rx_bell(rx(p)), 1);
    CHECK_EQ(ist_rx_bell(rx(p)), 0);

    send_one(p, 60, 1); /* less than a quarter: told when it runs empty, or arms */
    const ist_u32 m = fill(p, 200);
    CHECK_EQ(ist_arm_tx(tx(p), 200), 0);
    for (ist_u32 i = 0; i < m + 1; i++) {
        CHECK_VERDICT(peek(p), IST_V_OK);
        ist_drop(rx(p), IST_V_FILTER);
    }
    CHECK_EQ(ist_arm(rx(p), 1), 0);
    CHECK_EQ(rx(p)->rx.published, rx(p)->rx.tail);
    CHECK_EQ(ist_rx_bell(rx(p)), 1);
}

TEST(the_receiving_half_keeps_the_senders_bell)
{
    everywhere(bell_is_kept);
}

static void told_by_arming(struct pair *p)
{
    send_one(p, 60, 1);
    ist_publish(tx(p));
    take_one(p);
    CHECK(rx(p)->rx.published != rx(p)->rx.tail);
    word_set(tx_buffer(p), IST_CTL_WAKE_TX, rx(p)->rx.published | IST_WAKE_ARMED);
    CHECK_EQ(ist_arm(rx(p), 1), 0);
    CHECK_EQ(word_get(p->side[IST_SECURE].own, IST_CTL_TAIL), rx(p)->rx.tail);
    CHECK_EQ(ist_rx_bell(rx(p)), 1);
}

TEST(arming_tells_the_sender_what_was_consumed)
{
    everywhere(told_by_arming);
}

/* ---- the other side in between ------------------------------------------------------------------------------------- */

static int rang, slept;

static void one_frame(struct pair *p)
{
    send_one(p, 100, 1);
    rang = ist_publish(tx(p));
}

static void arm_now(struct pair *p)
{
    slept = !ist_arm(rx(p), 1);
}

/* A frame is published before any load of arming, or the receiver arms between the sender's store and its look. */
static void no_lost_frame(struct pair *p)
{
    for (ist_u32 at = 1; at <= 3; at++) { /* 3: arming makes fewer loads, the frame comes after it */
        rang = 0;
        send_one(p, 60, 9); /* something to release, so that arming looks at the wake word too */
        ist_publish(tx(p));
        take_one(p);
        interrupt(p, tx_buffer(p), at, one_frame);
        slept = !ist_arm(rx(p), 1);
        if (at_load)
            one_frame(p);
        at_load = NULL;
        CHECK(!slept || rang);
        take_one(p);

        ist_disarm(rx(p));
        send_one(p, 100, 1);
        interrupt(p, p->side[IST_SECURE].own, 1, arm_now);
        rang = ist_publish(tx(p));
        CHECK(!at_load);
        CHECK(!slept || rang);
        take_one(p);
    }
}

TEST(no_frame_is_slept_over)
{
    everywhere(no_lost_frame);
}

static void take_half(struct pair *p)
{
    for (ist_u32 half = rx(p)->rx.tail + RING / 2; (int32_t)(half - rx(p)->rx.tail) > 0;)
        take_one(p);
    rang = ist_release(rx(p)) | ist_rx_bell(rx(p));
}

static void arm_for_room(struct pair *p)
{
    slept = !ist_arm_tx(tx(p), 200);
}

static void no_lost_room(struct pair *p)
{
    for (ist_u32 at = 1; at <= 2; at++) {
        rang = 0;
        fill(p, 200);
        interrupt(p, p->side[IST_SECURE].own, at, take_half);
        arm_for_room(p);
        if (at_load)
            take_half(p);
        at_load = NULL;
        CHECK(!slept || rang);

        fill(p, 200);
        take_half(p); /* before anybody asked: room that arming has to find by itself */
        CHECK_EQ(ist_arm_tx(tx(p), 200), 1);

        fill(p, 200);
        slept = 0;
        interrupt(p, tx_buffer(p), 1, arm_for_room); /* in the first look that releasing takes */
        take_half(p);
        CHECK(!slept || rang);
        at_load = NULL;
        while (peek(p) == IST_V_OK)
            ist_drop(rx(p), IST_V_FILTER);
        ist_rx_bell(rx(p));
        word_set(tx_buffer(p), IST_CTL_WAKE_TX, 0);
    }
}

TEST(no_room_is_slept_over)
{
    everywhere(no_lost_room);
}

int main(int argc, char **argv)
{
    return run_tests(argc, argv);
}
