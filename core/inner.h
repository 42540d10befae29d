/* SPDX-License-Identifier: MIT OR GPL-2.0 */
/* inner.h - what the core's files say to each other, and arithmetic on records. */
#ifndef ISTHMUS_INNER_H
#define ISTHMUS_INNER_H

#include "isthmus.h"

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

/* How far ahead a sequence may run: as many of the smallest frames as the ring holds. */
static inline ist_u32 ist_rx_slack(ist_u32 ring)
{
    return ring / IST_ROUND(IST_REC_PAYLOAD + IST_FRAME_MIN);
}

/* ---- tag.c -------------------------------------------------------------------------------------------------- */

/* What the tag covers beside the payload, fed behind it, so that a length may be settled last. */
void ist_tag_seal(struct ist_tagger *t, ist_u64 epoch, ist_u32 direction, ist_u64 sequence, ist_u32 length,
                  const struct ist_meta *m, ist_copy_crc_fn copy_crc, ist_u64 out[2]);

/* ---- session.c ---------------------------------------------------------------------------------------------- */

/* A cursor of the peer's is impossible: DEAD with `why`, unless the peer has left and is clearing its words. */
void ist_violation(struct ist_endpoint *e, enum ist_verdict why);

#endif
