/* SPDX-License-Identifier: MIT */
#include "session.h"

#include "board.h"
#include "entropy.h"
#include "smc.h"

/* The board's table says where the buffers lie, and nothing else is a channel: equality leaves no room for a wrap, an
 * overlap, an alias or one byte too many. The table itself is checked when it is generated. */
static int fits(const struct claim *c)
{
    return c->channel == 0 && c->own_base == BOARD_NORMAL_BUFFER_BASE && c->own_size == BOARD_NORMAL_BUFFER_SIZE &&
           c->peer_base == BOARD_SECURE_BUFFER_BASE && c->peer_size == BOARD_SECURE_BUFFER_SIZE;
}

long session_register(struct session *s, const struct claim *c)
{
    uint64_t drawn[3];

    if (!fits(c))
        return IST_SMC_INVALID;
    if (s->state == IST_SESSION_SEALED)
        return IST_SMC_ALREADY;
    if (s->state == IST_SESSION_ENDING)
        return IST_SMC_BUSY;
    if (!entropy_draw(drawn, 3) || drawn[0] == 0)
        return IST_SMC_NO_ENTROPY;
    s->epoch = drawn[0];
    s->key[0] = drawn[1];
    s->key[1] = drawn[2];
    s->state = IST_SESSION_SEALED;
    return IST_SMC_OK;
}

void session_end(struct session *s)
{
    if (s->state != IST_SESSION_SEALED)
        return;
    s->state = IST_SESSION_ENDING;
    s->key[0] = s->key[1] = 0;
}

long session_detach(struct session *s, uint64_t channel, uint64_t epoch)
{
    if (channel != 0)
        return IST_SMC_INVALID;
    if (s->state != IST_SESSION_SEALED || epoch != s->epoch)
        return IST_SMC_DENIED;
    session_end(s);
    return IST_SMC_OK;
}

long session_quiesced(struct session *s, uint64_t channel, uint64_t epoch)
{
    if (channel != 0)
        return IST_SMC_INVALID;
    if (s->state != IST_SESSION_ENDING || epoch != s->epoch)
        return IST_SMC_DENIED;
    s->state = IST_SESSION_NONE;
    s->epoch = 0;
    return IST_SMC_OK;
}
