/* SPDX-License-Identifier: MIT */
/* scale.c - many channels of two lanes each on one critical side, which serves them by one poll (channels.h).
 *
 *   end 0   goes round the busy channels: a batch by the bulk lane of each, every CRITICAL_EVERY-th by the critical one;
 *           rings where it is told to
 *   end 1   polls; checks on its private copy that each lane's frames come in their order, all of them
 *
 * Both do once in a period what worlds do: look after every channel's session, busy or not. The doorbell is one that a core
 * of its own would poll: a byte for each lane, which the sender alone writes and whose every change is a ring. */
#include <string.h>

#include "bench.h"
#include "channels.h"
#include "lane.h"

#define PERIOD_NS 1000000u
#define TURN_FRAMES 32u
#define TURN_BYTES 65536u
#define POLL_FRAMES 256u
#define LINGER_NS 20000u
#define CLOCK_EVERY 256u /* frames that the sender's looks at the clock are apart, about */
#define CRITICAL_EVERY 8u /* batches */
#define BULK_RING 16384u
#define CRITICAL_RING 4096u
#define EPOCH 1u
#define WORD 8u /* doorbells that one load sees */

enum { BULK, CRITICAL, LANES };

/* Shared: what the ends say about the run beside the channels. */
struct wires {
    _Alignas(LINE) uint8_t bell[LANES][CHANNELS_MAX]; /* end 0 writes */
    _Alignas(LINE) uint64_t sent;                     /* frames in all, once `stop` is set; end 0 writes both */
    uint32_t stop;
    _Alignas(LINE) uint32_t measuring; /* end 1 writes: warmed up */
};

struct channel {
    struct ist_endpoint lane[LANES];
    uint64_t sequence[LANES]; /* of the sender's next frame */
};

/* One end's own; an array, since in one process both have it. */
struct side {
    struct run *run;
    uint32_t channels;
    uint64_t period; /* when the present one ends */
    struct channel channel[CHANNELS_MAX];
};

/* What a lane's frames are given to. */
struct sink {
    struct run *run;
    uint64_t next; /* sequence */
};

struct receiver {
    struct side *side;
    uint64_t heard[LANES][CHANNELS_MAX / WORD];
    struct netport_lane lane[CHANNELS_MAX * LANES];
    struct sink sink[CHANNELS_MAX * LANES];
    struct channels set;
};

static struct side sides[2];
static struct wires *wires;
static void *buffer[2];
static size_t stride[2];

static void config_of(const struct run *r, int end, struct ist_config c[LANES])
{
    c[BULK] = (struct ist_config){
        .ring_bytes = {BULK_RING, BULK_RING},
        .frame_max = 1518u,
        .mtu = 1500u,
        .tag = r->opt.tag,
        .role = (uint32_t)end,
    };
    c[CRITICAL] = ist_lane_config(&c[BULK], CRITICAL, CRITICAL_RING, 0, 0);
}

static int prepare(struct run *r, const char **why)
{
    struct ist_config c[LANES];
    *why = "no memory for the buffers";
    wires = shared_memory(sizeof *wires);
    for (int end = 0; end < 2; end++) {
        config_of(r, end, c);
        stride[end] = (ist_lanes_size(c, LANES, (uint32_t)end) + IST_LINE - 1u) & ~(size_t)(IST_LINE - 1u);
        buffer[end] = shared_memory(stride[end] * r->opt.channels);
        if (!buffer[end] || !wires)
            return -1;
    }
    r->board->report[1].size = stride[0] + stride[1] + sizeof(struct channel) + LANES * sizeof(struct netport_lane);
    return 0;
}

static void tend(struct side *s, int end, struct channel *c)
{
    if (ist_lanes_poll(c->lane, LANES, now_ns()) != IST_RUN)
        fail(s->run, end, "link ended: %s", ist_verdict_name(ist_lanes_worst(c->lane, LANES)->reason));
}

