/* SPDX-License-Identifier: MIT */
/* What the machine code really reads and writes, without any hook: both buffers are inaccessible while our endpoint
 * runs. Each access faults; the handler notes it, opens the pages for the one instruction and closes them behind it
 * (single step). x86-64 Linux.
 *
 * So a compiler that read a control word again, or read back what was written, would be seen, and so would any access
 * that does not go through shared.h; and the order in which words are written is what the peer can observe. The full
 * barriers that are executed are counted by stepping through a call from its first instruction to its last. */
#include <signal.h>
#include <sys/mman.h>
#include <ucontext.h>
#include <unistd.h>

#include "harness.h"
#include "link.h"

#if !defined(__x86_64__)
#error "single steps are x86-64's here"
#endif

enum { ME = IST_SECURE, PEER = IST_NORMAL, RING = 4096, FRAME = 300, SPACE = 16384, ACCESSES = 4096 };
enum { TRAP_FLAG = 0x100, WRITE_FAULT = 2 };

struct access {
    ist_u32 offset;
    ist_u8 own, write;
};

static ist_u8 *own, *view;      /* as our endpoint knows them: closed while it runs */
static ist_u8 *own_in, *theirs; /* the same memory for the peer and for us */
static volatile int count;
static struct access seen[ACCESSES];

static void open_buffers(void)
{
    mprotect(own, SPACE, PROT_READ | PROT_WRITE);
    mprotect(view, SPACE, PROT_READ);
}

static void close_buffers(void)
{
    mprotect(own, SPACE, PROT_NONE);
    mprotect(view, SPACE, PROT_NONE);
}

static void on_fault(int number, siginfo_t *info, void *context)
{
    (void)number;
    ucontext_t *c = context;
    const ist_u8 *at = info->si_addr;
    const int in_own = at >= own && at < own + SPACE;
    if ((!in_own && (at < view || at >= view + SPACE)) || count == ACCESSES)
        _Exit(3); /* not ours: a fault like any other */
    seen[count++] = (struct access){
        (ist_u32)(at - (in_own ? own : view)),
        (ist_u8)in_own,
        (ist_u8)((c->uc_mcontext.gregs[REG_ERR] & WRITE_FAULT) != 0),
    };
    open_buffers();
    c->uc_mcontext.gregs[REG_EFL] |= TRAP_FLAG;
}

static volatile int stepping, barriers;

/* mfence, or an instruction with a lock prefix. */
static int is_barrier(const ist_u8 *code)
{
    return code[0] == 0xf0 || (code[0] == 0x0f && code[1] == 0xae && code[2] == 0xf0);
}

static void on_step(int number, siginfo_t *info, void *context)
{
    (void)number;
    (void)info;
    ucontext_t *c = context;
    if (stepping) {
        barriers += is_barrier((const ist_u8 *)(size_t)c->uc_mcontext.gregs[REG_RIP]);
        return;
    }
    c->uc_mcontext.gregs[REG_EFL] &= ~(long long)TRAP_FLAG;
    close_buffers();
}

/* ---- one call, and what it did ------------------------------------------------------------------------------------ */

static const char *call_name;
static ist_u32 words; /* of the peer's that it loaded */

/* `from`..`to` is the payload that the call may copy; every other read is a control word or a record's word. */
static void check_call(const struct ist_endpoint *e, ist_u32 from, ist_u32 to, ist_u32 limit)
{
    words = 0;
    for (int i = 0; i < count; i++) {
        const struct access a = seen[i];
        if (a.own) {
            if (!a.write)
                fail_at(__FILE__, __LINE__, "%s reads back our own buffer at %x", call_name, a.offset);
            CHECK(a.offset < ist_buffer_size(&e->config, ME));
            continue;
        }
        CHECK(!a.write);
        CHECK(a.offset < ist_buffer_size(&e->config, PEER));
        for (int j = 0; j < i; j++)
            if (!seen[j].own && seen[j].offset == a.offset)
                fail_at(__FILE__, __LINE__, "%s reads offset %x twice", call_name, a.offset);
        if (a.offset < from || a.offset >= to) {
            CHECK(a.offset % 4 == 0);
            words++;
        }
    }
    if (words > limit)
        fail_at(__FILE__, __LINE__, "%s loads %u words, more than %u", call_name, words, limit);
}

