/* SPDX-License-Identifier: MIT */
/* stage.h - an endpoint and its hostile peer. The peer is an honest endpoint whose buffer is changed behind its back:
 * the hook in core/shared.h sits in every load and copy that our endpoint (`me`) makes, counts it, holds it to the
 * bounds, and lets `hostile` change any byte just before.
 *
 * The peer's buffer is mapped twice. `me` sees it read-only, its last byte before an inaccessible page and (with the
 * address sanitizer) its first byte behind poisoned ones; our own buffer is a heap block of exactly its size. */
#ifndef ISTHMUS_TESTS_STAGE_H
#define ISTHMUS_TESTS_STAGE_H

#include <sys/mman.h>
#include <unistd.h>

#include "harness.h"

#ifdef __has_feature
#if __has_feature(address_sanitizer)
#define STAGE_ASAN 1
#endif
#endif
#ifdef __SANITIZE_ADDRESS__
#define STAGE_ASAN 1
#endif
#ifdef STAGE_ASAN
#include <sanitizer/asan_interface.h>
#include <sanitizer/common_interface_defs.h>
#endif

enum { ME = IST_SECURE, PEER = IST_NORMAL, PAGE = 4096, FRAMES_MAX = 512 };

/* What may be loaded of the peer's memory in one call; isthmus.h states the first three. */
enum {
    LOADS_NONE = 0,
    LOADS_POLL = IST_POLL_LOADS,
    LOADS_PEEK = IST_PEEK_LOADS,
    LOADS_TAKE = IST_TAKE_LOADS,
    LOADS_SEND = IST_SEND_LOADS,
    LOADS_RESERVE = 2, /* tail, and the state where the tail is impossible */
    LOADS_PUBLISH = 1, /* wake */
    LOADS_ROOM = 2,
    LOADS_RELEASE = 1, /* wake */
    LOADS_ARM = 2,     /* wake, head */
    LOADS_PENDING = 1,
};

static struct stage {
    struct ist_config config;
    ist_u64 now, epoch, key[2];
    struct ist_endpoint me, peer;
    ist_u8 *own, *theirs; /* ours, exact; the peer's as it sees it itself */
    const ist_u8 *view;   /* the peer's as we see it */
    ist_u32 own_size, peer_size;
    ist_u64 next_id, last_id; /* frames of the peer's: to be sent next, delivered last */
    ist_u32 length_of[FRAMES_MAX];
    int delivered; /* frames since the case began */
    int exact;     /* every frame delivered must be one that was sent: tagged, or no record was changed */
    int tail_lied; /* the peer's tail was ahead of the peer: what it has yet to read may be overwritten */
} stage;

static struct tap {
    int on; /* our endpoint is running, not the peer's */
    const char *call;
    ist_u32 limit, loads, seen[16]; /* of this call */
    ist_u32 copy_at, copy_bytes;
    ist_u32 events; /* loads and copies since the case began */
    ist_u32 moved;  /* the counter that moved in the call, or IST_VERDICT_COUNT */
} tap;

/* Defined by the program: may change the peer's buffer before word or bytes at `offset` are read. A word is then read
 * anew; the program may replace what the load sees. */
static ist_u32 hostile(ist_u32 event, ist_u32 offset, int copy);
static int hostile_replaces; /* hostile() returned the value to be seen */

/* ---- the hook ------------------------------------------------------------------------------------------------- */

ist_u32 ist_test_load(const void *addr, ist_u32 value);
void ist_test_copy(const void *addr, ist_size n);

ist_u32 ist_test_load(const void *addr, ist_u32 value)
{
    if (!tap.on)
        return value;
    ist_size offset = (ist_size)((const ist_u8 *)addr - stage.view);
    if (offset > stage.peer_size - 4 || offset % 4)
        fail_at(__FILE__, __LINE__, "%s loads at offset %zx", tap.call, offset);
    for (ist_u32 i = 0; i < tap.loads; i++)
        if (tap.seen[i] == offset)
            fail_at(__FILE__, __LINE__, "%s loads the word at %zx twice", tap.call, offset);
    if (tap.copy_bytes && offset + 4 > tap.copy_at && offset < tap.copy_at + tap.copy_bytes)
        fail_at(__FILE__, __LINE__, "%s loads the word at %zx out of the bytes it copied", tap.call, offset);
    if (tap.loads == tap.limit)
        fail_at(__FILE__, __LINE__, "%s makes more than %u loads", tap.call, tap.limit);
    tap.seen[tap.loads++] = (ist_u32)offset;
    hostile_replaces = 0;
    ist_u32 replaced = hostile(++tap.events, (ist_u32)offset, 0);
    return hostile_replaces ? replaced : word_get(stage.view, (ist_u32)offset);
}