/* What is due once in a period. True: one began. */
static int period(struct side *s, int end, uint64_t now)
{
    if (now < s->period)
        return 0;
    s->period = now + PERIOD_NS;
    for (uint32_t c = 0; c < s->channels; c++)
        tend(s, end, &s->channel[c]);
    return 1;
}

static struct side *side_open(struct run *r, int end)
{
    struct side *s = &sides[end];
    struct ist_config config[LANES];
    const uint64_t key[2] = {r->opt.seed, ~r->opt.seed};
    s->run = r;
    s->channels = r->opt.channels;
    config_of(r, end, config);
    for (uint32_t c = 0; c < s->channels; c++) {
        const enum ist_verdict v = ist_lanes_init(s->channel[c].lane, config, LANES, (uint8_t *)buffer[end] + c * stride[end],
                                                  (uint8_t *)buffer[!end] + c * stride[!end]);
        if (v != IST_V_OK)
            fail(r, end, "%s", ist_verdict_name(v));
    }
    for (uint32_t c = 0; c < s->channels; c++)
        ist_lanes_begin(s->channel[c].lane, LANES, EPOCH + c, key, now_ns());
    for (uint32_t c = 0; c < s->channels; c++)
        while (ist_lanes_poll(s->channel[c].lane, LANES, now_ns()) != IST_RUN)
            relax();
    return s;
}

/* ---- the sender ------------------------------------------------------------------------------------------------ */

/* As much of a batch as the ring holds. Returns how many frames. */
static uint32_t send_batch(struct side *s, uint32_t c, uint32_t k, unsigned char *frame)
{
    struct channel *to = &s->channel[c];
    const uint32_t n = s->run->opt.frame, batch = s->run->opt.batch;
    uint32_t sent = 0;
    for (; sent < batch; sent++) {
        memcpy(frame, &to->sequence[k], sizeof to->sequence[k]);
        const enum ist_verdict v = ist_send(&to->lane[k], frame, n, NULL);
        if (v == IST_V_FULL)
            break;
        if (__builtin_expect(v != IST_V_OK, 0))
            fail(s->run, 0, "send: %s", ist_verdict_name(v));
        to->sequence[k]++;
    }
    if (sent > 0 && ist_publish(&to->lane[k]))
        __atomic_store_n(&wires->bell[k][c], (uint8_t)(wires->bell[k][c] + 1u), __ATOMIC_RELEASE);
    return sent;
}

static void lead(struct run *r)
{
    static unsigned char frame[FRAME_ROOM];
    struct side *s = &sides[0];
    struct report *report = &r->board->report[0];
    uint64_t sent = 0, warm = 0, round = 0, until = 0;
    memset(frame, 0x5a, sizeof frame);
    for (uint64_t now = now_ns(); until == 0 || now < until || sent == warm; now = now_ns()) {
        (void)period(s, 0, now);
        for (uint32_t turn = 0; turn < CLOCK_EVERY; turn += r->opt.busy * r->opt.batch) {
            const uint32_t k = ++round % CRITICAL_EVERY == 0 ? CRITICAL : BULK;
            uint32_t some = 0;
            for (uint32_t c = 0; c < r->opt.busy; c++)
                some += send_batch(s, c, k, frame);
            sent += some;
            if (some == 0)
                relax();
        }
        if (until == 0 && __atomic_load_n(&wires->measuring, __ATOMIC_ACQUIRE)) {
            meter_start(&report->flood);
            until = now + r->opt.flood_ns;
            warm = sent;
        }
    }
    meter_stop(&report->flood);
    wires->sent = sent;
    __atomic_store_n(&wires->stop, 1u, __ATOMIC_RELEASE);
}

/* ---- the receiver ---------------------------------------------------------------------------------------------- */