#define CALL(name, limit, from, to, ...)                \
    do {                                                \
        call_name = name;                               \
        count = 0;                                      \
        close_buffers();                                \
        __VA_ARGS__;                                    \
        open_buffers();                                 \
        check_call(&me, (from), (to), (limit));         \
    } while (0)

/* Entering an epoch: RESET is published before any other word changes, INIT after every one was cleared. */
static void check_begin(void)
{
    static const ist_u32 cleared[] = {
        IST_CTL_REFUSAL, IST_CTL_EPOCH_LO, IST_CTL_EPOCH_HI, IST_CTL_DIGEST_LO, IST_CTL_DIGEST_HI, IST_CTL_MTU,
        IST_CTL_FEATURES, IST_CTL_HEAD, IST_CTL_TAIL, IST_CTL_WAKE_RX, IST_CTL_WAKE_TX,
    };
    enum { WORDS = sizeof cleared / sizeof *cleared };
    CHECK_EQ(count, WORDS + 2);
    CHECK_EQ(seen[0].offset, IST_CTL_STATE);
    CHECK_EQ(seen[count - 1].offset, IST_CTL_STATE);
    for (unsigned w = 0; w < WORDS; w++) {
        int written = 0;
        for (int i = 1; i < count - 1; i++)
            written += seen[i].offset == cleared[w];
        CHECK_EQ(written, 1);
    }
}

/* ---- the calls ----------------------------------------------------------------------------------------------------- */

static struct ist_endpoint me, peer;

static void receive_one(ist_u32 length, ist_u32 tag)
{
    ist_u8 frame[FRAME], got[FRAME];
    struct ist_frame f;
    enum ist_verdict v;
    pattern_fill(frame, length, length);
    CHECK_VERDICT(ist_send(&peer, frame, length, NULL), IST_V_OK);
    ist_publish(&peer);
    const ist_u32 at = IST_CONTROL_SIZE + (me.rx.tail & (RING - 1));
    CALL("peek", IST_PEEK_LOADS, 0, 0, v = ist_peek(&me, 1, &f));
    CHECK_VERDICT(v, IST_V_OK);
    CHECK_EQ(words, 5); /* head, and the record's four: a count that says that accesses are seen at all */
    const ist_u32 payload = at + IST_REC_PAYLOAD;
    CALL("take", IST_TAKE_LOADS, payload, payload + f.length, v = ist_take(&me, got));
    CHECK_VERDICT(v, IST_V_OK);
    CHECK(!memcmp(got, frame, length));
    CHECK(count >= (int)(f.length / 64) && (tag == IST_TAG_NONE || words >= 4));
    CHECK_VERDICT(ist_send(&peer, frame, length, NULL), IST_V_OK);
    ist_publish(&peer);
    const ist_u32 next = IST_CONTROL_SIZE + (me.rx.tail & (RING - 1)) + IST_REC_PAYLOAD;
    CALL("receive", IST_PEEK_LOADS + IST_TAKE_LOADS, next, next + f.length, v = ist_receive(&me, 1, got, &f));
    CHECK_VERDICT(v, IST_V_OK);
    CHECK(!memcmp(got, frame, length));
    CHECK(words >= (tag == IST_TAG_NONE ? 5 : 9));
    CALL("empty peek", IST_PEEK_LOADS, 0, 0, v = ist_peek(&me, 1, &f));
    CHECK_VERDICT(v, IST_V_EMPTY);
}

/* A head that was seen once serves for all that it covers. */
static void receive_batch(ist_u32 tag)
{
    ist_u8 frame[FRAME] = {0};
    struct ist_frame f;
    enum ist_verdict v;
    for (int i = 0; i < 3; i++)
        CHECK_VERDICT(ist_send(&peer, frame, 64, NULL), IST_V_OK);
    ist_publish(&peer);
    for (int i = 0; i < 3; i++) {
        CALL("peek", IST_PEEK_LOADS, 0, 0, v = ist_peek(&me, 1, &f));
        CHECK_VERDICT(v, IST_V_OK);
        CHECK_EQ(words, i == 0 ? 5 : 4);
        CHECK_VERDICT(ist_take(&me, frame), IST_V_OK);
    }
    for (int i = 0; i < 3; i++)
        CHECK_VERDICT(ist_send(&peer, frame, 64, NULL), IST_V_OK);
    ist_publish(&peer);
    for (int i = 0; i < 3; i++) {
        const ist_u32 at = IST_CONTROL_SIZE + (me.rx.tail & (RING - 1)) + IST_REC_PAYLOAD;
        CALL("receive", IST_PEEK_LOADS + IST_TAKE_LOADS, at, at + 64, v = ist_receive(&me, 1, frame, &f));
        CHECK_VERDICT(v, IST_V_OK);
        CHECK_EQ(words, (i == 0 ? 5 : 4) + (tag == IST_TAG_NONE ? 0 : 4));
    }
    CHECK_VERDICT(ist_peek(&me, 1, &f), IST_V_EMPTY);
}

