/* SPDX-License-Identifier: MIT */
/* latency.c - how late a critical frame arrives, counted from the moment at which it was meant to be sent.
 *
 *   end 0   in every PERIOD_NS one critical frame, due at a time fixed beforehand; between two of them, in `loaded`, as
 *           many bulk frames as the ring takes
 *   end 1   before each frame looks at the critical lane first, as the ports do; notes how late each critical frame is
 *
 * Open loop: a frame that is sent late counts from when it was due, so nothing that holds the sender up goes unseen.
 * `timer` is end 0 alone: how late the due time itself is noticed, which no channel can mend. */
#include <string.h>

#include "bench.h"
#include "lane.h"

#define PERIOD_NS 5000u
#define WANTED 120000u /* samples; noted from the WARM'th on */
#define WARM 8000u
#define FRAME 64u
#define BULK_FRAME 1500u
#define BULK_BATCH 4u /* frames between two publications */
#define CRITICAL_RING 16384u
#define EPOCH 1u
#define TEND_EVERY 256u /* critical frames between two polls of the session */
_Static_assert(WANTED <= SAMPLES, "room for each");

enum { BULK, CRITICAL, LANES };

static void *buffer[2];

static void config_of(const struct run *r, int end, struct ist_config c[LANES])
{
    c[BULK] = (struct ist_config){
        .ring_bytes = {r->opt.ring_bytes, r->opt.ring_bytes},
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
    for (int end = 0; end < 2; end++) {
        config_of(r, end, c);
        *why = ist_verdict_name(ist_config_check(&c[BULK]));
        if (ist_config_check(&c[BULK]) != IST_V_OK)
            return -1;
        *why = "no memory for the buffers";
        buffer[end] = shared_memory(ist_lanes_size(c, LANES, (uint32_t)end));
        if (!buffer[end])
            return -1;
    }
    return 0;
}

static void open_lanes(struct run *r, int end, struct ist_endpoint lane[LANES])
{
    const uint64_t key[2] = {r->opt.seed, ~r->opt.seed};
    struct ist_config c[LANES];
    config_of(r, end, c);
    const enum ist_verdict v = ist_lanes_init(lane, c, LANES, buffer[end], buffer[!end]);
    if (v != IST_V_OK)
        fail(r, end, "%s", ist_verdict_name(v));
    ist_lanes_begin(lane, LANES, EPOCH, key, now_ns());
    while (ist_lanes_poll(lane, LANES, now_ns()) != IST_RUN)
        relax();
}

static void tend(struct run *r, int end, struct ist_endpoint lane[LANES])
{
    if (ist_lanes_poll(lane, LANES, now_ns()) != IST_RUN)
        fail(r, end, "link ended: %s", ist_verdict_name(ist_lanes_worst(lane, LANES)->reason));
}

static uint32_t late(uint64_t due, uint64_t now)
{
    return now <= due ? 0 : now - due > UINT32_MAX ? UINT32_MAX : (uint32_t)(now - due);
}

/* ---- the sender ------------------------------------------------------------------------------------------------ */

/* Fills the time until the next frame is due with bulk frames, a few to a publication; a full ring is waited for. */
static uint64_t send_bulk(struct run *r, struct ist_endpoint *bulk, uint8_t *frame, uint64_t *sequence)
{
    for (uint32_t n = 0; n < BULK_BATCH; n++) {
        memcpy(frame, sequence, sizeof *sequence);
        const enum ist_verdict v = ist_send(bulk, frame, BULK_FRAME, NULL);
        if (v == IST_V_FULL)
            break;
        if (v != IST_V_OK)
            fail(r, 0, "send: %s", ist_verdict_name(v));
        ++*sequence;
    }
    (void)ist_publish(bulk);
    return now_ns();
}

static void lead(struct run *r, int loaded)
{
    static uint8_t bulk_frame[BULK_FRAME], frame[FRAME];
    struct ist_endpoint lane[LANES];
    uint64_t bulk = 0, due;
    open_lanes(r, 0, lane);
    meet(r, 0);
    meter_start(&r->board->report[0].rtt);
    due = now_ns() + 10u * PERIOD_NS;
    for (uint32_t n = 0; n < WARM + WANTED; n++, due += PERIOD_NS) {
        for (uint64_t now = now_ns(); now < due;) {
            if (loaded) {
                now = send_bulk(r, &lane[BULK], bulk_frame, &bulk);
            } else {
                relax();
                now = now_ns();
            }
        }
        memcpy(frame, &due, sizeof due);
        memcpy(frame + sizeof due, &n, sizeof n);
        while (ist_send(&lane[CRITICAL], frame, FRAME, NULL) != IST_V_OK)
            if (ist_link_state(&lane[CRITICAL]) != IST_RUN)
                fail(r, 0, "link ended");
        (void)ist_publish(&lane[CRITICAL]);
        if (n % TEND_EVERY == 0)
            tend(r, 0, lane);
    }
    meter_stop(&r->board->report[0].rtt);
}

/* ---- the receiver ---------------------------------------------------------------------------------------------- */

static int receive(struct run *r, struct ist_endpoint *from, void *frame, uint32_t length)
{
    struct ist_frame f = {0, {0, 0, 0, 0}};
    const enum ist_verdict v = ist_receive(from, 0, frame, &f);
    if (v == IST_V_EMPTY)
        return 0;
    if (v != IST_V_OK || f.length != length)
        fail(r, 1, "receive: %s, %u bytes", ist_verdict_name(v), f.length);
    return 1;
}

static void follow(struct run *r)
{
    static _Alignas(LINE) uint8_t frame[1518];
    static uint32_t sample[WANTED];
    struct ist_endpoint lane[LANES];
    uint64_t bulk = 0, due, sequence;
    uint32_t count = 0, n;
    memset(sample, 1, sizeof sample);
    open_lanes(r, 1, lane);
    meet(r, 1);
    meter_start(&r->board->report[1].rtt);
    while (count < WARM + WANTED) {
        if (receive(r, &lane[CRITICAL], frame, FRAME)) {
            memcpy(&due, frame, sizeof due);
            memcpy(&n, frame + sizeof due, sizeof n);
            if (n != count)
                fail(r, 1, "critical frame %u arrived as number %u", n, count);
            if (count >= WARM)
                sample[count - WARM] = late(due, now_ns());
            if (count++ % TEND_EVERY == 0)
                tend(r, 1, lane);
        } else if (receive(r, &lane[BULK], frame, BULK_FRAME)) {
            memcpy(&sequence, frame, sizeof sequence);
            if (sequence != bulk++)
                fail(r, 1, "bulk frame %llu arrived as number %llu", (unsigned long long)sequence,
                     (unsigned long long)bulk - 1u);
        } else {
            relax();
        }
    }
    meter_stop(&r->board->report[1].rtt);
    memcpy(r->board->report[0].sample, sample, sizeof sample);
    r->board->report[0].samples = WANTED;
    r->board->report[0].ns_per_tick = 1.0;
}

/* ---- the cases ------------------------------------------------------------------------------------------------- */

static void traffic(struct run *r, int end, int loaded)
{
    meet(r, end);
    pingpong(r, end, 5000000u, 0);
    end == 0 ? lead(r, loaded) : follow(r);
    meet(r, end);
}

static void idle(struct run *r, int end) { traffic(r, end, 0); }
static void loaded(struct run *r, int end) { traffic(r, end, 1); }

static int nothing(struct run *r, const char **why)
{
    (void)r, (void)why;
    return 0;
}

static void timer(struct run *r, int end)
{
    struct report *report = &r->board->report[0];
    meet(r, end);
    pingpong(r, end, 5000000u, 0);
    meter_start(&r->board->report[end].rtt);
    if (end == 0) {
        uint64_t due = now_ns() + 10u * PERIOD_NS;
        for (uint32_t n = 0; n < WARM + WANTED; n++, due += PERIOD_NS) {
            uint64_t now;
            while ((now = now_ns()) < due)
                relax();
            if (n >= WARM)
                report->sample[n - WARM] = late(due, now);
        }
        report->samples = WANTED;
        report->ns_per_tick = 1.0;
    }
    meet(r, end); /* its only wait is here: the other end keeps its processor awake */
    meter_stop(&r->board->report[end].rtt);
}

const struct bench_case case_latency_idle = {.name = "latency.idle", .prepare = prepare, .traffic = idle, .one_way = 1};
const struct bench_case case_latency_loaded = {.name = "latency.loaded", .prepare = prepare, .traffic = loaded, .one_way = 1};
const struct bench_case case_latency_timer = {.name = "latency.timer", .prepare = nothing, .traffic = timer, .one_way = 1};