/* A word of doorbells at a time: which bytes have changed, a bit for each. */
static void hear(void *context, struct channels *set)
{
    struct receiver *to = context;
    for (uint32_t k = 0; k < LANES; k++)
        for (uint32_t w = 0; w * WORD < set->count; w++) {
            const uint64_t now = __atomic_load_n((const uint64_t *)(const void *)&wires->bell[k][w * WORD], __ATOMIC_ACQUIRE);
            uint64_t moved = now ^ to->heard[k][w], bits = 0;
            if (__builtin_expect(moved == 0, 1))
                continue;
            to->heard[k][w] = now;
            for (; moved != 0; moved &= ~(0xffull << (__builtin_ctzll(moved) & ~7)))
                bits |= 1ull << (__builtin_ctzll(moved) / 8);
            channels_rung(set, k, bits << (w * WORD));
        }
}

static _Alignas(LINE) unsigned char room[FRAME_ROOM];

static void *allocate(void *stack, ist_u32 length, void **at)
{
    const struct sink *to = stack;
    if (__builtin_expect(length != to->run->opt.frame, 0))
        fail(to->run, 1, "a frame of %u bytes arrived", length);
    *at = room;
    return stack;
}

static void discard(void *stack, void *buffer_)
{
    (void)buffer_;
    fail(((struct sink *)stack)->run, 1, "a frame was refused");
}

static void deliver(void *stack, void *buffer_, const struct ist_meta *meta)
{
    struct sink *to = stack;
    uint64_t sequence;
    (void)buffer_, (void)meta;
    memcpy(&sequence, room, sizeof sequence);
    if (__builtin_expect(sequence != to->next++, 0))
        fail(to->run, 1, "frame %llu arrived as number %llu", (unsigned long long)sequence,
             (unsigned long long)to->next - 1u);
}

static const struct netport_hooks hooks = {allocate, discard, deliver};

static struct receiver *receiver_open(struct run *r)
{
    static struct receiver to;
    to.side = side_open(r, 1);
    for (uint32_t c = 0; c < r->opt.channels; c++)
        for (uint32_t k = 0; k < LANES; k++) {
            struct sink *sink = &to.sink[c * LANES + k];
            sink->run = r;
            to.lane[c * LANES + k] = (struct netport_lane){.ep = &to.side->channel[c].lane[k], .stack = sink};
        }
    to.set = (struct channels){.lane = to.lane,
                               .count = r->opt.channels,
                               .lanes = LANES,
                               .turn_frames = TURN_FRAMES,
                               .turn_bytes = TURN_BYTES,
                               .linger = LINGER_NS};
    return &to;
}

static void follow(struct run *r, struct receiver *to)
{
    struct report *report = &r->board->report[1];
    const uint64_t warm = now_ns() + r->opt.rewarm_ns;
    uint64_t frames = 0, first = 0;
    for (int done = 0; !done;) {
        const uint64_t now = now_ns();
        uint32_t work;
        if (period(to->side, 1, now))
            channels_period(&to->set);
        if (channels_poll(&to->set, &hooks, hear, to, now, POLL_FRAMES, ~0u, &work) == IST_V_EMPTY)
            relax();
        frames += work;
        if (first == 0 && now >= warm && frames > 0) {
            first = frames;
            meter_start(&report->flood);
            __atomic_store_n(&wires->measuring, 1u, __ATOMIC_RELEASE);
        }
        done = __atomic_load_n(&wires->stop, __ATOMIC_ACQUIRE) && frames == wires->sent;
    }
    meter_stop(&report->flood);
    report->frames = frames - first;
}

static void traffic(struct run *r, int end)
{
    struct receiver *to = NULL;
    if (end == 0)
        (void)side_open(r, 0);
    else
        to = receiver_open(r);
    meet(r, end);
    pingpong(r, end, 5000000u, 0);
    end == 0 ? lead(r) : follow(r, to);
    meet(r, end);
}

const struct bench_case case_scale = {.name = "scale", .prepare = prepare, .traffic = traffic};
