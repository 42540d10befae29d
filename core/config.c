/* SPDX-License-Identifier: MIT OR GPL-2.0 */
/* config.c - what both worlds must agree on, checked before any memory is touched. */
#include "inner.h"

_Static_assert(sizeof(struct ist_endpoint) <= 1024, "private state of an endpoint is at most 1 KB");
_Static_assert(IST_REC_PAYLOAD % IST_ALIGN == 0 && IST_TRAILER % IST_ALIGN == 0, "cursors stay aligned");
_Static_assert(IST_CONTROL_SIZE % IST_LINE == 0 && IST_CTL_WAKE_TX + 4 <= IST_CONTROL_SIZE, "control block holds its words");
_Static_assert(IST_FRAME_LIMIT % IST_ALIGN == 0 && IST_RING_MAX < 1u << 31, "cursor arithmetic fits 32 bits");
_Static_assert(IST_STATES <= 16 && IST_VERSION <= 255, "the state word holds them");

enum ist_verdict ist_config_check(const struct ist_config *c)
{
    if (c->role > IST_SECURE)
        return IST_V_BAD_ROLE;
    if (c->tag >= IST_TAGS)
        return IST_V_BAD_TAG;
    if (c->frame_max < IST_FRAME_MIN || c->frame_max > IST_FRAME_LIMIT)
        return IST_V_BAD_FRAME;
    for (int i = 0; i < 2; i++) {
        ist_u32 ring = c->ring_bytes[i];
        if (ring < IST_RING_MIN || ring > IST_RING_MAX || (ring & (ring - 1u)) != 0)
            return IST_V_BAD_RING;
        if (ist_record_size(c->frame_max, c->tag) > ring)
            return IST_V_FRAME_RING;
    }
    if (c->mtu < IST_MTU_MIN || c->mtu > c->frame_max - IST_ETHER_ROOM) /* the frame limit is above IST_FRAME_MIN */
        return IST_V_BAD_MTU;
    if ((c->features & ~IST_FEATURES_ALL) != 0 || (c->required & ~c->features) != 0)
        return IST_V_BAD_FEATURES;
    if (c->first_cursor % IST_ALIGN != 0)
        return IST_V_BAD_CURSOR;
    return IST_V_OK;
}

ist_u32 ist_buffer_size(const struct ist_config *c, ist_u32 role)
{
    return IST_CONTROL_SIZE + c->ring_bytes[role & 1u] + ist_record_size(c->frame_max, c->tag);
}

/* SipHash-2-4 under the zero key over the agreed words: not a secret, only a fingerprint without accidents. */
ist_u64 ist_config_digest(const struct ist_config *c)
{
    static const ist_u64 zero[2] = {0, 0};
    const ist_u64 words[] = {
        IST_VERSION,
        c->ring_bytes[IST_NORMAL],
        c->ring_bytes[IST_SECURE],
        c->frame_max,
        c->tag,
        c->first_cursor,
        c->first_sequence,
    };
    struct ist_tagger t;
    ist_u64 out[2];
    ist_tag_start(&t, IST_TAG_SIPHASH, zero);
    ist_tag_feed(&t, words, sizeof words);
    ist_tag_finish(&t, out);
    return out[0];
}
