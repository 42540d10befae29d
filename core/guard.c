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

static IST_APART enum ist_verdict tell(struct ist_endpoint *e, enum ist_verdict v)
{
    e->rx.bell |= (ist_u32)ist_release(e);
    return v;
}

static IST_COLD enum ist_verdict impossible(struct ist_endpoint *e, enum ist_verdict why)
{
    ist_violation(e, why);
    return why;
}

/* All that was seen is consumed: loads the peer's head once and takes it over if it is possible. OK, EMPTY or why not. */
IST_HOT enum ist_verdict refresh_head(struct ist_endpoint *e)
{
    struct ist_rx *rx = &e->rx;
    const ist_u32 head = ist_load_acquire(rx->peer, IST_CTL_HEAD), tail = rx->tail;
    const enum ist_verdict v = ist_check_head(head, tail, tail, rx->ring);
    if (v != IST_V_OK)
        return impossible(e, v);
    if (head == tail)
        return rx->published != tail ? tell(e, IST_V_EMPTY) : IST_V_EMPTY;
    rx->head = head;
    return IST_V_OK;
}

/* Moves our cursor past `size` bytes; the peer is told a quarter of the ring at a time. Returns v, for who is done. */
IST_HOT enum ist_verdict consume(struct ist_endpoint *e, ist_u32 size, enum ist_verdict v)
{
    struct ist_rx *rx = &e->rx;
    const ist_u32 tail = rx->tail + size;
    rx->tail = tail;
    return tail - rx->published >= rx->ring / 4u ? tell(e, v) : v;
}

static IST_COLD enum ist_verdict refuse(struct ist_endpoint *e, enum ist_verdict why, ist_u32 size)
{
    struct ist_rx *rx = &e->rx;
    e->count[why]++;
    rx->slack += rx->slack < 1u << 30; /* a frame we refused leaves a gap that is not the sender's */
    return consume(e, size, why);
}

/* What judge() said no to. A record whose length lies cannot be stepped over: everything published so far is skipped. The
 * next frame that the peer publishes starts at its head, so a peer that means well recovers by itself. */
static IST_COLD enum ist_verdict skip(struct ist_endpoint *e, enum ist_verdict why, ist_u32 size)
{
    struct ist_rx *rx = &e->rx;
    if (why <= IST_V_LENGTH_OVERRUN) {
        size = rx->head - rx->tail;
        if (rx->slack < 1u << 30)
            rx->slack += size / IST_ROUND(IST_REC_PAYLOAD + IST_FRAME_MIN);
    }
    return refuse(e, why, size);
}

/* The next record: where it lies in the peer's buffer, and its header, in values that were each loaded once. */
struct record {
    const ist_u8 *at;
    ist_u32 length, low, flags, csum;
};

static inline const ist_u8 *record_at(const struct ist_rx *rx)
{
    return rx->peer + ist_record_at(rx->tail, rx->ring);
}

static inline struct record load_record(const struct ist_rx *rx)
{
    const ist_u8 *at = record_at(rx);
    const ist_u32 length = ist_load(at, IST_REC_LENGTH);
    const ist_u32 low = ist_load(at, IST_REC_SEQUENCE);
    const ist_u32 flags = ist_load(at, IST_REC_FLAGS);
    const ist_u32 csum = ist_load(at, IST_REC_CSUM);
    return (struct record){at, length, low, flags, csum};
}

/* A record that was judged. */
struct judged {
    const ist_u8 *at;
    ist_u32 length, size, gap;
    struct ist_meta meta;
};

