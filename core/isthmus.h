/* SPDX-License-Identifier: MIT OR GPL-2.0 */
/* isthmus.h - one world's endpoint on a channel.
 *
 * The core has no libc, no allocation, no clock and no global state. Time is the argument `now`, in any unit that
 * the configuration's intervals share. All state is in the caller's struct ist_endpoint; two endpoints share nothing.
 *
 * Threads: one sender and one receiver may run at once, each alone in its half (struct ist_tx, struct ist_rx).
 * ist_begin, ist_end, ist_attach and ist_poll belong to one of them, or to a third that excludes both.
 *
 * How a frame travels:
 *   sender    ist_reserve -> write in place or ist_append* -> ist_commit ... -> ist_publish -> ring the bell if told
 *   receiver  ist_peek (validated length) -> ist_take (copies once, then checks the copy) ... -> ist_arm before sleep
 *             or ist_receive, which is both
 */
#ifndef ISTHMUS_H
#define ISTHMUS_H

#include "abi.h"

typedef __UINT8_TYPE__ ist_u8;
typedef __UINT16_TYPE__ ist_u16;
typedef __UINT32_TYPE__ ist_u32;
typedef __UINT64_TYPE__ ist_u64;
typedef __SIZE_TYPE__ ist_size;

/* What both worlds must agree on comes first (it enters the digest); the rest is one side's own. */
struct ist_config {
    ist_u32 ring_bytes[2];  /* by the sender's role: IST_NORMAL, IST_SECURE */
    ist_u32 frame_max;      /* largest frame in bytes, without trailer */
    ist_u32 tag;            /* enum ist_tag */
    ist_u32 first_cursor;   /* where cursors start in each epoch; tests start them just below the wrap */
    ist_u64 first_sequence; /* likewise the sequence */
    ist_u32 mtu;            /* compared on its own, so that a mismatch is named */
    ist_u32 role;           /* enum ist_role: which side this is */
    ist_u32 features;       /* offered */
    ist_u32 required;       /* the peer must offer these */
    ist_u64 silence;        /* peer is silent after so long without a heartbeat, in at least 4 looks; 0 = never */
    ist_u64 budget_interval; /* GCRA emission interval per received frame; 0 = no budget */
    ist_u64 budget_tolerance; /* GCRA tolerance: how far ahead a burst may run */
};

/* Offload fields of a frame, all zero where there are none. */
struct ist_meta {
    ist_u16 flags; /* IST_FLAG_* */
    ist_u16 segment;
    ist_u16 csum_start;
    ist_u16 csum_offset;
};

/* GCRA: a frame is within the budget if it comes no earlier than `due` - tolerance. No division, no rounding gift. */
struct ist_limit {
    ist_u64 interval, tolerance, due;
};

/* SipHash-2-4-128 or CRC-32C, fed in pieces. */
struct ist_tagger {
    ist_u64 v[4];
    ist_u64 residue; /* bytes not yet a whole word, low first */
    ist_u64 length;
    ist_u32 crc;
    ist_u32 kind;
};

/* An architecture may fill this in: copy n bytes and continue the CRC-32C over them. NULL = the portable one. */
typedef ist_u32 (*ist_copy_crc_fn)(void *dst, const void *src, ist_size n, ist_u32 crc);

struct ist_tx {
    ist_u8 *own;           /* our buffer; we alone write it */
    const ist_u8 *peer;    /* the peer's; read through shared.h only */
    ist_u32 ring;          /* bytes of our ring, from the configuration */
    ist_u32 head;          /* behind the last committed record */
    ist_u32 published;     /* what the peer has been told */
    ist_u32 tail;          /* the peer's cursor as last seen and checked */
    ist_u32 open;          /* bytes of payload reserved; 0 = no reservation */
    ist_u32 filled;        /* bytes appended so far */
    ist_u32 bell;          /* the peer wants a doorbell */
    ist_u64 sequence;      /* of the next frame */
    ist_u64 bytes;
    struct ist_meta meta;
    struct ist_tagger tagger;
};

struct ist_filter;

