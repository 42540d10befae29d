/* SPDX-License-Identifier: MIT */
/* ring.h - one direction of a channel, for the unit tests of its two halves: world Normal sends, world Secure receives. */
#ifndef ISTHMUS_TESTS_RING_H
#define ISTHMUS_TESTS_RING_H

#include "harness.h"

enum { RING = 4096, FRAME = 512 };

static const ist_u32 cursors[] = {0, 0xfffff000u, 0xfffffff0u, 0x7ffffff0u};
static const ist_u64 sequences[] = {0, 0xfffffffeu, 0xfffffffffffffffeu};

__attribute__((unused)) static struct ist_endpoint *tx(struct pair *p)
{
    return &p->side[IST_NORMAL].e;
}

__attribute__((unused)) static struct ist_endpoint *rx(struct pair *p)
{
    return &p->side[IST_SECURE].e;
}

__attribute__((unused)) static ist_u8 *tx_buffer(struct pair *p)
{
    return p->side[IST_NORMAL].own;
}

__attribute__((unused)) static void send_one(struct pair *p, ist_u32 length, ist_u64 seed)
{
    ist_u8 frame[FRAME];
    pattern_fill(frame, length, seed);
    CHECK_VERDICT(ist_send(tx(p), frame, length, NULL), IST_V_OK);
}

/* The frame in hand next is the one sent with `length` and `seed`, padded with zeros to the smallest frame. */
__attribute__((unused)) static void receive_one(struct pair *p, ist_u32 length, ist_u64 seed)
{
    ist_u8 want[FRAME] = {0};
    struct ist_frame f;
    pattern_fill(want, length, seed);
    ist_u32 padded = length < IST_FRAME_MIN ? IST_FRAME_MIN : length;
    ist_u8 *got = malloc(seed % 2 ? rx(p)->config.frame_max : padded);
    if (seed % 2) { /* in one call, or in two: the same */
        CHECK_VERDICT(ist_receive(rx(p), ++p->now, got, &f), IST_V_OK);
        CHECK_EQ(f.length, padded);
    } else {
        CHECK_VERDICT(ist_peek(rx(p), ++p->now, &f), IST_V_OK);
        CHECK_EQ(f.length, padded);
        CHECK_VERDICT(ist_take(rx(p), got), IST_V_OK);
    }
    CHECK(!memcmp(got, want, padded));
    free(got);
}

__attribute__((unused)) static enum ist_verdict peek(struct pair *p)
{
    struct ist_frame f;
    return ist_peek(rx(p), ++p->now, &f);
}

/* Every tag, cursor start and sequence start in turn. */
__attribute__((unused)) static void everywhere(void (*body)(struct pair *p))
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

__attribute__((unused)) static ist_u32 record_of(struct pair *p, ist_u32 length)
{
    ist_u32 padded = length < IST_FRAME_MIN ? IST_FRAME_MIN : length;
    return IST_REC_PAYLOAD + IST_ROUND(padded) + (p->config.tag == IST_TAG_NONE ? 0 : IST_TRAILER);
}

/* Offset of the record that the receiver takes next. */
__attribute__((unused)) static ist_u32 next_record(struct pair *p)
{
    return IST_CONTROL_SIZE + (rx(p)->rx.tail & (RING - 1));
}

#endif