/* Is there a record to look at? OK, EMPTY, DOWN, BUDGET or MISUSE. */
IST_HOT enum ist_verdict ready(struct ist_endpoint *e, ist_u64 now)
{
    struct ist_rx *rx = &e->rx;
    if (rx->length != 0)
        return IST_V_MISUSE;
    if (ist_state_get(e) != IST_RUN)
        return IST_V_DOWN;
    if (rx->head == rx->tail) {
        const enum ist_verdict v = refresh_head(e);
        if (v != IST_V_OK)
            return v;
    }
    /* A refused frame costs as much as a good one: the budget is spent before anything is judged. */
    if (rx->budget.interval != 0 && !ist_limit_take(&rx->budget, now, rx->budget.interval)) {
        e->count[IST_V_BUDGET]++;
        return IST_V_BUDGET;
    }
    return IST_V_OK;
}

/* Values alone: nothing is loaded here, and nothing moves. OK leaves the rest in *j; where the length holds, the size. */
IST_HOT enum ist_verdict judge(const struct ist_endpoint *e, struct record r, ist_u32 tag, struct judged *j)
{
    const struct ist_rx *rx = &e->rx;
    enum ist_verdict v = ist_check_length(r.length, e->config.frame_max, tag, rx->head - rx->tail, &j->size);
    if (v != IST_V_OK)
        return v;
    *(ist_w64 *)(void *)&j->meta = r.flags | (ist_u64)r.csum << 32; /* the header's words lie as the struct does */
    if ((r.flags | r.csum) != 0) {
        v = ist_check_meta(&j->meta, r.length, e->agreed, tag);
        if (v != IST_V_OK)
            return v;
    }
    v = ist_check_sequence(r.low, rx->expected, ist_rx_slack(rx->ring) + rx->slack, &j->gap);
    j->at = r.at;
    j->length = r.length;
    return v;
}

/* Copies and tags in one pass, then compares with the trailer, whose words are each loaded once. */
static __attribute__((__noinline__)) enum ist_verdict take_tagged(struct ist_endpoint *e, void *dst, const struct judged *j)
{
    struct ist_tagger t;
    ist_u64 tag[2];
    ist_tag_start(&t, e->config.tag, e->key);
    ist_tag_copy(&t, dst, j->at + IST_REC_PAYLOAD, j->length, e->copy_crc);
    ist_tag_seal(&t, e->epoch, e->config.role ^ 1u, e->rx.expected + j->gap, j->length, &j->meta, e->copy_crc, tag);
    ist_u32 differs = 0;
    const ist_u32 trailer = IST_ROUND(IST_REC_PAYLOAD + j->length);
    for (ist_u32 i = 0; i < 4; i++) /* no early exit: the time says nothing about how much matched */
        differs |= ist_load(j->at, trailer + 4 * i) ^ (ist_u32)(tag[i / 2] >> (32 * (i % 2)));
    return differs == 0 ? IST_V_OK : IST_V_TAG;
}

/* Copies the judged record once, checks the copy, and is done with the record either way. */
IST_HOT enum ist_verdict take(struct ist_endpoint *e, ist_u64 now, void *dst, const struct judged *j, ist_u32 tag,
                              struct ist_filter *filter)
{
    struct ist_rx *rx = &e->rx;
    if (tag == IST_TAG_NONE)
        ist_copy_in(dst, j->at + IST_REC_PAYLOAD, j->length);
    else if (take_tagged(e, dst, j) != IST_V_OK)
        return refuse(e, IST_V_TAG, j->size);

    rx->lost += j->gap;
    rx->expected += 1u + (ist_u64)j->gap;
    rx->slack = 0;
    if (filter) {
        const enum ist_verdict v = ist_filter_judge(filter, dst, j->length, &j->meta, now);
        if (v != IST_V_OK) {
            e->count[v]++; /* it came in its turn: no gap is left behind */
            return consume(e, j->size, v);
        }
    }
    rx->bytes += j->length;
    e->count[IST_V_OK]++;
    return consume(e, j->size, IST_V_OK);
}

