/* SPDX-License-Identifier: MIT OR GPL-2.0 */
/* check.h - every judgement on a value that came from the peer. Values only: nothing here can read a thing twice.
 * What runs once per frame is inline; the longer ones are in check.c. */
#ifndef ISTHMUS_CHECK_H
#define ISTHMUS_CHECK_H

#include "inner.h"

#define UNALIGNED(cursor) (((cursor) & (IST_ALIGN - 1u)) != 0)

/* The peer's head: seen is the last one accepted, tail our cursor; (seen - tail) <= ring always holds. */
static inline enum ist_verdict ist_check_head(ist_u32 head, ist_u32 seen, ist_u32 tail, ist_u32 ring)
{
    if (UNALIGNED(head))
        return IST_V_HEAD_ALIGN;
    if (head - seen > ring - (seen - tail)) /* further than the free part, or backwards (wraps to a huge distance) */
        return IST_V_HEAD_RANGE;
    return IST_V_OK;
}

/* The peer's tail: seen is the last one accepted, head our published cursor. */
static inline enum ist_verdict ist_check_tail(ist_u32 tail, ist_u32 seen, ist_u32 head)
{
    if (UNALIGNED(tail))
        return IST_V_TAIL_ALIGN;
    if (tail - seen > head - seen)
        return IST_V_TAIL_RANGE;
    return IST_V_OK;
}

/* A record's length against the limits and what is published; OK leaves the record's size in *size. */
static inline enum ist_verdict ist_check_length(ist_u32 length, ist_u32 frame_max, ist_u32 tag, ist_u32 available,
                                                ist_u32 *size)
{
    if (length < IST_FRAME_MIN)
        return IST_V_LENGTH_SHORT;
    if (length > frame_max)
        return IST_V_LENGTH_LONG;
    *size = ist_record_size(length, tag);
    return *size > available ? IST_V_LENGTH_OVERRUN : IST_V_OK;
}

/* Offload fields against each other, the frame's length, what was agreed and whether a tag covers them. */
enum ist_verdict ist_check_meta(const struct ist_meta *m, ist_u32 length, ist_u32 agreed, ist_u32 tag);

/* Low half of a sequence against the expected one; OK leaves the gap (0 = in order) in *gap. */
static inline enum ist_verdict ist_check_sequence(ist_u32 low, ist_u64 expected, ist_u32 slack, ist_u32 *gap)
{
    *gap = low - (ist_u32)expected;
    if (*gap <= slack)
        return IST_V_OK;
    return *gap >> 31 ? IST_V_REPLAY : IST_V_GAP;
}

/* A state word's fixed part for a peer of the role that is not `own_role`. */
enum ist_verdict ist_check_state_word(ist_u32 word, ist_u32 own_role);

#endif
