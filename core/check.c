/* SPDX-License-Identifier: MIT OR GPL-2.0 */
/* check.c - the judgements of check.h that are not made on every frame. */
#include "check.h"

enum ist_verdict ist_check_meta(const struct ist_meta *m, ist_u32 length, ist_u32 agreed, ist_u32 tag)
{
    const ist_u32 flags = m->flags;
    const ist_u32 gso = flags & (IST_FLAG_GSO_TCP4 | IST_FLAG_GSO_TCP6);
    if ((flags & ~IST_FLAGS_ALL) != 0)
        return IST_V_FLAGS;
    if ((flags | m->segment | m->csum_start | m->csum_offset) == 0)
        return IST_V_OK;
    if ((agreed & IST_FEATURE_OFFLOAD) == 0)
        return IST_V_OFFLOAD;
    if ((flags & IST_FLAG_CSUM_PARTIAL) != 0) {
        /* A missing checksum is believed only where a tag covers the frame in its stead. */
        if (tag == IST_TAG_NONE || (flags & IST_FLAG_CSUM_VALID) != 0)
            return IST_V_OFFLOAD;
        if (m->csum_start < 14u || (ist_u32)m->csum_start + m->csum_offset + 2u > length)
            return IST_V_OFFLOAD;
    } else if ((m->csum_start | m->csum_offset) != 0) {
        return IST_V_OFFLOAD;
    }
    if (gso == (IST_FLAG_GSO_TCP4 | IST_FLAG_GSO_TCP6) || (gso != 0) != (m->segment != 0) || m->segment >= length)
        return IST_V_OFFLOAD;
    return IST_V_OK;
}

enum ist_verdict ist_check_state_word(ist_u32 word, ist_u32 own_role)
{
    if (IST_MAGIC_OF(word) != IST_MAGIC)
        return IST_V_PEER_MAGIC;
    if (IST_VERSION_OF(word) != IST_VERSION)
        return IST_V_PEER_VERSION;
    if (IST_ROLE_OF(word) != (own_role ^ 1u))
        return IST_V_PEER_ROLE;
    return IST_STATE_OF(word) < IST_STATES ? IST_V_OK : IST_V_STATE_WORD;
}