struct ist_rx {
    ist_u8 *own;
    const ist_u8 *peer;
    ist_u32 ring;      /* bytes of the peer's ring */
    ist_u32 tail;      /* behind the last record we are done with */
    ist_u32 published; /* what the peer has been told */
    ist_u32 head;      /* the peer's cursor as last seen and checked */
    ist_u32 length;    /* of the record in hand; 0 = none */
    ist_u32 bell;
    ist_u32 slack;     /* how much further ahead than the ring holds a sequence may run: more after a refusal */
    ist_u32 gap;       /* frames that are missing before the record in hand */
    ist_u64 expected;  /* sequence of the next frame */
    ist_u64 lost;      /* sum of accepted gaps */
    ist_u64 bytes;
    struct ist_meta meta;
    struct ist_limit budget;
    ist_u64 now;       /* of the frame in hand: the filter's rates need it */
};

struct ist_endpoint {
    struct ist_config config;
    ist_u32 state;      /* enum ist_state; atomically read by both halves */
    ist_u32 reason;     /* verdict that ended or keeps down the session */
    ist_u32 agreed;     /* features that both offer, fixed at READY */
    ist_u32 peer_beat;
    ist_u32 beat;
    ist_u64 epoch;
    ist_u64 quiet;      /* for how long we have looked since the peer's heartbeat last moved */
    ist_u64 looked;     /* `now` of our last look at it */
    ist_u64 key[2];
    ist_copy_crc_fn copy_crc;
    struct ist_filter *filter; /* judges every frame received (filter.h); NULL: none. Set between ist_init and ist_begin */
    struct ist_tx tx;
    struct ist_rx rx;
    ist_u64 count[IST_VERDICT_COUNT];  /* received verdicts, violations, session ends */
    ist_u64 sent;       /* frames committed; with count[FULL] and count[TOO_LONG] the sender's counters */
};

/* ---- configuration (no endpoint needed) ------------------------------------------------------------------- */

/* OK, or the verdict that names the mistake. */
enum ist_verdict ist_config_check(const struct ist_config *c);
/* Bytes of the buffer that `role` owns. Requires a checked configuration. */
ist_u32 ist_buffer_size(const struct ist_config *c, ist_u32 role);
ist_u64 ist_config_digest(const struct ist_config *c);
const char *ist_verdict_name(ist_u32 verdict); /* "OK", "EMPTY", ...; "?" outside the table */

/* ---- session ---------------------------------------------------------------------------------------------- */

/* Prepares an endpoint over its own buffer; publishes RESET in it. Returns ist_config_check(). */
enum ist_verdict ist_init(struct ist_endpoint *e, const struct ist_config *c, void *own, const void *peer);
/* Another buffer of the peer's (it restarted with fresh memory). Only between ist_end and ist_begin. */
void ist_attach(struct ist_endpoint *e, const void *peer);
/* Enters an epoch: clears our control words, then publishes our identity and INIT. From any state. */
void ist_begin(struct ist_endpoint *e, ist_u64 epoch, const ist_u64 key[2], ist_u64 now);
/* Leaves it: publishes RESET, or keeps DEAD. `reason` is what ist_endpoint.reason then says. */
void ist_end(struct ist_endpoint *e, enum ist_verdict reason);
/* One step of the handshake and the heartbeat; at most IST_POLL_LOADS loads of the peer's memory. Returns the state. */
enum ist_state ist_poll(struct ist_endpoint *e, ist_u64 now);
enum ist_state ist_link_state(const struct ist_endpoint *e);

#define IST_POLL_LOADS 8u /* state, epoch 2, digest 2, mtu, features, beat */
#define IST_PEEK_LOADS 6u /* head, 4 record words, wake where it tells the peer; on a violation head, state */
#define IST_TAKE_LOADS 5u /* 4 trailer words, wake */
#define IST_SEND_LOADS 3u /* tail at reserve, wake at publish; on a violation the state word */

/* ---- send ------------------------------------------------------------------------------------------------- */

/* Room for one frame of `length` bytes (up to frame_max; shorter than IST_FRAME_MIN is padded with zeros).
 * OK, FULL, DOWN, TOO_LONG, MISUSE, or FLAGS or OFFLOAD for a `meta` that its reader would refuse; `meta` may be NULL.
 * A failed or abandoned reservation leaves nothing behind. */