static void send_some(ist_u32 length)
{
    ist_u8 frame[FRAME] = {0};
    struct ist_frame f;
    enum ist_verdict v;
    ist_u32 looks = 0;
    do {
        CALL("send", IST_SEND_LOADS, 0, 0, v = ist_send(&me, frame, length, NULL));
        looks += words;
    } while (v == IST_V_OK);
    CHECK(looks <= 2); /* at the tail, only where the room last seen is used up */
    CHECK_VERDICT(v, IST_V_FULL);
    CALL("publish", 1, 0, 0, (void)ist_publish(&me));
    CHECK(count == 2 && seen[0].own && seen[0].offset == IST_CTL_HEAD && seen[1].offset == IST_CTL_WAKE_RX);
    CALL("arm_tx", 2, 0, 0, (void)ist_arm_tx(&me, length));
    while (ist_peek(&peer, 1, &f) == IST_V_OK)
        ist_take(&peer, frame);
    CALL("room", 2, 0, 0, (void)ist_room(&me));
    CHECK_EQ(words, 1);
    CALL("reserve", 2, 0, 0, v = ist_reserve(&me, length, NULL));
    CHECK_VERDICT(v, IST_V_OK);
    CALL("append", 0, 0, 0, (void)ist_append(&me, frame, length / 2));
    CALL("cancel", 0, 0, 0, ist_cancel(&me));
}

