/* SPDX-License-Identifier: MIT OR GPL-2.0 */
/* session.c - the life cycle of a link. The states are a table; what is not in it does not happen.
 *
 *   RESET --begin--> INIT --peer fits--> READY --peer READY too--> RUN
 *     ^------------- peer left, went silent or died, ist_end ------'     any state --violation--> DEAD
 *
 * RESET and DEAD are left by ist_begin alone, that is, with a new epoch from the monitor. */
#include "check.h"
#include "inner.h"
#include "shared.h"

/* What one look at the peer's control block amounts to. */
enum condition { PEER_ABSENT, PEER_UNFIT, PEER_INIT, PEER_READY, PEER_RUN, PEER_GONE_DEAD, PEER_GARBLED, CONDITIONS };

struct step {
    ist_u8 next;   /* enum ist_state */
    ist_u8 reason; /* verdict, IST_V_OK = none */
};

#define STAY(state) {(state), IST_V_OK}

static const struct step table[IST_STATES][CONDITIONS] = {
    [IST_RESET] = {STAY(IST_RESET), STAY(IST_RESET), STAY(IST_RESET), STAY(IST_RESET), STAY(IST_RESET),
                   STAY(IST_RESET), STAY(IST_RESET)},
    [IST_INIT] = {
        [PEER_ABSENT] = STAY(IST_INIT),
        [PEER_UNFIT] = STAY(IST_INIT), /* the reason is the refusal itself */
        [PEER_INIT] = STAY(IST_READY),
        [PEER_READY] = STAY(IST_READY),
        [PEER_RUN] = STAY(IST_INIT), /* it ran with our predecessor and has not noticed yet */
        [PEER_GONE_DEAD] = {IST_INIT, IST_V_PEER_DEAD},
        [PEER_GARBLED] = STAY(IST_INIT), /* boot garbage is not yet a broken promise */
    },
    [IST_READY] = {
        [PEER_ABSENT] = {IST_RESET, IST_V_PEER_LEFT},
        [PEER_UNFIT] = {IST_RESET, IST_V_PEER_LEFT},
        [PEER_INIT] = STAY(IST_READY),
        [PEER_READY] = STAY(IST_RUN),
        [PEER_RUN] = STAY(IST_RUN),
        [PEER_GONE_DEAD] = {IST_RESET, IST_V_PEER_DEAD},
        [PEER_GARBLED] = {IST_DEAD, IST_V_STATE_WORD},
    },
    [IST_RUN] = {
        [PEER_ABSENT] = {IST_RESET, IST_V_PEER_LEFT},
        [PEER_UNFIT] = {IST_RESET, IST_V_PEER_LEFT},
        [PEER_INIT] = {IST_RESET, IST_V_PEER_LEFT},
        [PEER_READY] = STAY(IST_RUN), /* it has yet to look at us again */
        [PEER_RUN] = STAY(IST_RUN),
        [PEER_GONE_DEAD] = {IST_RESET, IST_V_PEER_DEAD},
        [PEER_GARBLED] = {IST_DEAD, IST_V_STATE_WORD},
    },
    [IST_DEAD] = {STAY(IST_DEAD), STAY(IST_DEAD), STAY(IST_DEAD), STAY(IST_DEAD), STAY(IST_DEAD), STAY(IST_DEAD),
                  STAY(IST_DEAD)},
};

static void publish_state(struct ist_endpoint *e, ist_u32 state)
{
    ist_store_release(e->tx.own, IST_CTL_STATE, IST_STATE_WORD(e->config.role, state));
    ist_state_set(e, state);
}