enum ist_verdict ist_reserve(struct ist_endpoint *e, ist_u32 length, const struct ist_meta *meta);
/* Where the reserved payload lies in our own buffer, for writing in place; NULL where a tag is carried, since a tag
 * is computed over bytes as they are copied, never read back. */
void *ist_place(struct ist_endpoint *e);
/* Copies the next n bytes of the reserved frame (and tags them). MISUSE beyond the reserved length. */
enum ist_verdict ist_append(struct ist_endpoint *e, const void *src, ist_u32 n);
/* Ends the record; length may be shorter than reserved where ist_place was used, else what was appended.
 * The peer sees it at the next ist_publish, and what was written behind `length` at once: who wrote there clears it. */
enum ist_verdict ist_commit(struct ist_endpoint *e, ist_u32 length);
void ist_cancel(struct ist_endpoint *e);
/* Publishes all committed records. True: ring the peer's doorbell. */
int ist_publish(struct ist_endpoint *e);
/* ist_reserve + ist_append + ist_commit, without publishing. */
enum ist_verdict ist_send(struct ist_endpoint *e, const void *frame, ist_u32 length, const struct ist_meta *meta);
/* Largest frame that fits now without waiting; 0 = none. */
ist_u32 ist_room(struct ist_endpoint *e);
/* Asks for a doorbell once the peer has consumed half of what is in flight. True: there is room for `length` already. */
int ist_arm_tx(struct ist_endpoint *e, ist_u32 length);

/* ---- receive (the guard) ------------------------------------------------------------------------------------ */

struct ist_frame {
    ist_u32 length;
    struct ist_meta meta;
};

/* The next frame's validated length and offload fields. OK: ist_take or ist_drop must follow. EMPTY, DOWN, or BUDGET
 * (nothing consumed: come back later). Every other verdict is a refusal, already counted and consumed: call again.
 * Loads each control word once. */
enum ist_verdict ist_peek(struct ist_endpoint *e, ist_u64 now, struct ist_frame *f);
/* Copies the frame in hand to dst (f.length bytes), then checks the copy. OK, TAG, or what the filter says (filter.h);
 * consumed either way. */
enum ist_verdict ist_take(struct ist_endpoint *e, void *dst);
/* Both in one, for who has room for any frame: dst takes up to config.frame_max bytes. Verdicts of either. */
enum ist_verdict ist_receive(struct ist_endpoint *e, ist_u64 now, void *dst, struct ist_frame *f);
/* Consumes the frame in hand without reading it; counts `why` (NO_BUFFER, FILTER, ...). */
void ist_drop(struct ist_endpoint *e, enum ist_verdict why);
/* Tells the peer what we have consumed. True: ring its doorbell (it waits for room). ist_peek does this by itself when
 * it runs empty, and ist_take when a quarter of the ring is consumed; ist_rx_bell() then holds the answer. */
int ist_release(struct ist_endpoint *e);
/* Returns and clears "ring the peer's doorbell", as left by the receive half. */
int ist_rx_bell(struct ist_endpoint *e);
/* Asks for a doorbell at the next frame. True: work is already pending, do not sleep. `fence` 1: full barrier here;
 * 0: the caller makes the peer pass one (membarrier) and then asks ist_pending. */
int ist_arm(struct ist_endpoint *e, int fence);
/* The peer's head differs from our tail, or the link is not in RUN. One load; trusts nothing. */
int ist_pending(const struct ist_endpoint *e);
void ist_disarm(struct ist_endpoint *e);

/* ---- pieces with a use of their own ------------------------------------------------------------------------- */

/* GCRA: true if `cost` (in units of the interval: 1 frame = interval) may pass at `now`. */
int ist_limit_take(struct ist_limit *l, ist_u64 now, ist_u64 cost);

void ist_tag_start(struct ist_tagger *t, ist_u32 kind, const ist_u64 key[2]);
void ist_tag_feed(struct ist_tagger *t, const void *data, ist_size n);
/* Copies and tags in one pass. copy_crc may be NULL. */
void ist_tag_copy(struct ist_tagger *t, void *dst, const void *src, ist_size n, ist_copy_crc_fn copy_crc);
void ist_tag_finish(struct ist_tagger *t, ist_u64 out[2]);
ist_u32 ist_crc32c(ist_u32 crc, const void *data, ist_size n);

#endif
