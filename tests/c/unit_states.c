/* SPDX-License-Identifier: MIT */
/* The life cycle's table: every own state against everything that a peer's control block can say. */
#include "session.h"

/* ---- the table: own state x the peer's control block ------------------------------------------------------------ */

enum identity { FITS, OTHER_EPOCH_LO, OTHER_EPOCH_HI, OTHER_DIGEST_LO, OTHER_DIGEST_HI, OTHER_MTU, NO_FEATURE, DEMAND, IDENTITIES };

static const enum ist_verdict refusal_of[IDENTITIES] = {
    IST_V_OK,       IST_V_PEER_EPOCH, IST_V_PEER_EPOCH, IST_V_PEER_GEOMETRY, IST_V_PEER_GEOMETRY,
    IST_V_PEER_MTU, IST_V_PEER_FEATURES, IST_V_PEER_FEATURES,
};

/* Brings side ME into `state` with an honest peer. */
static void reach(struct pair *p, ist_u32 state)
{
    struct ist_endpoint *me = &p->side[ME].e, *peer = &p->side[PEER].e;
    struct ist_config c = plain();
    c.features = c.required = IST_FEATURES_ALL;
    pair_open(p, &c);
    if (state == IST_RESET)
        return;
    ist_begin(me, p->epoch, p->key, p->now);
    ist_begin(peer, p->epoch, p->key, p->now);
    if (state == IST_READY)
        ist_poll(me, p->now);
    if (state == IST_RUN || state == IST_DEAD)
        for (int i = 0; i < 3; i++) {
            ist_poll(me, p->now);
            ist_poll(peer, p->now);
        }
    if (state == IST_DEAD) {
        struct ist_frame f;
        word_set(p->side[PEER].own, IST_CTL_HEAD, 4);
        CHECK_VERDICT(ist_peek(me, p->now, &f), IST_V_HEAD_ALIGN);
        word_set(p->side[PEER].own, IST_CTL_HEAD, 0);
    }
    CHECK_EQ(ist_link_state(me), state);
}

static void set_identity(struct pair *p, enum identity identity)
{
    ist_u8 *b = p->side[PEER].own;
    ist_u64 digest = ist_config_digest(&p->config);
    word_set(b, IST_CTL_EPOCH_LO, (ist_u32)p->epoch);
    word_set(b, IST_CTL_EPOCH_HI, (ist_u32)(p->epoch >> 32));
    word_set(b, IST_CTL_DIGEST_LO, (ist_u32)digest);
    word_set(b, IST_CTL_DIGEST_HI, (ist_u32)(digest >> 32));
    word_set(b, IST_CTL_MTU, p->config.mtu);
    word_set(b, IST_CTL_FEATURES, IST_FEATURES_ALL);
    static const ist_u32 word[IDENTITIES] = {
        0, IST_CTL_EPOCH_LO, IST_CTL_EPOCH_HI, IST_CTL_DIGEST_LO, IST_CTL_DIGEST_HI, IST_CTL_MTU, IST_CTL_FEATURES,
    };
    if (identity == DEMAND) /* of a feature that nobody knows */
        word_set(b, IST_CTL_FEATURES, (IST_FEATURES_ALL + 1) << 16 | IST_FEATURES_ALL);
    else if (identity != FITS)
        word_set(b, word[identity], word_get(b, word[identity]) ^ 1);
}

struct outcome {
    ist_u32 state;
    enum ist_verdict reason;
};

/* What SPEC says happens when ME in `own` looks at a peer whose state word is `word` behind `identity`. */
static struct outcome expected(ist_u32 own, ist_u32 word, enum identity identity)
{
    const ist_u32 peer = IST_STATE_OF(word);
    enum ist_verdict garbled = IST_V_OK;
    if (IST_MAGIC_OF(word) != IST_MAGIC)
        garbled = IST_V_PEER_MAGIC;
    else if (IST_VERSION_OF(word) != IST_VERSION)
        garbled = IST_V_PEER_VERSION;
    else if (IST_ROLE_OF(word) != PEER)
        garbled = IST_V_PEER_ROLE;
    else if (peer > IST_DEAD)
        garbled = IST_V_STATE_WORD;