void ist_test_copy(const void *addr, ist_size n)
{
    if (!tap.on)
        return;
    ist_size own = (ist_size)((const ist_u8 *)addr - stage.own);
    if (own < stage.own_size)
        fail_at(__FILE__, __LINE__, "%s reads back our own buffer at %zx", tap.call, own);
    ist_size offset = (ist_size)((const ist_u8 *)addr - stage.view);
    if (offset >= stage.peer_size) {
        if (offset + n <= stage.peer_size) /* begins before the buffer and ends inside */
            fail_at(__FILE__, __LINE__, "%s copies from before the buffer", tap.call);
        return; /* private bytes */
    }
    if (offset < IST_CONTROL_SIZE || n > stage.peer_size - offset)
        fail_at(__FILE__, __LINE__, "%s copies %zu bytes at %zx", tap.call, n, offset);
    if (tap.copy_bytes)
        fail_at(__FILE__, __LINE__, "%s copies twice", tap.call);
    for (ist_u32 i = 0; i < tap.loads; i++)
        if (tap.seen[i] + 4 > offset && tap.seen[i] < offset + n)
            fail_at(__FILE__, __LINE__, "%s copies the word at %x that it loaded", tap.call, tap.seen[i]);
    tap.copy_at = (ist_u32)offset;
    tap.copy_bytes = (ist_u32)n;
    hostile(++tap.events, (ist_u32)offset, 1);
}

/* ---- what must hold after every call ------------------------------------------------------------------------- */

static ist_u64 counted_before[IST_VERDICT_COUNT];

static void call_begins(const char *call, ist_u32 limit)
{
    tap.call = call;
    tap.limit = limit;
    tap.loads = tap.copy_bytes = 0;
    tap.on = 1;
}

static int is_violation(ist_u32 reason)
{
    return reason >= IST_V_HEAD_RANGE && reason <= IST_V_STATE_WORD;
}

static int is_departure(ist_u32 reason)
{
    return reason >= IST_V_PEER_LEFT && reason <= IST_V_PEER_DEAD;
}

/* At most one counter moves in a call, by one. */
static void find_counted(void)
{
    tap.moved = IST_VERDICT_COUNT;
    if (!memcmp(counted_before, stage.me.count, sizeof counted_before))
        return;
    for (ist_u32 v = 0; v < IST_VERDICT_COUNT; v++)
        if (stage.me.count[v] != counted_before[v]) {
            if (tap.moved != IST_VERDICT_COUNT || stage.me.count[v] != counted_before[v] + 1)
                fail_at(__FILE__, __LINE__, "%s moved more than one counter: %s", tap.call, ist_verdict_name(v));
            tap.moved = v;
            counted_before[v]++;
        }
}

static void call_ends(void)
{
    tap.on = 0;
    const struct ist_endpoint *e = &stage.me;
    const ist_u32 tx_ring = e->config.ring_bytes[ME], rx_ring = e->config.ring_bytes[PEER];
    const struct ist_tx *tx = &e->tx;
    const struct ist_rx *rx = &e->rx;
    CHECK((tx->head | tx->published | tx->tail | rx->head | rx->tail | rx->published) % IST_ALIGN == 0);
    CHECK(tx->head - tx->tail <= tx_ring);
    CHECK(tx->published - tx->tail <= tx->head - tx->tail);
    CHECK(rx->head - rx->tail <= rx_ring);
    CHECK(rx->tail - rx->published <= rx_ring / 4); /* the peer is told a quarter at a time */
    CHECK(rx->length == 0 || (rx->length >= IST_FRAME_MIN && rx->length <= e->config.frame_max));
    CHECK_EQ(word_get(stage.own, IST_CTL_STATE), IST_STATE_WORD((ist_u32)ME, e->state));
    CHECK_EQ(word_get(stage.own, IST_CTL_HEAD), tx->published);
    CHECK_EQ(word_get(stage.own, IST_CTL_TAIL), rx->published);
    switch (e->state) {
    case IST_DEAD: CHECK(is_violation(e->reason)); break;
    case IST_RESET: CHECK(is_departure(e->reason)); break;
    case IST_READY:
    case IST_RUN: CHECK_VERDICT(e->reason, IST_V_OK); break;
    default: CHECK_EQ(e->state, IST_INIT);
    }
    find_counted();
}