/* The identity behind a well-formed state word, compared on values that are each loaded once. */
static enum ist_verdict judge_identity(struct ist_endpoint *e)
{
    const ist_u8 *peer = e->rx.peer;
    const ist_u64 digest = ist_config_digest(&e->config);
    if (ist_load(peer, IST_CTL_EPOCH_LO) != (ist_u32)e->epoch ||
        ist_load(peer, IST_CTL_EPOCH_HI) != (ist_u32)(e->epoch >> 32))
        return IST_V_PEER_EPOCH;
    if (ist_load(peer, IST_CTL_DIGEST_LO) != (ist_u32)digest ||
        ist_load(peer, IST_CTL_DIGEST_HI) != (ist_u32)(digest >> 32))
        return IST_V_PEER_GEOMETRY;
    if (ist_load(peer, IST_CTL_MTU) != e->config.mtu)
        return IST_V_PEER_MTU;
    ist_u32 features = ist_load(peer, IST_CTL_FEATURES);
    if ((e->config.required & ~features) != 0 || (features >> 16 & ~e->config.features) != 0)
        return IST_V_PEER_FEATURES; /* either's demand is judged by both, so that both know why */
    e->agreed = e->config.features & features;
    return IST_V_OK;
}

/* Looks once. *refusal is set where the peer is there but does not fit. The identity matters in INIT alone: what is
 * written over it later is ignored, since everything agreed is private by then. */
static enum condition look(struct ist_endpoint *e, ist_u32 own, enum ist_verdict *refusal)
{
    static const ist_u8 by_state[IST_STATES] = {PEER_ABSENT, PEER_INIT, PEER_READY, PEER_RUN, PEER_GONE_DEAD};
    ist_u32 word = ist_load_acquire(e->rx.peer, IST_CTL_STATE);
    *refusal = IST_V_OK;
    if (own == IST_INIT && word == 0) /* memory that nobody has written yet */
        return PEER_ABSENT;
    enum ist_verdict v = ist_check_state_word(word, e->config.role);
    if (v != IST_V_OK) {
        *refusal = v;
        return PEER_GARBLED;
    }
    ist_u32 state = IST_STATE_OF(word);
    if (own == IST_INIT && state != IST_RESET) {
        *refusal = judge_identity(e);
        if (*refusal != IST_V_OK)
            return PEER_UNFIT;
    }
    return (enum condition)by_state[state];
}

/* Why the link is not, or no longer, up: for us, for the counters, and for the peer to read. */
static void note(struct ist_endpoint *e, enum ist_verdict reason)
{
    ist_reason_set(e, reason, reason != IST_V_OK);
    ist_store(e->tx.own, IST_CTL_REFUSAL, reason);
}

static void leave(struct ist_endpoint *e, ist_u32 state, enum ist_verdict reason)
{
    note(e, reason);
    publish_state(e, state);
}

/* A peer is silent for as long as we looked and its heartbeat stood still. Time in which we did not look, because the
 * machine stood still perhaps, says little of it: one look stands for a quarter of the limit at most. No limit, 0, is
 * never exceeded. */
static int silent(struct ist_endpoint *e, ist_u64 now)
{
    const ist_u64 away = now - e->looked, most = e->config.silence / 4;
    ist_u32 beat = ist_load(e->rx.peer, IST_CTL_BEAT);
    e->looked = now;
    e->quiet += away < most ? away : most;
    if (beat != e->peer_beat) {
        e->peer_beat = beat;
        e->quiet = 0;
    }
    return e->quiet > e->config.silence;
}

enum ist_state ist_poll(struct ist_endpoint *e, ist_u64 now)
{
    const ist_u32 own = ist_state_get(e);
    if (own == IST_RESET || own == IST_DEAD)
        return (enum ist_state)own;
    ist_store(e->tx.own, IST_CTL_BEAT, ++e->beat);

    enum ist_verdict refusal;
    const enum condition seen = look(e, own, &refusal);
    struct step step = table[own][seen];
    enum ist_verdict reason = (enum ist_verdict)step.reason;
    if (own == IST_INIT) {
        /* Counted and shown once per change, not once per look. */
        if (reason == IST_V_OK)
            reason = refusal;
        if (reason != e->reason)
            note(e, reason);
    } else {
        if (reason == IST_V_OK && silent(e, now)) {
            reason = IST_V_PEER_SILENT;
            step.next = IST_RESET;
        }
        if (reason != IST_V_OK)
            note(e, reason);
    }
    if (step.next != own) {
        e->looked = now;
        e->quiet = 0;
        publish_state(e, step.next);
    }
    return (enum ist_state)step.next;
}

