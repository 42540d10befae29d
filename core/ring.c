/* SPDX-License-Identifier: MIT OR GPL-2.0 */
/* ring.c - the sending half: reserve room, write, commit, publish. Everything written here lies in our own buffer. */
#include "check.h"
#include "inner.h"
#include "shared.h"

/* Where the next record goes. */
static ist_u8 *record_of(struct ist_endpoint *e)
{
    return e->tx.own + ist_record_at(e->tx.head, e->tx.ring);
}

static ist_u8 *payload_of(struct ist_endpoint *e)
{
    return record_of(e) + IST_REC_PAYLOAD;
}

static ist_u32 free_bytes(const struct ist_tx *tx)
{
    return tx->ring - (tx->head - tx->tail);
}

static inline ist_u32 padded(ist_u32 length)
{
    return length < IST_FRAME_MIN ? IST_FRAME_MIN : length;
}

/* Loads the peer's tail once and takes it over if it is possible. */
static enum ist_verdict refresh_tail(struct ist_endpoint *e)
{
    struct ist_tx *tx = &e->tx;
    ist_u32 tail = ist_load_acquire(tx->peer, IST_CTL_TAIL);
    enum ist_verdict v = ist_check_tail(tail, tx->tail, tx->published);
    if (v != IST_V_OK)
        ist_violation(e, v);
    else
        tx->tail = tail;
    return v;
}

/* May a frame of `length` bytes be sent now? OK leaves its record's size in *size. */
IST_HOT enum ist_verdict admit(struct ist_endpoint *e, ist_u32 length, const struct ist_meta *meta, ist_u32 *size)
{
    struct ist_tx *tx = &e->tx;
    const struct ist_config *c = &e->config;
    if (tx->open != 0 || length == 0)
        return IST_V_MISUSE;
    if (ist_state_get(e) != IST_RUN) {
        e->count[IST_V_DOWN]++;
        return IST_V_DOWN;
    }
    if (length > c->frame_max) {
        e->count[IST_V_TOO_LONG]++;
        return IST_V_TOO_LONG;
    }
    *size = ist_record_size(padded(length), c->tag);
    if (*size > free_bytes(tx)) {
        if (refresh_tail(e) != IST_V_OK)
            return IST_V_DOWN;
        if (*size > free_bytes(tx)) {
            e->count[IST_V_FULL]++;
            return IST_V_FULL;
        }
    }
    return meta ? ist_check_meta(meta, padded(length), e->agreed, c->tag) : IST_V_OK;
}

enum ist_verdict ist_reserve(struct ist_endpoint *e, ist_u32 length, const struct ist_meta *meta)
{
    struct ist_tx *tx = &e->tx;
    ist_u32 size;
    enum ist_verdict v = admit(e, length, meta, &size);
    if (v != IST_V_OK)
        return v;
    tx->meta = meta ? *meta : (struct ist_meta){0, 0, 0, 0};
    tx->open = padded(length); /* and nothing is filled, as whenever nothing was open */
    if (e->config.tag != IST_TAG_NONE)
        ist_tag_start(&tx->tagger, e->config.tag, e->key);
    return IST_V_OK;
}

void *ist_place(struct ist_endpoint *e)
{
    return e->tx.open != 0 && e->config.tag == IST_TAG_NONE ? payload_of(e) : (void *)0;
}

enum ist_verdict ist_append(struct ist_endpoint *e, const void *src, ist_u32 n)
{
    struct ist_tx *tx = &e->tx;
    if (n > tx->open - tx->filled) /* open = 0 leaves no room either */
        return IST_V_MISUSE;
    ist_u8 *to = payload_of(e) + tx->filled;
    if (e->config.tag == IST_TAG_NONE)
        ist_copy_out(to, src, n);
    else
        ist_tag_copy(&tx->tagger, to, src, n, e->copy_crc);
    tx->filled += n;
    return IST_V_OK;
}

static __attribute__((__noinline__)) void write_trailer(struct ist_endpoint *e, ist_u8 *record, ist_u32 length, ist_u32 full,
                                                    const struct ist_meta *m)
{
    struct ist_tx *tx = &e->tx;
    ist_u64 tag[2];
    for (; length < full; length++)
        ist_tag_feed(&tx->tagger, "", 1);
    ist_tag_seal(&tx->tagger, e->epoch, e->config.role, tx->sequence, full, m, e->copy_crc, tag);
    for (ist_u32 i = 0; i < 4; i++)
        ist_store(record, IST_ROUND(IST_REC_PAYLOAD + full) + 4 * i, (ist_u32)(tag[i / 2] >> (32 * (i % 2))));
}

/* Writes what surrounds `length` bytes of payload that are in place, and moves the cursor behind the record.
 * Zeros from the end of the frame to the end of its record: neither padding nor slack ever carries old contents. */
IST_HOT void finish(struct ist_endpoint *e, ist_u8 *record, ist_u32 length, ist_u32 tag, const struct ist_meta *m)
{
    struct ist_tx *tx = &e->tx;
    const ist_u32 full = padded(length);
    const ist_u64 sequence = tx->sequence;
    if ((length & (IST_ALIGN - 1u)) != 0 || full != length)
        ist_zero(record + IST_REC_PAYLOAD + length, IST_ROUND(full) - length);
    *(ist_w64 *)(void *)(record + IST_REC_LENGTH) = full | sequence << 32;
    *(ist_w64 *)(void *)(record + IST_REC_FLAGS) = *(const ist_w64 *)(const void *)m; /* its words lie as the struct does */
    if (tag != IST_TAG_NONE)
        write_trailer(e, record, length, full, m);
    tx->head += ist_record_size(full, tag);
    tx->sequence = sequence + 1;
    tx->bytes += full;
    e->sent++;
}