#define CALL(call, limit, ...)           \
    do {                                 \
        call_begins(call, limit);        \
        __VA_ARGS__;                     \
        call_ends();                     \
    } while (0)

/* ---- what our endpoint does --------------------------------------------------------------------------------------- */

static ist_u8 *landing; /* frame_max bytes, exactly; frames are taken to its end */

__attribute__((unused)) static void me_begin(void)
{
    CALL("begin", LOADS_NONE, ist_begin(&stage.me, stage.epoch, stage.key, stage.now));
}

__attribute__((unused)) static void me_poll(void)
{
    ist_u32 before = stage.me.state;
    CALL("poll", LOADS_POLL, ist_poll(&stage.me, ++stage.now));
    if (before == IST_RESET || before == IST_DEAD) {
        CHECK_EQ(stage.me.state, before);
        CHECK_EQ(tap.loads, 0);
    }
}

/* A frame was delivered: it is one of the peer's, newer than the last, and whole. */
static void check_delivered(const ist_u8 *frame, ist_u32 length)
{
    static ist_u8 want[65536];
    ist_u64 id;
    memcpy(&id, frame, sizeof id);
    if (id >= stage.next_id || id <= stage.last_id)
        fail_at(__FILE__, __LINE__, "delivered frame %llu after %llu, of %llu sent", (unsigned long long)id,
                (unsigned long long)stage.last_id, (unsigned long long)stage.next_id - 1);
    stage.last_id = id;
    CHECK_EQ(length, stage.length_of[id]);
    pattern_fill(want, length, id);
    memcpy(want, &id, sizeof id);
    CHECK(!memcmp(frame, want, length));
}

/* A frame was copied; `expected`: the sequence before it. */
static enum ist_verdict taken(enum ist_verdict v, const ist_u8 *to, ist_u32 length, ist_u64 expected)
{
    const struct ist_endpoint *e = &stage.me;
    CHECK_VERDICT(tap.moved, v);
    CHECK(v == IST_V_OK || (v == IST_V_TAG && e->config.tag != IST_TAG_NONE));
    CHECK_EQ(tap.copy_bytes, length);
    if (v == IST_V_OK) {
        CHECK(e->rx.expected - 1 - expected < 1u << 31); /* none twice */
        stage.delivered++;
        if (stage.exact)
            check_delivered(to, length);
    }
    return v;
}

/* One look for a frame, and the frame if there is one. */
__attribute__((unused)) static enum ist_verdict me_receive(int drop)
{
    struct ist_frame f = {0, {0, 0, 0, 0}};
    struct ist_endpoint *e = &stage.me;
    const ist_u32 before = e->state;
    const ist_u64 expected = e->rx.expected;
    enum ist_verdict v;
    const int whole = !drop && stage.now % 2; /* peek and take in one call, every other time */
    if (whole)
        CALL("receive", LOADS_PEEK + LOADS_TAKE, v = ist_receive(e, ++stage.now, landing, &f));
    else
        CALL("peek", LOADS_PEEK, v = ist_peek(e, ++stage.now, &f));
    const ist_u32 moved = tap.moved;
    if (whole && (v == IST_V_OK || v == IST_V_TAG))
        return taken(v, landing, f.length, expected);
    switch (v) {
    case IST_V_OK:
        CHECK(before == IST_RUN && f.length >= IST_FRAME_MIN && f.length <= e->config.frame_max);
        CHECK(f.meta.flags == 0 || (e->agreed & IST_FEATURE_OFFLOAD));
        CHECK_EQ(moved, IST_VERDICT_COUNT);
        break;
    case IST_V_EMPTY:
    case IST_V_DOWN:
        CHECK_EQ(moved, IST_VERDICT_COUNT);
        CHECK((before == IST_RUN) == (v == IST_V_EMPTY));
        break;
    default: /* refused: exactly its own counter, or the peer was seen to leave */
        CHECK(v >= IST_V_LENGTH_SHORT && v <= IST_V_HEAD_ALIGN);
        if (e->state == IST_RESET)
            CHECK_VERDICT(moved, IST_V_PEER_LEFT);
        else
            CHECK_VERDICT(moved, v);
        CHECK((e->state == IST_RUN) == !is_violation(v));
    }
    if (v != IST_V_OK)
        return v;
    if (drop) {
        CALL("drop", LOADS_RELEASE, ist_drop(e, IST_V_NO_BUFFER));
        CHECK_VERDICT(tap.moved, IST_V_NO_BUFFER);
        return IST_V_NO_BUFFER;
    }
    ist_u8 *to = landing + e->config.frame_max - f.length;
    CALL("take", LOADS_TAKE, v = ist_take(e, to));
    return taken(v, to, f.length, expected);
}