/* The next record, judged. Any verdict but OK and those of ready() is a refusal, counted and consumed. */
IST_HOT enum ist_verdict next(struct ist_endpoint *e, ist_u64 now, struct judged *j)
{
    enum ist_verdict v = ready(e, now);
    if (v != IST_V_OK)
        return v;
    v = judge(e, load_record(&e->rx), e->config.tag, j);
    return v == IST_V_OK ? v : skip(e, v, j->size);
}

enum ist_verdict ist_peek(struct ist_endpoint *e, ist_u64 now, struct ist_frame *f)
{
    struct ist_rx *rx = &e->rx;
    struct judged j;
    const enum ist_verdict v = next(e, now, &j);
    if (v != IST_V_OK)
        return v;
    rx->length = f->length = j.length;
    rx->gap = j.gap;
    rx->meta = f->meta = j.meta;
    rx->now = now;
    return IST_V_OK;
}

enum ist_verdict ist_take(struct ist_endpoint *e, void *dst)
{
    struct ist_rx *rx = &e->rx;
    const ist_u32 length = rx->length;
    if (length == 0)
        return IST_V_MISUSE;
    const ist_u32 tag = e->config.tag;
    const struct judged j = {record_at(rx), length, ist_record_size(length, tag), rx->gap, rx->meta};
    rx->length = 0;
    return take(e, rx->now, dst, &j, tag, e->filter);
}

static IST_APART enum ist_verdict receive(struct ist_endpoint *e, ist_u64 now, void *dst, struct ist_frame *f)
{
    struct judged j;
    const enum ist_verdict v = next(e, now, &j);
    if (v != IST_V_OK)
        return v;
    f->length = j.length;
    f->meta = j.meta;
    return take(e, now, dst, &j, e->config.tag, e->filter);
}

#ifdef __OPTIMIZE_SIZE__
enum ist_verdict ist_receive(struct ist_endpoint *e, ist_u64 now, void *dst, struct ist_frame *f)
{
    return receive(e, now, dst, f);
}
#else
/* Goes on with a record that was loaded already. */
static IST_COLD enum ist_verdict receive_loaded(struct ist_endpoint *e, ist_u64 now, void *dst, struct ist_frame *f,
                                                struct record r)
{
    struct judged j;
    const enum ist_verdict v = judge(e, r, e->config.tag, &j);
    if (v != IST_V_OK)
        return skip(e, v, j.size);
    f->length = j.length;
    f->meta = j.meta;
    return take(e, now, dst, &j, e->config.tag, e->filter);
}

/* The next frame that asks for none of the longer judgements takes a way on which nothing is called, so that no register is
 * saved for it, nor for finding that there is none. It is judged the same; what is not plain leaves, with what was loaded. */
enum ist_verdict ist_receive(struct ist_endpoint *e, ist_u64 now, void *dst, struct ist_frame *f)
{
    const struct ist_rx *rx = &e->rx;
    if (rx->length != 0 || ist_state_get(e) != IST_RUN || rx->budget.interval != 0 || e->config.tag != IST_TAG_NONE || e->filter)
        return receive(e, now, dst, f);
    if (rx->head == rx->tail) {
        const enum ist_verdict v = refresh_head(e);
        if (v != IST_V_OK)
            return v;
    }
    const struct record r = load_record(rx);
    struct judged j;
    if ((r.flags | r.csum) != 0 || r.low != (ist_u32)rx->expected || judge(e, r, IST_TAG_NONE, &j) != IST_V_OK)
        return receive_loaded(e, now, dst, f, (struct record){r.at, r.length, r.low, r.flags, r.csum}); /* made here alone */
    f->length = j.length;
    f->meta = (struct ist_meta){0, 0, 0, 0};
    return take(e, now, dst, &j, IST_TAG_NONE, 0);
}
#endif

void ist_drop(struct ist_endpoint *e, enum ist_verdict why)
{
    const ist_u32 length = e->rx.length;
    e->rx.length = 0;
    if (length != 0)
        (void)refuse(e, why, ist_record_size(length, e->config.tag));
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
