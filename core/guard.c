/* SPDX-License-Identifier: MIT OR GPL-2.0 */
/* guard.c - the receive path, top to bottom: link up? budget? head possible? header possible? copy once, check the copy:
 * tag, then filter.
 *
 * Bounds: one call loads at most IST_PEEK_LOADS control words, copies at most one frame, and never loops. Each load is
 * a value in a register before it is judged. The offset of every access is derived from our own private cursor. */
#include "check.h"
#include "filter.h"
#include "inner.h"
#include "shared.h"

/* Loads the peer's head once and takes it over if it is possible. */
static enum ist_verdict refresh_head(struct ist_endpoint *e)
{
    struct ist_rx *rx = &e->rx;
    ist_u32 head = ist_load_acquire(rx->peer, IST_CTL_HEAD);
    enum ist_verdict v = ist_check_head(head, rx->head, rx->tail, rx->ring);
    if (v != IST_V_OK)
        ist_violation(e, v);
    else
        rx->head = head;
    return v;
}

/* Moves our cursor past `size` bytes; the peer is told a quarter of the ring at a time. */
IST_HOT void consume(struct ist_endpoint *e, ist_u32 size)
{
    struct ist_rx *rx = &e->rx;
    rx->tail += size;
    rx->length = 0;
    if (rx->tail - rx->published >= rx->ring / 4u)
        rx->bell |= (ist_u32)ist_release(e);
}

static IST_COLD enum ist_verdict refuse(struct ist_endpoint *e, enum ist_verdict why, ist_u32 size)
{
    struct ist_rx *rx = &e->rx;
    e->count[why]++;
    rx->slack += rx->slack < 1u << 30; /* a frame we refused leaves a gap that is not the sender's */
    consume(e, size);
    return why;
}

/* A record whose length lies cannot be stepped over: everything published so far is skipped. The next frame that the
 * peer publishes starts at its head, so a peer that means well recovers by itself. */
static IST_COLD enum ist_verdict resync(struct ist_endpoint *e, enum ist_verdict why)
{
    struct ist_rx *rx = &e->rx;
    ist_u32 skipped = rx->head - rx->tail;
    if (rx->slack < 1u << 30)
        rx->slack += skipped / IST_ROUND(IST_REC_PAYLOAD + IST_FRAME_MIN);
    return refuse(e, why, skipped);
}

/* The next record, judged: where it lies, and what its header says in values that were each loaded once. */
struct record {
    ist_u32 at, size, length;
    ist_u64 sequence;
    struct ist_meta meta;
    ist_u64 now; /* the filter's rates need it */
};

/* OK, EMPTY, DOWN or BUDGET; any other verdict is a refusal, counted and consumed. */
IST_HOT enum ist_verdict judge(struct ist_endpoint *e, ist_u64 now, struct record *r)
{
    struct ist_rx *rx = &e->rx;
    const struct ist_config *c = &e->config;
    if (rx->length != 0)
        return IST_V_MISUSE;
    if (ist_state_get(e) != IST_RUN)
        return IST_V_DOWN;
    if (rx->head == rx->tail) {
        enum ist_verdict v = refresh_head(e);
        if (v != IST_V_OK)
            return v;
        if (rx->head == rx->tail) {
            if (rx->published != rx->tail)
                rx->bell |= (ist_u32)ist_release(e);
            return IST_V_EMPTY;
        }
    }
    /* A refused frame costs as much as a good one: the budget is spent before anything is judged. */
    if (rx->budget.interval != 0 && !ist_limit_take(&rx->budget, now, rx->budget.interval)) {
        e->count[IST_V_BUDGET]++;
        return IST_V_BUDGET;
    }

    const ist_u32 at = ist_record_at(rx->tail, rx->ring);
    const ist_u32 length = ist_load(rx->peer, at + IST_REC_LENGTH);
    ist_u32 size, gap;
    enum ist_verdict v = ist_check_length(length, c->frame_max, c->tag, rx->head - rx->tail, &size);
    if (v != IST_V_OK)
        return resync(e, v);

    const ist_u32 low = ist_load(rx->peer, at + IST_REC_SEQUENCE);
    const ist_u32 flags = ist_load(rx->peer, at + IST_REC_FLAGS);
    const ist_u32 csum = ist_load(rx->peer, at + IST_REC_CSUM);
    *(ist_w64 *)(void *)&r->meta = flags | (ist_u64)csum << 32; /* the header's words lie as the struct does */
    v = (flags | csum) == 0 ? IST_V_OK : ist_check_meta(&r->meta, length, e->agreed, c->tag);
    if (v == IST_V_OK)
        v = ist_check_sequence(low, rx->expected, rx->slack, &gap);
    if (v != IST_V_OK)
        return refuse(e, v, size);
    r->at = at;
    r->size = size;
    r->length = length;
    r->sequence = rx->expected + gap;
    r->now = now;
    return IST_V_OK;
}