enum ist_state ist_link_state(const struct ist_endpoint *e)
{
    return (enum ist_state)ist_state_get(e);
}

enum ist_verdict ist_init(struct ist_endpoint *e, const struct ist_config *c, void *own, const void *peer)
{
    enum ist_verdict v = ist_config_check(c);
    if (v != IST_V_OK)
        return v;
    ist_zero((ist_u8 *)e, sizeof *e);
    ist_copy_bytes((ist_u8 *)&e->config, (const ist_u8 *)c, sizeof *c);
    e->tx.own = e->rx.own = (ist_u8 *)own;
    e->tx.ring = c->ring_bytes[c->role];
    e->rx.ring = c->ring_bytes[c->role ^ 1u];
    ist_attach(e, peer);
    e->rx.budget.interval = c->budget_interval;
    e->rx.budget.tolerance = c->budget_tolerance;
    publish_state(e, IST_RESET);
    return IST_V_OK;
}

void ist_attach(struct ist_endpoint *e, const void *peer)
{
    e->tx.peer = e->rx.peer = (const ist_u8 *)peer;
}

void ist_begin(struct ist_endpoint *e, ist_u64 epoch, const ist_u64 key[2], ist_u64 now)
{
    struct ist_tx *tx = &e->tx;
    struct ist_rx *rx = &e->rx;
    const struct ist_config *c = &e->config;
    const ist_u64 digest = ist_config_digest(c);

    /* A peer of the last epoch must see that we left before it sees a cursor jump: RESET first, cursors behind it. */
    publish_state(e, IST_RESET);
    tx->head = tx->published = tx->tail = c->first_cursor;
    tx->sequence = c->first_sequence;
    tx->open = tx->filled = tx->bell = 0;
    rx->tail = rx->published = rx->head = c->first_cursor;
    rx->expected = c->first_sequence;
    rx->slack = 0;
    rx->length = rx->bell = 0;
    rx->budget.due = now;
    ist_store_release(tx->own, IST_CTL_HEAD, c->first_cursor);
    ist_store_release(tx->own, IST_CTL_TAIL, c->first_cursor);
    ist_store(tx->own, IST_CTL_WAKE_RX, 0);
    ist_store(tx->own, IST_CTL_WAKE_TX, 0);
    ist_store(tx->own, IST_CTL_REFUSAL, 0);

    e->epoch = epoch;
    e->key[0] = key[0];
    e->key[1] = key[1];
    e->reason = IST_V_OK;
    e->agreed = 0;
    e->looked = now;
    e->quiet = 0;
    ist_store(tx->own, IST_CTL_EPOCH_LO, (ist_u32)epoch);
    ist_store(tx->own, IST_CTL_EPOCH_HI, (ist_u32)(epoch >> 32));
    ist_store(tx->own, IST_CTL_DIGEST_LO, (ist_u32)digest);
    ist_store(tx->own, IST_CTL_DIGEST_HI, (ist_u32)(digest >> 32));
    ist_store(tx->own, IST_CTL_MTU, c->mtu);
    ist_store(tx->own, IST_CTL_FEATURES, c->features | c->required << 16);
    publish_state(e, IST_INIT);
}

void ist_end(struct ist_endpoint *e, enum ist_verdict reason)
{
    ist_u32 own = ist_state_get(e);
    if (own != IST_RESET && own != IST_DEAD)
        leave(e, IST_RESET, reason);
}

void ist_violation(struct ist_endpoint *e, enum ist_verdict why)
{
    /* A peer that restarts clears its cursors after it has published RESET: look before judging. */
    ist_u32 word = ist_load(e->rx.peer, IST_CTL_STATE); /* the cursor was an acquire */
    if (ist_check_state_word(word, e->config.role) == IST_V_OK && IST_STATE_OF(word) < IST_READY)
        leave(e, IST_RESET, IST_V_PEER_LEFT);
    else
        leave(e, IST_DEAD, why);
}
