/* SPDX-License-Identifier: MIT */
/* Two worlds in two address-space-sharing halves: each endpoint has a sending and a receiving thread, under the thread
 * sanitizer or at full speed. Frames of random lengths carry their number and a pattern; both are checked. Sleepers
 * sleep in read(2) on a pipe without a time limit, so a lost wake-up stops the run: the watchdog then prints the state.
 *
 *   threads FRAMES SEED WAIT FENCE WAYS TAG [BREAK]
 *     WAIT   spin, sleep, or mixed: at random one of both
 *     FENCE  core (a barrier per publish) or peer (the sleeper makes the other side pass one: membarrier)
 *     WAYS   1 or 2 directions at once
 *     BREAK  after so many frames world 0's cursors turn to garbage: both halves of world 1 find out, each for itself */
#include <pthread.h>
#include <sched.h>
#include <time.h>
#include <unistd.h>

#include "harness.h"
#include "link.h"

#ifndef PATIENCE
#define PATIENCE 40 /* seconds without a frame before the watchdog speaks */
#endif

enum { FRAME = 400, RING = 8192 };

static ist_u64 frames, dice_seed;
static ist_u64 break_at; /* 0: never */
static int may_spin, may_sleep, ways;

enum doing { STARTING, SENDING, WAITING_ROOM, RECEIVING, WAITING_FRAME, SPINNING, DONE };
static const char *const doing_names[] = {"starting", "sending", "waits for room", "receiving", "waits for a frame",
                                          "spins", "done"};

struct half {
    pthread_t thread;
    struct world *world;
    int bell[2]; /* pipe: what this half sleeps on */
    ist_u64 dice;
    ist_u64 done;  /* frames; atomic */
    ist_u32 doing; /* enum doing; atomic */
    ist_u64 slept;
};

static struct world {
    struct ist_endpoint e;
    ist_u8 *own;
    struct half tx, rx;
    struct world *other;
} worlds[2];

/* The link is down, which is right where a cursor was broken. */
static int broken(struct world *w)
{
    const enum ist_state state = ist_link_state(&w->e);
    return break_at && (state == IST_DEAD || state == IST_RESET);
}

static void now_doing(struct half *h, enum doing d)
{
    __atomic_store_n(&h->doing, d, __ATOMIC_RELAXED);
}

static void ring(struct half *h)
{
    CHECK_EQ(write(h->bell[1], "", 1), 1);
}

static void sleep_on(struct half *h)
{
    char sink[64];
    h->slept++;
    CHECK(read(h->bell[0], sink, sizeof sink) > 0);
}

static int sleeps(struct half *h)
{
    return may_sleep && (!may_spin || random_below(&h->dice, 2));
}

static ist_u32 length_of(ist_u64 number)
{
    ist_u64 s = number * 31 + dice_seed;
    return IST_FRAME_MIN + random_below(&s, FRAME - IST_FRAME_MIN + 1);
}

static void make_frame(ist_u8 *frame, ist_u64 number, ist_u32 role)
{
    pattern_fill(frame, length_of(number), number * 2 + role);
    memcpy(frame, &number, sizeof number);
}

/* ---- one half of an endpoint each ------------------------------------------------------------------------------- */

static void publish(struct world *w)
{
    if (ist_publish(&w->e))
        ring(&w->other->rx);
}

static void *send_frames(void *argument)
{
    struct half *h = argument;
    struct world *w = h->world;
    ist_u8 frame[FRAME];
    ist_u32 batch = 1;
    for (ist_u64 number = 0; number < frames;) {
        const ist_u32 length = length_of(number);
        make_frame(frame, number, w->e.config.role);
        enum ist_verdict v = ist_send(&w->e, frame, length, NULL);
        if (v == IST_V_OK) {
            now_doing(h, SENDING);
            __atomic_store_n(&h->done, ++number, __ATOMIC_RELAXED);
            if (--batch == 0) {
                publish(w);
                batch = 1 + random_below(&h->dice, 8);
            }
            continue;
        }
        publish(w); /* who sleeps behind unpublished frames sleeps for ever */
        if (v == IST_V_DOWN && broken(w))
            break;
        const enum ist_state state = ist_link_state(&w->e);
        if (v == IST_V_DOWN && state != IST_RESET && state != IST_DEAD) { /* the receiving half is shaking hands */
            sched_yield();
        } else if (v != IST_V_FULL) {
            fail_at(__FILE__, __LINE__, "send: %s", ist_verdict_name(v));
        } else if (sleeps(h)) {
            now_doing(h, WAITING_ROOM);
            if (!ist_arm_tx_for_sleep(&w->e, length))
                sleep_on(h);
        } else {
            now_doing(h, SPINNING);
            sched_yield();
        }
    }
    publish(w);
    now_doing(h, DONE);
    return NULL;
}