/* Until nothing is left; every call that is not the last consumes at least one alignment unit of what the peer has
 * published, so there is a bound. */
__attribute__((unused)) static void me_drain(void)
{
    ist_u32 calls = 0;
    enum ist_verdict v;
    do {
        v = me_receive(0);
        CHECK(++calls <= 2 + 2 * stage.me.config.ring_bytes[PEER] / IST_ALIGN);
    } while (v != IST_V_EMPTY && v != IST_V_DOWN && v != IST_V_BUDGET);
}

__attribute__((unused)) static enum ist_verdict me_send(ist_u32 length)
{
    static const ist_u8 frame[65536];
    enum ist_verdict v;
    CALL("reserve", LOADS_RESERVE, v = ist_reserve(&stage.me, length, NULL));
    CHECK(v == IST_V_OK || v == IST_V_DOWN || v == IST_V_FULL);
    if (v != IST_V_OK)
        return v;
    CALL("append", LOADS_NONE, v = ist_append(&stage.me, frame, length));
    CHECK_VERDICT(v, IST_V_OK);
    CALL("commit", LOADS_NONE, v = ist_commit(&stage.me, length));
    CHECK_VERDICT(v, IST_V_OK);
    return v;
}

/* ist_send is the three in one; with the publish it keeps the stated bound for a frame. */
__attribute__((unused)) static void me_send_publish(ist_u32 length)
{
    static const ist_u8 frame[65536];
    CALL("send", LOADS_SEND, (void)ist_send(&stage.me, frame, length, NULL); (void)ist_publish(&stage.me));
}

__attribute__((unused)) static void me_publish(void)
{
    CALL("publish", LOADS_PUBLISH, (void)ist_publish(&stage.me));
}

__attribute__((unused)) static void me_arm(int fence)
{
    int pending;
    CALL("arm", LOADS_ARM, pending = ist_arm(&stage.me, fence));
    CHECK(pending || stage.me.state == IST_RUN); /* nobody sleeps on a dead link */
    CALL("pending", LOADS_PENDING, (void)ist_pending(&stage.me));
}

__attribute__((unused)) static void me_arm_tx(ist_u32 length)
{
    int room;
    CALL("arm_tx", LOADS_ROOM, room = ist_arm_tx(&stage.me, length));
    CHECK(room || stage.me.state == IST_RUN);
}

__attribute__((unused)) static void me_room(void)
{
    ist_u32 room;
    CALL("room", LOADS_ROOM, room = ist_room(&stage.me));
    CHECK(room <= stage.me.config.frame_max);
}

__attribute__((unused)) static void me_release(void)
{
    CALL("release", LOADS_RELEASE, (void)ist_release(&stage.me));
    CALL("rx_bell", LOADS_NONE, (void)ist_rx_bell(&stage.me));
    CALL("disarm", LOADS_NONE, ist_disarm(&stage.me));
}

/* ---- what the peer does -------------------------------------------------------------------------------------------- */

__attribute__((unused)) static void peer_begin(void)
{
    ist_begin(&stage.peer, stage.epoch, stage.key, stage.now);
}

__attribute__((unused)) static void peer_poll(void)
{
    ist_poll(&stage.peer, ++stage.now);
}

__attribute__((unused)) static enum ist_verdict peer_send(ist_u32 length)
{
    static ist_u8 frame[65536];
    if (stage.next_id == FRAMES_MAX)
        return IST_V_FULL;
    pattern_fill(frame, length, stage.next_id);
    memcpy(frame, &stage.next_id, sizeof stage.next_id);
    enum ist_verdict v = ist_send(&stage.peer, frame, length, NULL);
    if (v == IST_V_OK)
        stage.length_of[stage.next_id++] = length;
    return v;
}

__attribute__((unused)) static void peer_publish(void)
{
    (void)ist_publish(&stage.peer);
}

/* What our endpoint sends arrives whole at a peer that did not lie about what it has read. */
__attribute__((unused)) static ist_u32 peer_drain(void)
{
    static ist_u8 frame[65536];
    static const ist_u8 zeros[65536];
    struct ist_frame f;
    enum ist_verdict v;
    ist_u32 n = 0;
    while ((v = ist_peek(&stage.peer, ++stage.now, &f)) != IST_V_EMPTY && v != IST_V_DOWN) {
        const int taken = v == IST_V_OK && ist_take(&stage.peer, frame) == IST_V_OK;
        CHECK(stage.tail_lied || is_violation(v) || (taken && !memcmp(frame, zeros, f.length)));
        n += (ist_u32)taken;
    }
    return n;
}