static ist_u8 *map(int fd)
{
    void *p = mmap(NULL, SPACE, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    CHECK(p != MAP_FAILED);
    return p;
}

static void trace(ist_u32 tag, ist_copy_crc_fn copy_crc)
{
    struct ist_config c = config_of(RING, FRAME, tag);
    const ist_u64 key[2] = {1, 2};
    int fd[2] = {memfd_create("own", 0), memfd_create("peer", 0)};
    CHECK(ftruncate(fd[0], SPACE) == 0 && ftruncate(fd[1], SPACE) == 0);
    own = map(fd[0]);
    own_in = map(fd[0]);
    view = map(fd[1]);
    theirs = map(fd[1]);
    c.first_cursor = 0xfffff000u;
    CHECK_VERDICT(ist_init(&peer, &c, theirs, own_in), IST_V_OK);
    c.role = ME;
    CALL("init", 0, 0, 0, CHECK_VERDICT(ist_init(&me, &c, own, view), IST_V_OK));
    CHECK(count == 1 && seen[0].offset == IST_CTL_STATE);
    ist_begin(&peer, 9, key, 0);
    me.copy_crc = copy_crc;
    CALL("begin", 0, 0, 0, ist_begin(&me, 9, key, 0));
    check_begin();
    for (int i = 0; i < 4; i++) {
        CALL("poll", IST_POLL_LOADS, 0, 0, ist_poll(&me, 1));
        ist_poll(&peer, 1);
        CHECK_EQ(words, i == 0 ? 7 : 2); /* the identity once, then state and beat */
    }
    CHECK_EQ(ist_link_state(&me), IST_RUN);
    CALL("poll in RUN", IST_POLL_LOADS, 0, 0, ist_poll(&me, 1));
    CHECK_EQ(count, 3); /* state and beat of the peer's, our own beat: nothing else is written where nothing changed */
    for (ist_u32 length = IST_FRAME_MIN; length <= FRAME; length += 7)
        receive_one(length, tag);
    receive_batch(tag);
    send_some(IST_FRAME_MIN);
    send_some(FRAME);
    CALL("arm", 2, 0, 0, (void)ist_arm(&me, 1));
    CALL("pending", 1, 0, 0, (void)ist_pending(&me));
    CHECK_EQ(words, 1);
    CALL("idle release", 1, 0, 0, (void)ist_release(&me));
    CHECK_EQ(count, 0);
    CALL("idle publish", 1, 0, 0, (void)ist_publish(&me));
    CHECK_EQ(count, 0);
    CALL("disarm", 0, 0, 0, ist_disarm(&me));
    word_set(theirs, IST_CTL_HEAD, 8);
    struct ist_frame f;
    CALL("violation", IST_PEEK_LOADS, 0, 0, (void)ist_peek(&me, 1, &f));
    CHECK_EQ(ist_link_state(&me), IST_DEAD);
    CHECK_EQ(words, 2); /* head, and whether the peer has left */
    for (int i = 0; i < 2; i++)
        close(fd[i]);
    munmap(own, SPACE);
    munmap(own_in, SPACE);
    munmap(view, SPACE);
    munmap(theirs, SPACE);
}

TEST(plain_frames)
{
    trace(IST_TAG_NONE, NULL);
}

TEST(frames_with_a_crc)
{
    trace(IST_TAG_CRC32C, NULL);
}

TEST(frames_with_the_processors_crc)
{
    trace(IST_TAG_CRC32C, ist_hw_copy_crc());
}

TEST(frames_with_a_keyed_tag)
{
    trace(IST_TAG_SIPHASH, NULL);
}

/* Below the red zone, which is the compiler's. */
#define CHANGE_FLAGS(change) \
    __asm__ volatile("leaq -128(%%rsp), %%rsp\n\tpushfq\n\t" change "\n\tpopfq\n\tleaq 128(%%rsp), %%rsp" ::: "memory", "cc")

static void set_trap_flag(int on)
{
    stepping = on;
    if (on)
        CHANGE_FLAGS("orq $0x100, (%%rsp)");
    else
        CHANGE_FLAGS("andq $~0x100, (%%rsp)");
}

#define BARRIERS(...)          \
    (barriers = 0,             \
     set_trap_flag(1),         \
     (void)(__VA_ARGS__),      \
     set_trap_flag(0),         \
     barriers)

/* One barrier between telling and looking; none where the sleeper makes its peers pass one. */
TEST(barriers_are_passed_where_they_are_needed)
{
    for (ist_u32 features = 0; features <= IST_FEATURES_ALL; features++) {
        const int each = (features & IST_FEATURE_SLEEPER_FENCE) == 0;
        struct ist_config c = config_of(RING, FRAME, IST_TAG_NONE);
        c.features = features;
        struct pair p;
        ist_u8 frame[FRAME] = {0};
        pair_up(&p, &c);
        for (int i = 0; i < 3; i++) {
            CHECK_EQ(BARRIERS(ist_send(&p.side[PEER].e, frame, 64, NULL)), 0);
            CHECK_EQ(BARRIERS(ist_publish(&p.side[PEER].e)), each);
            struct ist_frame f;
            CHECK_EQ(BARRIERS(ist_peek(&p.side[ME].e, 1, &f)), 0);
            CHECK_EQ(BARRIERS(ist_take(&p.side[ME].e, frame)), 0);
            CHECK_EQ(BARRIERS(ist_release(&p.side[ME].e)), each);
            CHECK_EQ(BARRIERS(ist_arm(&p.side[ME].e, 1)), 1);
            CHECK_EQ(BARRIERS(ist_arm(&p.side[ME].e, 0)), 0);
            ist_disarm(&p.side[ME].e);
        }
        while (ist_send(&p.side[PEER].e, frame, 64, NULL) == IST_V_OK)
            ;
        CHECK_EQ(BARRIERS(ist_arm_tx(&p.side[PEER].e, 64)), 1);
        pair_close(&p);
    }
}

int main(int argc, char **argv)
{
    struct sigaction fault = {.sa_sigaction = on_fault, .sa_flags = SA_SIGINFO};
    struct sigaction step = {.sa_sigaction = on_step, .sa_flags = SA_SIGINFO};
    sigaction(SIGSEGV, &fault, NULL);
    sigaction(SIGTRAP, &step, NULL);
    return run_tests(argc, argv);
}