static void wait_frame(struct half *h)
{
    struct ist_endpoint *e = &h->world->e;
    if (ist_rx_bell(e))
        ring(&h->world->other->tx);
    if (!sleeps(h)) {
        now_doing(h, SPINNING);
        sched_yield();
        return;
    }
    now_doing(h, WAITING_FRAME);
    const int pending = ist_arm_for_sleep(e);
    if (ist_rx_bell(e)) /* arming told the peer what we have consumed */
        ring(&h->world->other->tx);
    if (!pending)
        sleep_on(h);
    ist_disarm(e);
}

static void *receive_frames(void *argument)
{
    struct half *h = argument;
    struct world *w = h->world;
    ist_u8 want[FRAME], got[FRAME];
    struct ist_frame f;
    ist_u64 now = 1;
    while (ist_poll(&w->e, now++) != IST_RUN)
        sched_yield();
    for (ist_u64 number = 0; ways == 2 || w->e.config.role == IST_SECURE ? number < frames : 0;) {
        if (now++ % 16 == 0)
            CHECK(ist_poll(&w->e, now) == IST_RUN || broken(w));
        enum ist_verdict v = ist_peek(&w->e, now, &f);
        if (v != IST_V_OK && v != IST_V_EMPTY && broken(w))
            break;
        if (v == IST_V_EMPTY) {
            wait_frame(h);
            continue;
        }
        CHECK_VERDICT(v, IST_V_OK);
        now_doing(h, RECEIVING);
        CHECK_EQ(f.length, length_of(number));
        CHECK_VERDICT(ist_take(&w->e, got), IST_V_OK);
        make_frame(want, number, 1 - w->e.config.role);
        if (memcmp(got, want, f.length))
            fail_at(__FILE__, __LINE__, "frame %llu is not what was sent", (unsigned long long)number);
        if (ist_rx_bell(&w->e))
            ring(&w->other->tx);
        __atomic_store_n(&h->done, ++number, __ATOMIC_RELAXED);
    }
    if (ist_release(&w->e) | ist_rx_bell(&w->e))
        ring(&w->other->tx);
    now_doing(h, DONE);
    return NULL;
}

/* ---- the watchdog --------------------------------------------------------------------------------------------------- */

static void show(const char *name, struct half *h)
{
    fprintf(stderr, "  %s: %s, %llu of %llu frames\n", name,
            doing_names[__atomic_load_n(&h->doing, __ATOMIC_RELAXED)],
            (unsigned long long)__atomic_load_n(&h->done, __ATOMIC_RELAXED), (unsigned long long)frames);
}

static ist_u32 word(struct world *w, ist_u32 offset)
{
    return __atomic_load_n((ist_u32 *)(void *)(w->own + offset), __ATOMIC_RELAXED);
}

/* Returns when all threads are done; ends the program when none has moved for too long. */
static void watch(void)
{
    struct half *halves[] = {&worlds[0].tx, &worlds[0].rx, &worlds[1].tx, &worlds[1].rx};
    ist_u64 last = 0;
    for (int still = 0; still < PATIENCE * 20; still++) {
        ist_u64 sum = 0;
        int done = 0;
        for (int i = 0; i < 4; i++) {
            sum += __atomic_load_n(&halves[i]->done, __ATOMIC_RELAXED);
            done += __atomic_load_n(&halves[i]->doing, __ATOMIC_RELAXED) == DONE;
        }
        if (done == 4)
            return;
        if (sum != last)
            still = 0;
        last = sum;
        if (break_at && sum >= break_at) {
            __atomic_store_n((ist_u32 *)(void *)(worlds[0].own + IST_CTL_TAIL), 0x31u, __ATOMIC_RELAXED);
            __atomic_store_n((ist_u32 *)(void *)(worlds[0].own + IST_CTL_HEAD), 0x11u, __ATOMIC_RELAXED);
        }
        nanosleep(&(struct timespec){0, 50000000}, NULL);
    }
    fprintf(stderr, "no frame for %d s: a wake-up was lost\n", PATIENCE);
    for (int i = 0; i < 2; i++) {
        fprintf(stderr, " world %d: state %08x head %08x tail %08x wake_rx %08x wake_tx %08x\n", i,
                word(&worlds[i], IST_CTL_STATE), word(&worlds[i], IST_CTL_HEAD), word(&worlds[i], IST_CTL_TAIL),
                word(&worlds[i], IST_CTL_WAKE_RX), word(&worlds[i], IST_CTL_WAKE_TX));
        show("tx", &worlds[i].tx);
        show("rx", &worlds[i].rx);
    }
    fflush(NULL);
    _Exit(1);
}