    switch (own) {
    case IST_INIT:
        if (word == 0)
            return (struct outcome){IST_INIT, IST_V_OK};
        if (garbled != IST_V_OK)
            return (struct outcome){IST_INIT, garbled};
        if (peer == IST_RESET)
            return (struct outcome){IST_INIT, IST_V_OK};
        if (identity != FITS)
            return (struct outcome){IST_INIT, refusal_of[identity]};
        if (peer == IST_INIT || peer == IST_READY)
            return (struct outcome){IST_READY, IST_V_OK};
        return (struct outcome){IST_INIT, peer == IST_DEAD ? IST_V_PEER_DEAD : IST_V_OK};
    case IST_READY:
    case IST_RUN:
        if (garbled != IST_V_OK)
            return (struct outcome){IST_DEAD, IST_V_STATE_WORD};
        if (peer == IST_RESET || (peer == IST_INIT && own == IST_RUN))
            return (struct outcome){IST_RESET, IST_V_PEER_LEFT};
        if (peer == IST_DEAD)
            return (struct outcome){IST_RESET, IST_V_PEER_DEAD};
        return (struct outcome){peer == IST_INIT ? IST_READY : IST_RUN, IST_V_OK};
    default:
        return (struct outcome){own, own == IST_DEAD ? IST_V_HEAD_ALIGN : IST_V_OK};
    }
}

static void look_once(ist_u32 own, ist_u32 word, enum identity identity)
{
    struct pair p;
    snprintf(test_case, sizeof test_case, "own %u word %08x identity %d", own, word, (int)identity);
    reach(&p, own);
    struct ist_endpoint *me = &p.side[ME].e;
    set_identity(&p, identity);
    word_set(p.side[PEER].own, IST_CTL_STATE, word);
    ist_u8 *peer_before = malloc(p.side[PEER].size);
    memcpy(peer_before, p.side[PEER].own, p.side[PEER].size);
    struct ist_endpoint before = *me;

    struct outcome want = expected(own, word, identity);
    CHECK_EQ(ist_poll(me, ++p.now), want.state);
    CHECK_EQ(ist_link_state(me), want.state);
    CHECK_VERDICT(me->reason, want.reason);
    CHECK_EQ(state_word(&p, ME), IST_STATE_WORD(ME, want.state)); /* told to the peer */
    CHECK_VERDICT(word_get(p.side[ME].own, IST_CTL_REFUSAL), want.reason);
    for (ist_u32 v = 0; v < IST_VERDICT_COUNT; v++) /* exactly the reason's counter moves */
        CHECK_EQ(me->count[v], before.count[v] + (v == want.reason && want.reason != before.reason));
    CHECK(!memcmp(peer_before, p.side[PEER].own, p.side[PEER].size)); /* nothing of the peer's is written */
    if (want.state == IST_INIT) { /* looked at again, the same refusal is not counted again */
        ist_poll(me, ++p.now);
        CHECK_EQ(me->count[want.reason], before.count[want.reason] + (want.reason != IST_V_OK));
    }

    /* Whatever it was: a new epoch with an honest peer runs. */
    memset(p.side[PEER].own, 0, p.side[PEER].size);
    pair_run(&p);
    check_passes(&p);
    free(peer_before);
    pair_close(&p);
    test_case[0] = 0;
}

TEST(every_own_state_meets_every_peer)
{
    for (ist_u32 own = 0; own < IST_STATES; own++)
        for (ist_u32 state = 0; state < 16; state++) {
            for (int identity = 0; identity < IDENTITIES; identity++)
                look_once(own, IST_STATE_WORD((ist_u32)PEER, state), (enum identity)identity);
            look_once(own, IST_STATE_WORD((ist_u32)ME, state), FITS);
            look_once(own, IST_STATE_WORD(2u, state), FITS);
            look_once(own, IST_STATE_WORD(15u, state), FITS);
            look_once(own, IST_STATE_WORD((ist_u32)PEER, state) ^ 0x100u, FITS);
            look_once(own, IST_STATE_WORD((ist_u32)PEER, state) ^ 0xff00u, FITS);
            look_once(own, IST_STATE_WORD((ist_u32)PEER, state) ^ 0x10000u, FITS);
            look_once(own, IST_STATE_WORD((ist_u32)PEER, state) ^ 0x80000000u, FITS);
            look_once(own, state, FITS); /* no magic at all; 0 is memory that nobody has written */
        }
}

int main(int argc, char **argv)
{
    return run_tests(argc, argv);
}
