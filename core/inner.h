/* SPDX-License-Identifier: MIT OR GPL-2.0 */
/* inner.h - what the core's files say to each other: checks on values, and arithmetic on records. */
#ifndef ISTHMUS_INNER_H
#define ISTHMUS_INNER_H

#include "isthmus.h"

/* ---- check.c: takes values, never pointers into shared memory --------------------------------------------- */

/* The peer's head: seen is the last one accepted, tail our cursor; (seen - tail) <= ring always holds. */
enum ist_verdict ist_check_head(ist_u32 head, ist_u32 seen, ist_u32 tail, ist_u32 ring);
/* The peer's tail: seen is the last one accepted, head our published cursor. */
enum ist_verdict ist_check_tail(ist_u32 tail, ist_u32 seen, ist_u32 head);
/* A record's length against the limits and what is published; OK leaves the record's size in *size. */
enum ist_verdict ist_check_length(ist_u32 length, ist_u32 frame_max, ist_u32 tag, ist_u32 available, ist_u32 *size);
/* Offload fields against each other, the frame's length, what was agreed and whether a tag covers them. */
enum ist_verdict ist_check_meta(const struct ist_meta *m, ist_u32 length, ist_u32 agreed, ist_u32 tag);
/* Low half of a sequence against the expected one; OK leaves the gap (0 = in order) in *gap. */
enum ist_verdict ist_check_sequence(ist_u32 low, ist_u64 expected, ist_u32 slack, ist_u32 *gap);
/* A state word's fixed part for a peer of the role that is not `own_role`. */
enum ist_verdict ist_check_state_word(ist_u32 word, ist_u32 own_role);

/* ---- ring arithmetic ----------------------------------------------------------------------------------------- */

/* Bytes that a frame of `length` takes: header, payload rounded up, trailer. No overflow: length <= frame_max. */
static inline ist_u32 ist_record_size(ist_u32 length, ist_u32 tag)
{
    return IST_ROUND(IST_REC_PAYLOAD + length) + (tag == IST_TAG_NONE ? 0u : IST_TRAILER);
}

/* Offset of the record at `cursor` in its buffer; ring is a power of two. */
static inline ist_u32 ist_record_at(ist_u32 cursor, ist_u32 ring)
{
    return IST_CONTROL_SIZE + (cursor & (ring - 1u));
}

/* Does moving a cursor from `before` to `after` pass the event in a wake word? */
static inline int ist_wake_wanted(ist_u32 wake, ist_u32 before, ist_u32 after)
{
    ist_u32 event = wake & ~(IST_ALIGN - 1u);
    return (wake & IST_WAKE_ARMED) != 0 && after - event - 1u < after - before;
}

/* Rings by direction, seen from one endpoint. */
static inline ist_u32 ist_tx_ring(const struct ist_endpoint *e)
{
    return e->config.ring_bytes[e->config.role];
}

static inline ist_u32 ist_rx_ring(const struct ist_endpoint *e)
{
    return e->config.ring_bytes[e->config.role ^ 1u];
}

/* ---- tag.c -------------------------------------------------------------------------------------------------- */

/* What the tag covers beside the payload, fed behind it, so that a length may be settled last. */
void ist_tag_seal(struct ist_tagger *t, ist_u64 epoch, ist_u32 direction, ist_u64 sequence, ist_u32 length,
                  const struct ist_meta *m, ist_u64 out[2]);

/* ---- session.c ---------------------------------------------------------------------------------------------- */

/* A cursor of the peer's is impossible: DEAD with `why`, unless the peer has left and is clearing its words. */
void ist_violation(struct ist_endpoint *e, enum ist_verdict why);

#endif