enum ist_verdict ist_commit(struct ist_endpoint *e, ist_u32 length)
{
    struct ist_tx *tx = &e->tx;
    /* Appended frames end where they were filled; where a tag is carried there is no other way to fill one. */
    if (length == 0 || length > tx->open || /* open = 0 leaves no length either */
        ((e->config.tag != IST_TAG_NONE || tx->filled != 0) && length != tx->filled))
        return IST_V_MISUSE;
    finish(e, record_of(e), length, e->config.tag, &tx->meta);
    tx->open = tx->filled = 0; /* both: ist_append has open - filled bytes of room */
    return IST_V_OK;
}

void ist_cancel(struct ist_endpoint *e)
{
    struct ist_tx *tx = &e->tx;
    if (tx->open != 0) /* what was written must not wait there for a shorter frame's reader */
        ist_zero(payload_of(e), tx->open);
    tx->open = tx->filled = 0;
}

int ist_publish(struct ist_endpoint *e)
{
    struct ist_tx *tx = &e->tx;
    const ist_u32 before = tx->published;
    if (tx->head == before || ist_state_get(e) != IST_RUN)
        return 0;
    tx->published = tx->head;
    ist_store_release(tx->own, IST_CTL_HEAD, tx->head);
    if ((e->agreed & IST_FEATURE_SLEEPER_FENCE) == 0)
        ist_fence(); /* the head must be visible before the wake word is looked at */
    else
        IST_COMPILER_BARRIER(); /* the sleeper makes us pass a barrier instead */
    return ist_wake_wanted(ist_load(tx->peer, IST_CTL_WAKE_RX), before, tx->head);
}

static const struct ist_meta plain = {0, 0, 0, 0};

static IST_APART enum ist_verdict send(struct ist_endpoint *e, const void *frame, ist_u32 length, const struct ist_meta *meta)
{
    struct ist_tx *tx = &e->tx;
    ist_u32 size;
    const enum ist_verdict v = admit(e, length, meta, &size);
    if (v != IST_V_OK)
        return v;
    ist_u8 *record = record_of(e);
    const ist_u32 tag = e->config.tag;
    if (tag == IST_TAG_NONE) {
        ist_copy_out(record + IST_REC_PAYLOAD, frame, length);
    } else {
        ist_tag_start(&tx->tagger, tag, e->key);
        ist_tag_copy(&tx->tagger, record + IST_REC_PAYLOAD, frame, length, e->copy_crc);
    }
    finish(e, record, length, tag, meta ? meta : &plain);
    return IST_V_OK;
}

enum ist_verdict ist_send(struct ist_endpoint *e, const void *frame, ist_u32 length, const struct ist_meta *meta)
{
#ifndef __OPTIMIZE_SIZE__
    /* A plain frame that fits takes a way on which nothing is called, so that no register is saved for it. */
    struct ist_tx *tx = &e->tx;
    if (tx->open == 0 && length >= IST_FRAME_MIN && ist_state_get(e) == IST_RUN && length <= e->config.frame_max && !meta &&
        e->config.tag == IST_TAG_NONE && ist_record_size(length, IST_TAG_NONE) <= free_bytes(tx)) {
        ist_u8 *record = record_of(e);
        ist_copy_out(record + IST_REC_PAYLOAD, frame, length);
        finish(e, record, length, IST_TAG_NONE, &plain);
        return IST_V_OK;
    }
#endif
    return send(e, frame, length, meta);
}

ist_u32 ist_room(struct ist_endpoint *e)
{
    const struct ist_config *c = &e->config;
    const ist_u32 overhead = ist_record_size(0, c->tag);
    if (ist_state_get(e) != IST_RUN || refresh_tail(e) != IST_V_OK)
        return 0;
    ist_u32 bytes = free_bytes(&e->tx);
    if (bytes < ist_record_size(IST_FRAME_MIN, c->tag))
        return 0;
    return bytes - overhead < c->frame_max ? bytes - overhead : c->frame_max;
}

int ist_arm_tx(struct ist_endpoint *e, ist_u32 length)
{
    struct ist_tx *tx = &e->tx;
    const ist_u32 need = ist_record_size(length < IST_FRAME_MIN ? IST_FRAME_MIN : length, e->config.tag);
    /* Room for `length` comes when the peer's tail reaches `enough`; half of what is in flight saves doorbells. */
    const ist_u32 enough = need - free_bytes(&e->tx);
    const ist_u32 half = (tx->head - tx->tail) / 2u & ~(IST_ALIGN - 1u);
    if (need <= free_bytes(&e->tx))
        return 1;
    ist_u32 event = tx->tail + (half > enough ? half : enough) - IST_ALIGN;
    ist_store(tx->own, IST_CTL_WAKE_TX, event | IST_WAKE_ARMED);
    ist_fence();
    return ist_room(e) >= length || ist_state_get(e) != IST_RUN;
}
