/* SPDX-License-Identifier: MIT */
/* traffic.h - the same traffic for every case, compiled into each so that nothing is called through a pointer.
 *
 * A case defines, then includes this file:
 *   CASE                                     its struct bench_case
 *   struct port                              one end
 *   void port_open(struct port *, struct run *, int end)
 *   int port_send(struct port *, const void *frame, uint32_t n)     1 sent (perhaps not yet visible), 0 no room
 *   void port_publish(struct port *)                                 makes sent frames visible
 *   uint32_t port_receive(struct port *, void *frame)                length, or 0
 *   void port_wait_room(struct port *), void port_wait_frame(struct port *)   after 0: spin or sleep
 *   int prepare(struct run *, const char **why)                                                                    */
#include <string.h>

#include "bench.h"

/* The sequence's top bits mark the end of a phase's part; the rest counts frames. */
#define MARK_WARM (1ull << 63) /* last frame of the warm-up */
#define MARK_LAST (1ull << 62) /* last frame of the phase */
#define SEQUENCE(word) ((word) & (MARK_LAST - 1u))
#define CLOCK_EVERY 256u /* frames between two looks at the clock in flood */
_Static_assert(sizeof(uint64_t) == 8, "the stamp is eight bytes");

static inline void put_frame(struct port *p, unsigned char *frame, uint32_t n, uint64_t stamp)
{
    memcpy(frame, &stamp, sizeof stamp);
    while (!port_send(p, frame, n)) {
        port_publish(p);
        port_wait_room(p);
    }
}

static inline uint64_t get_frame(struct port *p, struct run *r, int end, unsigned char *frame, uint32_t n,
                                 uint64_t sequence)
{
    uint32_t got;
    while ((got = port_receive(p, frame)) == 0)
        port_wait_frame(p);
    uint64_t stamp;
    memcpy(&stamp, frame, sizeof stamp);
    if (__builtin_expect(got != n || SEQUENCE(stamp) != sequence, 0))
        fail(r, end, "frame %llu: %u bytes and sequence %llu arrived", (unsigned long long)sequence, got,
             (unsigned long long)SEQUENCE(stamp));
    return stamp;
}

static void rtt_lead(struct port *p, struct run *r, unsigned char *out, unsigned char *in)
{
    struct report *report = &r->board->report[0];
    const uint32_t n = r->opt.frame;
    uint64_t sequence = 0, until = now_ns() + r->opt.warm_ns;
    for (uint64_t mark = 0; !mark; sequence++) {
        mark = now_ns() >= until ? MARK_WARM : 0;
        put_frame(p, out, n, sequence | mark);
        port_publish(p);
        get_frame(p, r, 0, in, n, sequence);
    }
    uint64_t count = 0;
    meter_start(&report->rtt);
    const uint64_t start_ns = now_ns(), start = ticks();
    until = start_ns + r->opt.rtt_ns;
    uint64_t before = start;
    for (uint64_t mark = 0; !mark; sequence++) {
        if (count % CLOCK_EVERY == 0) { /* this look falls between two samples, not into one */
            mark = now_ns() >= until ? MARK_LAST : 0;
            before = ticks();
        }
        if (count == SAMPLES - 1u)
            mark = MARK_LAST;
        put_frame(p, out, n, sequence | mark);
        port_publish(p);
        get_frame(p, r, 0, in, n, sequence);
        const uint64_t after = ticks(), took = after - before;
        report->sample[count++] = took > UINT32_MAX ? UINT32_MAX : (uint32_t)took;
        before = after;
    }
    report->ns_per_tick = (double)(now_ns() - start_ns) / (double)(ticks() - start);
    meter_stop(&report->rtt);
    report->samples = count;
}

static void rtt_follow(struct port *p, struct run *r, unsigned char *frame)
{
    struct report *report = &r->board->report[1];
    const uint32_t n = r->opt.frame;
    for (uint64_t sequence = 0;; sequence++) {
        const uint64_t stamp = get_frame(p, r, 1, frame, n, sequence);
        if (stamp & MARK_WARM)
            meter_start(&report->rtt);
        put_frame(p, frame, n, stamp);
        port_publish(p);
        if (stamp & MARK_LAST)
            break;
    }
    meter_stop(&report->rtt);
}

static uint64_t flood_part(struct port *p, struct run *r, unsigned char *frame, uint64_t sequence, uint64_t ns,
                           uint64_t mark)
{
    const uint32_t n = r->opt.frame, batch = r->opt.batch;
    const uint64_t until = now_ns() + ns;
    do {
        for (uint32_t sent = 0; sent < CLOCK_EVERY; sent += batch) {
            for (uint32_t i = 0; i < batch; i++)
                put_frame(p, frame, n, sequence++);
            port_publish(p);
        }
    } while (now_ns() < until);
    put_frame(p, frame, n, sequence++ | mark);
    port_publish(p);
    return sequence;
}

static void flood_lead(struct port *p, struct run *r, unsigned char *frame)
{
    struct report *report = &r->board->report[0];
    const uint64_t sequence = flood_part(p, r, frame, 0, r->opt.rewarm_ns, MARK_WARM);
    meter_start(&report->flood);
    flood_part(p, r, frame, sequence, r->opt.flood_ns, MARK_LAST);
    meter_stop(&report->flood);
}

static void flood_follow(struct port *p, struct run *r, unsigned char *frame)
{
    struct report *report = &r->board->report[1];
    const uint32_t n = r->opt.frame;
    uint64_t sequence = 0, first = 0, stamp;
    do {
        stamp = get_frame(p, r, 1, frame, n, sequence++);
        if (__builtin_expect((stamp & MARK_WARM) != 0, 0)) {
            first = sequence;
            meter_start(&report->flood);
        }
    } while (!(stamp & MARK_LAST));
    meter_stop(&report->flood);
    report->frames = sequence - first;
}

static void traffic(struct run *r, int end)
{
    static _Thread_local _Alignas(LINE) unsigned char out[FRAME_ROOM], in[FRAME_ROOM];
    struct port port;
    memset(&port, 0, sizeof port);
    memset(out, 0x5a, sizeof out);
    memset(in, 0xa5, sizeof in);
    memset(r->board->report[end].sample, 1, sizeof r->board->report[end].sample);
    port_open(&port, r, end);
    meet(r, end);
    pingpong(r, end, 5000000u, 0);
    if (r->opt.rtt_ns) {
        meet(r, end);
        end == 0 ? rtt_lead(&port, r, out, in) : rtt_follow(&port, r, in);
    }
    if (r->opt.flood_ns) {
        meet(r, end);
        end == 0 ? flood_lead(&port, r, out) : flood_follow(&port, r, in);
    }
    meet(r, end); /* nobody hangs up on the other's last frame */
}

const struct bench_case CASE = {CASE_NAME, prepare, traffic};