/* Copies and tags in one pass, then compares with the trailer, whose words are each loaded once. */
static __attribute__((__noinline__)) enum ist_verdict take_tagged(struct ist_endpoint *e, void *dst, const struct record *r)
{
    struct ist_rx *rx = &e->rx;
    struct ist_tagger t;
    ist_u64 tag[2];
    ist_tag_start(&t, e->config.tag, e->key);
    ist_tag_copy(&t, dst, rx->peer + r->at + IST_REC_PAYLOAD, r->length, e->copy_crc);
    ist_tag_seal(&t, e->epoch, e->config.role ^ 1u, r->sequence, r->length, &r->meta, tag);
    ist_u32 differs = 0;
    const ist_u32 trailer = r->at + IST_ROUND(IST_REC_PAYLOAD + r->length);
    for (ist_u32 i = 0; i < 4; i++) /* no early exit: the time says nothing about how much matched */
        differs |= ist_load(rx->peer, trailer + 4 * i) ^ (ist_u32)(tag[i / 2] >> (32 * (i % 2)));
    return differs == 0 ? IST_V_OK : IST_V_TAG;
}

/* Copies the judged record once, checks the copy, and is done with the record either way. */
IST_HOT enum ist_verdict take(struct ist_endpoint *e, void *dst, const struct record *r)
{
    struct ist_rx *rx = &e->rx;
    if (e->config.tag == IST_TAG_NONE)
        ist_copy_in(dst, rx->peer + r->at + IST_REC_PAYLOAD, r->length);
    else if (take_tagged(e, dst, r) != IST_V_OK)
        return refuse(e, IST_V_TAG, r->size);

    rx->lost += r->sequence - rx->expected;
    rx->expected = r->sequence + 1;
    rx->slack = ist_rx_slack(rx->ring);
    if (e->filter) {
        const enum ist_verdict v = ist_filter_judge(e->filter, dst, r->length, &r->meta, r->now);
        if (v != IST_V_OK) {
            e->count[v]++; /* it came in its turn: no gap is left behind */
            consume(e, r->size);
            return v;
        }
    }
    rx->bytes += r->length;
    e->count[IST_V_OK]++;
    consume(e, r->size);
    return IST_V_OK;
}

enum ist_verdict ist_peek(struct ist_endpoint *e, ist_u64 now, struct ist_frame *f)
{
    struct ist_rx *rx = &e->rx;
    struct record r;
    const enum ist_verdict v = judge(e, now, &r);
    if (v != IST_V_OK)
        return v;
    rx->length = f->length = r.length;
    rx->sequence = r.sequence;
    rx->meta = f->meta = r.meta;
    rx->now = now;
    return IST_V_OK;
}

enum ist_verdict ist_take(struct ist_endpoint *e, void *dst)
{
    struct ist_rx *rx = &e->rx;
    const ist_u32 length = rx->length;
    if (length == 0)
        return IST_V_MISUSE;
    const struct record r = {ist_record_at(rx->tail, rx->ring), ist_record_size(length, e->config.tag), length,
                             rx->sequence, rx->meta, rx->now};
    return take(e, dst, &r);
}

enum ist_verdict ist_receive(struct ist_endpoint *e, ist_u64 now, void *dst, struct ist_frame *f)
{
    struct record r;
    enum ist_verdict v = judge(e, now, &r);
    if (v != IST_V_OK)
        return v;
    v = take(e, dst, &r);
    f->length = r.length;
    f->meta = r.meta;
    return v;
}

void ist_drop(struct ist_endpoint *e, enum ist_verdict why)
{
    if (e->rx.length != 0)
        (void)refuse(e, why, ist_record_size(e->rx.length, e->config.tag));
}

int ist_release(struct ist_endpoint *e)
{
    struct ist_rx *rx = &e->rx;
    const ist_u32 before = rx->published;
    if (rx->tail == before)
        return 0;
    rx->published = rx->tail;
    ist_store_release(rx->own, IST_CTL_TAIL, rx->tail);
    if ((e->agreed & IST_FEATURE_SLEEPER_FENCE) == 0)
        ist_fence();
    else
        IST_COMPILER_BARRIER();
    return ist_wake_wanted(ist_load(rx->peer, IST_CTL_WAKE_TX), before, rx->tail);
}

int ist_rx_bell(struct ist_endpoint *e)
{
    ist_u32 bell = e->rx.bell;
    e->rx.bell = 0;
    return bell != 0;
}

int ist_arm(struct ist_endpoint *e, int fence)
{
    struct ist_rx *rx = &e->rx;
    rx->bell |= (ist_u32)ist_release(e);
    ist_store(rx->own, IST_CTL_WAKE_RX, rx->tail | IST_WAKE_ARMED);
    if (fence)
        ist_fence(); /* the request must be visible before the head is looked at */
    else
        IST_COMPILER_BARRIER();
    return ist_pending(e);
}

int ist_pending(const struct ist_endpoint *e)
{
    const struct ist_rx *rx = &e->rx;
    return ist_load(rx->peer, IST_CTL_HEAD) != rx->tail || ist_state_get(e) != IST_RUN;
}

void ist_disarm(struct ist_endpoint *e)
{
    ist_store(e->rx.own, IST_CTL_WAKE_RX, 0);
}
