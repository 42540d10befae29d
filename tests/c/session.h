/* SPDX-License-Identifier: MIT */
/* session.h - what the tests of a link's life share. */
#ifndef ISTHMUS_TESTS_SESSION_H
#define ISTHMUS_TESTS_SESSION_H

#include "harness.h"

enum { RING = 4096, FRAME = 256, ME = IST_SECURE, PEER = IST_NORMAL };

__attribute__((unused)) static struct ist_config plain(void)
{
    return config_of(RING, FRAME, IST_TAG_NONE);
}

__attribute__((unused)) static ist_u32 state_word(struct pair *p, ist_u32 role)
{
    return word_get(p->side[role].own, IST_CTL_STATE);
}

/* Frames pass in both directions, content intact. */
__attribute__((unused)) static void check_passes(struct pair *p)
{
    for (ist_u32 from = 0; from < 2; from++) {
        ist_u8 frame[FRAME], got[FRAME];
        struct ist_frame f;
        pattern_fill(frame, FRAME, p->epoch + from);
        CHECK_VERDICT(ist_send(&p->side[from].e, frame, FRAME, NULL), IST_V_OK);
        ist_publish(&p->side[from].e);
        CHECK_VERDICT(ist_peek(&p->side[1 - from].e, ++p->now, &f), IST_V_OK);
        CHECK_VERDICT(ist_take(&p->side[1 - from].e, got), IST_V_OK);
        CHECK(!memcmp(frame, got, FRAME));
    }
}

#endif