/* ---- setting up ----------------------------------------------------------------------------------------------------- */

/* `size` bytes of fd that end before an inaccessible page. */
static ist_u8 *map_guarded(int fd, ist_u32 size, int protection)
{
    const ist_u32 whole = (size + PAGE - 1) / PAGE * PAGE;
    ist_u8 *at = mmap(NULL, whole + 2 * PAGE, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (at == MAP_FAILED || mmap(at + PAGE, whole, protection, MAP_SHARED | MAP_FIXED, fd, 0) == MAP_FAILED)
        abort();
#ifdef STAGE_ASAN
    __asan_poison_memory_region(at + PAGE, whole - size);
#endif
    return at + PAGE + whole - size;
}

static void unmap_guarded(const ist_u8 *at, ist_u32 size)
{
    const ist_u32 whole = (size + PAGE - 1) / PAGE * PAGE;
    const ist_u8 *base = at - (whole - size) - PAGE;
#ifdef STAGE_ASAN
    __asan_unpoison_memory_region(base, whole + 2 * PAGE);
#endif
    munmap((void *)(size_t)base, whole + 2 * PAGE);
}

__attribute__((unused)) static void stage_close(void)
{
    if (!stage.own)
        return;
    unmap_guarded(stage.theirs, stage.peer_size);
    unmap_guarded(stage.view, stage.peer_size);
    free(stage.own);
    free(landing);
    memset(&stage, 0, sizeof stage);
}

/* Both endpoints initialised, in RESET; an earlier stage is closed. */
__attribute__((unused)) static void stage_open(const struct ist_config *c)
{
    stage_close();
    stage.config = *c;
    stage.epoch = 0x0123456789abcdefu;
    stage.key[0] = 11;
    stage.key[1] = 22;
    stage.next_id = 1;
    stage.own_size = ist_buffer_size(c, ME);
    stage.peer_size = ist_buffer_size(c, PEER);
    stage.own = buffer_new(stage.own_size);
    landing = malloc(c->frame_max);
    int fd = memfd_create("peer", 0);
    if (fd < 0 || ftruncate(fd, (stage.peer_size + PAGE - 1) / PAGE * PAGE))
        abort();
    stage.theirs = map_guarded(fd, stage.peer_size, PROT_READ | PROT_WRITE);
    stage.view = map_guarded(fd, stage.peer_size, PROT_READ);
    close(fd);
    struct ist_config mine = *c, other = *c;
    mine.role = ME;
    other.role = PEER;
    other.budget_interval = 0;
    CHECK_VERDICT(ist_init(&stage.me, &mine, stage.own, stage.view), IST_V_OK);
    CHECK_VERDICT(ist_init(&stage.peer, &other, stage.theirs, stage.own), IST_V_OK);
    memset(counted_before, 0, sizeof counted_before);
}

/* Puts the stage back to where it was saved; the buffers' contents are the caller's to restore. */
__attribute__((unused)) static void stage_rewind(const struct stage *saved)
{
    stage = *saved;
    stage.exact = 1;
    stage.delivered = 0;
    tap.events = 0;
    memcpy(counted_before, stage.me.count, sizeof counted_before);
}

/* A new epoch with a peer that keeps the rules from now on: the link comes up and frames pass both ways. */
__attribute__((unused)) static void check_recovers(void)
{
    const ist_u32 lengths[] = {IST_FRAME_MIN, stage.config.frame_max};
    stage.epoch++;
    stage.now += 1u << 20; /* budget */
    me_begin();
    peer_begin();
    for (int i = 0; i < 3; i++) {
        me_poll();
        peer_poll();
    }
    CHECK_EQ(stage.me.state, IST_RUN);
    CHECK_EQ(stage.peer.state, IST_RUN);
    stage.exact = 1;
    stage.tail_lied = 0;
    stage.last_id = stage.next_id - 1;
    for (int i = 0; i < 2; i++) {
        stage.delivered = 0;
        stage.now += 1u << 20;
        CHECK_VERDICT(peer_send(lengths[i]), IST_V_OK);
        peer_publish();
        me_drain();
        CHECK_EQ(stage.delivered, 1);
        CHECK_VERDICT(me_send(lengths[i]), IST_V_OK);
        me_publish();
        CHECK_EQ(peer_drain(), 1);
    }
}

#endif