static void open_half(struct world *w, struct half *h, ist_u64 seed)
{
    h->world = w;
    h->dice = seed;
    CHECK_EQ(pipe(h->bell), 0);
}

int main(int argc, char **argv)
{
    if (argc != 7 && argc != 8)
        return 2;
    frames = strtoull(argv[1], NULL, 0);
    dice_seed = strtoull(argv[2], NULL, 0);
    may_spin = strcmp(argv[3], "sleep") != 0;
    may_sleep = strcmp(argv[3], "spin") != 0;
    ways = atoi(argv[5]);
    break_at = argc == 8 ? strtoull(argv[7], NULL, 0) : 0;
    snprintf(test_case, sizeof test_case, "%s %s %s %s %s %s", argv[1], argv[2], argv[3], argv[4], argv[5], argv[6]);

    struct ist_config c = config_of(RING, FRAME, (ist_u32)atoi(argv[6]));
    c.first_cursor = (ist_u32)-4 * RING; /* wraps after four laps */
    c.first_sequence = 0xffffff00u;
    if (!strcmp(argv[4], "peer")) {
        CHECK_EQ(ist_fence_register(), 0);
        c.features |= IST_FEATURE_SLEEPER_FENCE;
    }
    for (ist_u32 i = 0; i < 2; i++) {
        worlds[i].own = buffer_new(ist_buffer_size(&c, i));
        worlds[i].other = &worlds[1 - i];
        open_half(&worlds[i], &worlds[i].tx, dice_seed + 2 * i);
        open_half(&worlds[i], &worlds[i].rx, dice_seed + 2 * i + 1);
    }
    const ist_u64 key[2] = {1, 2};
    for (ist_u32 i = 0; i < 2; i++) {
        c.role = i;
        CHECK_VERDICT(ist_init(&worlds[i].e, &c, worlds[i].own, worlds[1 - i].own), IST_V_OK);
        ist_begin(&worlds[i].e, 7, key, 0);
    }
    for (int i = 0; i < 2; i++) {
        if (ways == 2 || i == IST_NORMAL)
            pthread_create(&worlds[i].tx.thread, NULL, send_frames, &worlds[i].tx);
        else
            now_doing(&worlds[i].tx, DONE);
        pthread_create(&worlds[i].rx.thread, NULL, receive_frames, &worlds[i].rx);
    }
    watch();
    for (int i = 0; i < 2; i++) {
        if (ways == 2 || i == IST_NORMAL)
            pthread_join(worlds[i].tx.thread, NULL);
        pthread_join(worlds[i].rx.thread, NULL);
    }
    printf("%llu frames each way, %llu sleeps\n", (unsigned long long)frames,
           (unsigned long long)(worlds[0].tx.slept + worlds[0].rx.slept + worlds[1].tx.slept + worlds[1].rx.slept));
    for (int i = 0; i < 2; i++) {
        free(worlds[i].own);
        if (break_at) {
            CHECK_EQ(worlds[i].e.state, i ? IST_DEAD : IST_RESET);
            continue;
        }
        CHECK_EQ(worlds[i].e.state, IST_RUN);
        CHECK_EQ(worlds[i].e.rx.lost, 0);
        for (ist_u32 v = IST_V_LENGTH_SHORT; v < IST_VERDICT_COUNT; v++)
            CHECK_EQ(worlds[i].e.count[v], 0);
    }
    return 0;
}
