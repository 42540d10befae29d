/* SPDX-License-Identifier: MIT */
/* channels.h - many channels on one critical side, served by one poll, each with its lanes.
 *
 *     doorbell --(channel, lane)--> ready ----> a turn: frames of one lane ----> more? ready, at the end of the circle
 *     period   -----(all)---------> ready                                       empty, but warm? likewise
 *                                                                               empty? armed, at rest until its doorbell
 *                                                                               budget spent, down? at rest until the period
 *
 * Only lanes that are ready are looked at, so channels that idle cost nothing. Every ready lane of a higher number comes
 * before any of a lower one, whichever channel it is of; lanes of the same number take turns in a circle. A turn is bounded
 * in frames and bytes, and a lane that has spent its budget is not looked at before the next period: a flood in one channel
 * costs each other one a turn, and its own peer the rest. A turn that finds nothing counts as a frame, so that a peer that
 * rings without sending uses up a poll's frames as any other would. Where a core can be spared, a lane that had frames stays
 * warm for a while (`linger`): while they follow each other closely, no doorbell and no fence is paid for each batch. It does
 * so only while nothing of a lower number is ready, which would wait for a lane that has nothing.
 *
 * Peers must not rely on the sleeper's fence (IST_FEATURE_SLEEPER_FENCE is not to be offered): a system call for each lane
 * that is armed costs many channels more than a fence for each batch. Who looks at lanes at rest by itself (`caller_arms`)
 * pays neither: it arms them all at once before it sleeps, with one fence of either kind.
 *
 * All state is the caller's. Doorbells are heard between turns, so a frame of a higher lane waits for the turn in hand. */
#ifndef ISTHMUS_CHANNELS_H
#define ISTHMUS_CHANNELS_H

#include "netport.h"

#define CHANNELS_MAX 64u /* as many as a word has bits */

struct channels {
    struct netport_lane *lane; /* lane k of channel c: lane[c * lanes + k] */
    ist_u32 count, lanes;      /* 1..CHANNELS_MAX and 1..IST_LANES_MAX */
    ist_u32 turn_frames;       /* of one turn, at least 1 */
    ist_u32 turn_bytes;        /* likewise; the last frame may be beyond it */
    ist_u64 linger;            /* ns; 0: what is found empty is armed at once */
    ist_u32 caller_arms;       /* 1: what is found empty is at rest, and nothing is armed here */
    ist_u64 ready[IST_LANES_MAX]; /* by lane, a bit for each channel: it may hold frames */
    ist_u64 ring[IST_LANES_MAX];  /* likewise: the caller is to ring the peer's doorbell, and to clear it */
    ist_u64 warm[IST_LANES_MAX];  /* likewise: it had frames since `aged` */
    ist_u64 aged;
    ist_u32 first[IST_LANES_MAX]; /* the channel at which the circle goes on */
};

/* What hears the doorbells between two turns and calls channels_rung() for each. */
typedef void (*channels_hear_fn)(void *doorbells, struct channels *s);

/* The doorbells of these channels rang, in one lane. */
static inline void channels_rung(struct channels *s, ist_u32 lane, ist_u64 channels)
{
    s->ready[lane] |= channels & (~0ull >> (CHANNELS_MAX - s->count));
}

/* A new period: budgets go on, and each lane is looked at once, so that no doorbell left out holds a frame up for longer. */
static inline void channels_period(struct channels *s)
{
    for (ist_u32 k = 0; k < s->lanes; k++)
        channels_rung(s, k, ~0ull);
}

/* Anything to do before a doorbell or the period? */
static inline int channels_ready(const struct channels *s)
{
    ist_u64 any = 0;

    for (ist_u32 k = 0; k < s->lanes; k++)
        any |= s->ready[k];
    return any != 0;
}

/* The next of them in the circle that goes on at `first`; there is one. */
static inline ist_u32 channels_next(ist_u64 ready, ist_u32 first)
{
    const ist_u64 rest = ready & (~0ull << first);

    return (ist_u32)__builtin_ctzll(rest != 0 ? rest : ready);
}

/* What has no frames from now on gets cold: a lane lingers for up to `linger` after its last one. */
static inline void channels_age(struct channels *s, ist_u64 now)
{
    if (now - s->aged < s->linger)
        return;
    s->aged = now;
    for (ist_u32 k = 0; k < s->lanes; k++)
        s->warm[k] = 0;
}

/* Whose turn it is. False where no lane is ready. */
static inline int channels_whose(const struct channels *s, ist_u32 *channel, ist_u32 *lane)
{
    ist_u32 k = s->lanes - 1u;

    while (s->ready[k] == 0)
        if (k-- == 0)
            return 0;
    *channel = channels_next(s->ready[k], s->first[k]);
    *lane = k;
    return 1;
}

/* A lane that was found empty: does its turn come again without a doorbell? */
static inline int channels_stays(const struct channels *s, ist_u32 lane, ist_u64 bit, struct ist_endpoint *ep)
{
    ist_u64 lower = 0;

    if (s->caller_arms)
        return 0;
    for (ist_u32 k = 0; k < lane; k++)
        lower |= s->ready[k];
    return ((s->warm[lane] & bit) != 0 && lower == 0) || ist_arm(ep, 1);
}

/* One turn, of at most `frames` frames and *bytes bytes, which are taken off. *work counts frames, refused ones included.
 * False where no lane is ready. */
static inline __attribute__((__always_inline__)) int
channels_turn(struct channels *s, const struct netport_hooks *hooks, ist_u64 now, ist_u32 frames, ist_u32 *bytes, ist_u32 *work)
{
    ist_u32 c, k;

    *work = 0;
    if (!channels_whose(s, &c, &k))
        return 0;
    const ist_u64 bit = 1ull << c;
    struct netport_lane *l = &s->lane[c * s->lanes + k];
    const ist_u64 before = l->ep->rx.bytes;

    l->last = netport_receive(l->ep, hooks, l->stack, &l->budget, now, frames < s->turn_frames ? frames : s->turn_frames,
                              *bytes < s->turn_bytes ? *bytes : s->turn_bytes, work);
    if (*work != 0 && s->linger != 0)
        s->warm[k] |= bit;
    if (l->last != IST_V_OK && (l->last != IST_V_EMPTY || !channels_stays(s, k, bit, l->ep)))
        s->ready[k] &= ~bit;
    if (ist_rx_bell(l->ep))
        s->ring[k] |= bit;
    s->first[k] = (c + 1u) % CHANNELS_MAX;
    const ist_u64 got = l->ep->rx.bytes - before;
    *bytes = got < *bytes ? *bytes - (ist_u32)got : 0;
    return 1;
}

/* Takes turns until `frames` or `bytes` are used up or no lane is ready. `hear` may be NULL. *work counts frames, refused
 * ones included. Returns OK (there may be more) or EMPTY: before a doorbell or the period there is nothing to do. */
static inline __attribute__((__always_inline__)) enum ist_verdict
channels_poll(struct channels *s, const struct netport_hooks *hooks, channels_hear_fn hear, void *doorbells, ist_u64 now,
              ist_u32 frames, ist_u32 bytes, ist_u32 *work)
{
    ist_u32 spent = 0, one;

    channels_age(s, now);
    for (*work = 0; spent < frames && bytes > 0; spent += one != 0 ? one : 1u, *work += one) {
        if (hear)
            hear(doorbells, s);
        if (!channels_turn(s, hooks, now, frames - spent, &bytes, &one))
            return IST_V_EMPTY;
    }
    return IST_V_OK;
}

#endif
