/* SPDX-License-Identifier: MIT */
/* port.c - the lwIP port and the applications in one process: the Secure world's half is real, the Normal world is this
 * file. Built with AddressSanitizer; sys_now() is a number. Usage: port SEED. Prints one line per case, or aborts.
 *
 *     this file -- struct ist_endpoint (Normal) == memory == struct ist_endpoint (Secure) -- isthmusif -- lwIP -- apps */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "apps.h"
#include "isthmusif.h"
#include "lwip/init.h"
#include "lwip/timeouts.h"
#include "lwipapps.h"
#include "lwiphooks.h"
#include "netif/ethernet.h"
#include "platform.h"

#define CHECK(x) ((x) ? (void)0 : fail(#x, __LINE__))
#define FRAME_MAX 1536u
#define BUFFERS 4u

static struct ist_endpoint normal, secure;
static struct isthmusif port;
static struct netif netif;
static uint64_t now = 1000000;
static uint64_t dice;
static struct task tasks[TASKS] = {[TASK_INSIDE].spec = {"setpoints", "setpoints", 1, 1, 1}};
static const struct flow flows[] = {{"setpoints", FLOW_UDP, 7700}, {0}};

static _Noreturn void fail(const char *what, int line)
{
    fprintf(stderr, "port.c:%d: %s\n", line, what);
    abort();
}

_Noreturn void isthmus_lwip_assert(const char *what, const char *file, int line)
{
    fprintf(stderr, "%s:%d: %s\n", file, line, what);
    abort();
}

static uint64_t roll(void)
{
    dice ^= dice << 13;
    dice ^= dice >> 7;
    dice ^= dice << 17;
    return dice;
}

uint32_t isthmus_lwip_random(void)
{
    return (uint32_t)roll();
}

u32_t sys_now(void)
{
    return (u32_t)(now / 1000000u);
}

/* ---- the two worlds -------------------------------------------------------------------------------------------- */

static void no_critical(struct critical_report *r)
{
    memset(r, 0, sizeof *r);
}

uint64_t platform_now(void)
{
    return now;
}

enum task_place platform_running(void)
{
    return TASKS;
}

uint64_t platform_used(void)
{
    return 0;
}

int platform_inside_begin(void)
{
    return 1;
}

void platform_inside_end(void)
{
}

static uint64_t clock_now(void)
{
    return now;
}

static uint64_t never(void)
{
    return 0;
}

static void link_up(uint64_t epoch)
{
    const ist_u64 key[2] = {1, 2};

    ist_begin(&normal, epoch, key, now);
    ist_begin(&secure, epoch, key, now);
    for (int i = 0; i < 6; i++) {
        ist_poll(&normal, now);
        isthmusif_link(&netif, ist_poll(&secure, now));
    }
    CHECK(ist_link_state(&normal) == IST_RUN && ist_link_state(&secure) == IST_RUN);
    CHECK(netif_is_link_up(&netif));
}

static void stack(struct stack_status *s)
{
    lwip_status(&netif, &port.buffers[0].pool, s);
}

static void start(void)
{
    static struct status_source source = {.critical = no_critical, .now = clock_now, .last_frame = never, .stack = stack};
    struct ist_config c = {.ring_bytes = {16384, 16384}, .frame_max = FRAME_MAX, .mtu = 1500};
    ip4_addr_t ip, mask, gateway;
    void *own[2];
    size_t rx = (FRAME_MAX + 256u) * BUFFERS;

    for (ist_u32 role = 0; role < 2; role++) {
        own[role] = aligned_alloc(128, (ist_buffer_size(&c, role) + 127u) / 128u * 128u);
        CHECK(own[role] != NULL);
        memset(own[role], 0xa5, ist_buffer_size(&c, role)); /* as RAM is found */
    }
    CHECK(ist_init(&normal, &c, own[0], own[1]) == IST_V_OK);
    c.role = IST_SECURE;
    CHECK(ist_init(&secure, &c, own[1], own[0]) == IST_V_OK);

    port.lanes = 1;
    port.lane[0].ep = &secure;
    port.mtu = 1500;
    memcpy(port.mac, "\x02IS\0\0\2", 6);
    rxpool_init(&port.buffers[0].pool, malloc(rx), rx, FRAME_MAX);
    CHECK(port.buffers[0].pool.count >= BUFFERS);
    IP4_ADDR(&ip, 10, 77, 0, 2);
    IP4_ADDR(&mask, 255, 255, 255, 0);
    IP4_ADDR(&gateway, 10, 77, 0, 1);
    lwip_init();
    CHECK(netif_add(&netif, &ip, &mask, &gateway, &port, isthmusif_init, ethernet_input) != NULL);
    netif_set_default(&netif);
    netif_set_up(&netif);
    source.ep = &secure;
    source.units_per_us = 1000;
    critical_init(tasks, flows, &secure, 1);
    port.valid = critical_frame;
    CHECK(apps_start(&source) == 0 && networked_start(&tasks[TASK_INSIDE].spec, flows) == 0);
}

/* ---- frames ----------------------------------------------------------------------------------------------------- */

static uint8_t frame[FRAME_MAX];

static void put16(uint8_t *p, uint32_t v)
{
    p[0] = (uint8_t)(v >> 8);
    p[1] = (uint8_t)v;
}

static uint32_t fold(uint32_t sum)
{
    while (sum >> 16)
        sum = (sum & 0xffffu) + (sum >> 16);
    return sum;
}

/* The plain definition, two bytes at a time: an oracle for chksum.c. */
static uint32_t sum_of(const uint8_t *p, uint32_t n, uint32_t sum)
{
    for (uint32_t i = 0; i < n; i++)
        sum += i % 2 ? p[i] : (uint32_t)p[i] << 8;
    return fold(sum);
}

/* An IPv4 frame with good checksums; returns its length. The payload behind the transport header is there already. */
static uint32_t ipv4(uint32_t protocol, uint32_t transport_length)
{
    uint8_t *ip = frame + 14, *l4 = ip + 20;
    uint32_t sum, at = protocol == 17 ? 6u : protocol == 6 ? 16u : 2u;

    memcpy(frame, "\x02IS\0\0\2\x02IS\0\0\1\x08\0", 14);
    memcpy(ip, "\x45\0\0\0\0\0\0\0\x40\0\0\0\x0a\x4d\0\1\x0a\x4d\0\2", 20);
    put16(ip + 2, 20u + transport_length);
    ip[9] = (uint8_t)protocol;
    put16(ip + 10, ~sum_of(ip, 20, 0) & 0xffffu);
    put16(l4 + at, 0);
    sum = sum_of(l4, transport_length, protocol == 1 ? 0 : sum_of(ip + 12, 8, protocol + transport_length));
    put16(l4 + at, ~sum & 0xffffu);
    return 34u + transport_length;
}

static uint32_t udp_echo(uint32_t payload)
{
    uint8_t *l4 = frame + 34;

    put16(l4, 4000);
    put16(l4 + 2, 7);
    put16(l4 + 4, 8u + payload);
    for (uint32_t i = 0; i < payload; i++)
        l4[8 + i] = (uint8_t)(i * 7u);
    return ipv4(17, 8u + payload);
}

static enum ist_verdict send_frame(uint32_t length)
{
    enum ist_verdict v = ist_send(&normal, frame, length, NULL);

    ist_publish(&normal);
    return v;
}

static uint32_t receive_step(uint32_t frames, uint32_t bytes, enum ist_verdict *why)
{
    uint32_t work;
    enum ist_verdict v = isthmusif_receive(&netif, now, frames, bytes, &work);

    isthmusif_unblock(&netif);
    isthmusif_flush(&netif);
    if (why != NULL)
        *why = v;
    return work;
}

/* Takes what the Secure world has sent; the last frame is left in `frame`, its length returned (0: none). */
static uint32_t drain(uint32_t *count)
{
    uint32_t last = 0;
    struct ist_frame f;

    for (*count = 0; ist_peek(&normal, now, &f) == IST_V_OK; ++*count) {
        CHECK(ist_take(&normal, frame) == IST_V_OK);
        last = f.length;
    }
    return last;
}

static void teach_arp(void)
{
    uint32_t n;

    memcpy(frame, "\xff\xff\xff\xff\xff\xff\x02IS\0\0\1\x08\6\0\1\x08\0\6\4\0\1\x02IS\0\0\1\x0a\x4d\0\1\0\0\0\0\0\0", 38);
    memcpy(frame + 38, "\x0a\x4d\0\2", 4);
    CHECK(send_frame(42) == IST_V_OK);
    receive_step(64, 65536, NULL);
    CHECK(drain(&n) >= 42 && memcmp(frame + 6, port.mac, 6) == 0 && frame[21] == 2);
}

/* ---- cases -------------------------------------------------------------------------------------------------------- */

static void echo_of_every_size(void)
{
    uint32_t n;

    for (uint32_t payload = 0; payload <= 1472; payload++) {
        uint32_t length = udp_echo(payload), back;
        CHECK(send_frame(length) == IST_V_OK);
        CHECK(receive_step(64, 65536, NULL) == 1);
        back = drain(&n);
        CHECK(n == 1 && back == (length < 60 ? 60 : length));
        CHECK(sum_of(frame + 14, 20, 0) == 0xffff);
        CHECK(sum_of(frame + 34, 8 + payload, sum_of(frame + 26, 8, 17 + 8 + payload)) == 0xffff);
        for (uint32_t i = 0; i < payload; i++)
            CHECK(frame[42 + i] == (uint8_t)(i * 7u));
    }
}

static void step_keeps_to_its_budget(void)
{
    enum ist_verdict why;
    uint32_t n;

    for (int i = 0; i < 10; i++)
        CHECK(send_frame(udp_echo(100)) == IST_V_OK);
    CHECK(receive_step(4, 65536, &why) == 4 && why == IST_V_OK);
    CHECK(receive_step(64, 142 * 3 - 1, &why) == 3 && why == IST_V_OK);
    CHECK(receive_step(64, 65536, &why) == 3 && why == IST_V_EMPTY);
    CHECK(receive_step(64, 65536, &why) == 0 && why == IST_V_EMPTY);
    drain(&n);
    CHECK(n == 10);
}

/* A flood against the budget over time: what is copied in each window of a period stays within the ledger's bound, which
 * is reached, and the flood passes in the end. */
static void budget_over_time_bounds_every_window(void)
{
    enum { PERIOD = 1000, BYTES = 1000, FRAMES = 200 };
    const uint64_t copied = secure.rx.bytes;
    uint64_t at[FRAMES], bytes = 0;
    uint32_t got = 0, sent = 0, n;
    enum ist_verdict why;

    budget_init(&port.lane[0].budget, PERIOD, 1000, BYTES, FRAME_MAX);
    for (int turn = 0; got < FRAMES && turn < 100000; turn++, now += 7) {
        while (sent < FRAMES && sent - got < 8 && send_frame(udp_echo(100)) == IST_V_OK)
            sent++;
        for (n = receive_step(64, 65536, &why); n > 0; n--)
            at[got++] = now;
        CHECK(why == IST_V_EMPTY || why == IST_V_BUDGET);
        drain(&n);
    }
    CHECK(got == FRAMES && secure.rx.bytes - copied == FRAMES * 142u);
    for (uint32_t i = 0; i < FRAMES; i++) {
        uint32_t k = i;
        while (k < FRAMES && at[k] - at[i] < PERIOD)
            k++;
        bytes = (k - i) * 142u > bytes ? (k - i) * 142u : bytes;
    }
    CHECK(bytes <= port.lane[0].budget.bytes_bound && bytes > BYTES);
    CHECK(port.lane[0].budget.exhausted > 0 && port.lane[0].budget.over == 0 && port.lane[0].budget.bytes_most <= bytes);
    memset(&port.lane[0].budget, 0, sizeof port.lane[0].budget);
}

static void no_buffer_is_counted_and_holds_up_nothing(void)
{
    struct pbuf *held[64];
    uint32_t count = 0, n;
    const uint64_t before = secure.count[IST_V_NO_BUFFER];

    while ((held[count] = rxpool_get(&port.buffers[0].pool, FRAME_MAX)) != NULL)
        count++;
    CHECK(count == port.buffers[0].pool.count && port.buffers[0].pool.lowest == 0);
    CHECK(send_frame(udp_echo(10)) == IST_V_OK && send_frame(udp_echo(10)) == IST_V_OK);
    CHECK(receive_step(64, 65536, NULL) == 2 && secure.count[IST_V_NO_BUFFER] == before + 2);
    while (count > 0)
        pbuf_free(held[--count]);
    CHECK(port.buffers[0].pool.available == port.buffers[0].pool.count);
    CHECK(rxpool_get(&port.buffers[0].pool, FRAME_MAX + 1u) == NULL);
    CHECK(send_frame(udp_echo(10)) == IST_V_OK && receive_step(64, 65536, NULL) == 1);
    drain(&n);
    CHECK(n == 1);
}

static void short_frames_have_buffers_of_their_own(void)
{
    struct pbuf *held[64];
    uint32_t count = 0, n;
    void *memory = malloc(4096);
    const uint64_t before = secure.count[IST_V_NO_BUFFER];

    CHECK(rxpool_init(&port.buffers[0].small, memory, 4096, 256) >= 4);
    while ((held[count] = rxpool_get(&port.buffers[0].pool, FRAME_MAX)) != NULL)
        count++;
    CHECK(send_frame(udp_echo(10)) == IST_V_OK && send_frame(udp_echo(1000)) == IST_V_OK);
    CHECK(receive_step(64, 65536, NULL) == 2 && secure.count[IST_V_NO_BUFFER] == before + 1);
    drain(&n);
    CHECK(n == 1);
    CHECK(port.buffers[0].small.available == port.buffers[0].small.count);
    while (count > 0)
        pbuf_free(held[--count]);
    while (count < 64 && (held[count] = rxpool_get(&port.buffers[0].small, 256)) != NULL)
        count++;
    CHECK(send_frame(udp_echo(10)) == IST_V_OK && receive_step(64, 65536, NULL) == 1);
    drain(&n);
    CHECK(n == 1); /* the others' stand in */
    while (count > 0)
        pbuf_free(held[--count]);
    port.buffers[0].small = (struct rxpool){0};
    free(memory);
}

static void full_ring_pushes_back_and_lets_go(void)
{
    uint32_t n, sent = 0;

    while (!port.blocked && sent < 1000) {
        CHECK(send_frame(udp_echo(1000)) == IST_V_OK);
        CHECK(receive_step(64, 65536, NULL) == 1);
        sent++;
    }
    CHECK(port.blocked && secure.count[IST_V_FULL] > 0);
    drain(&n);
    CHECK(n == sent - 1);
    ist_release(&normal);
    receive_step(64, 65536, NULL);
    CHECK(!port.blocked);
    CHECK(port.buffers[0].pool.available == port.buffers[0].pool.count);
}

static void link_follows_the_channel(void)
{
    enum ist_verdict why;

    ist_end(&normal, IST_V_PEER_LEFT);
    isthmusif_link(&netif, ist_poll(&secure, now));
    CHECK(!netif_is_link_up(&netif));
    CHECK(receive_step(64, 65536, &why) == 0 && why == IST_V_DOWN);
    for (int i = 0; i < 100; i++) { /* timers run without a link */
        now += 100000000u;
        sys_check_timeouts();
    }
    link_up(2);
    teach_arp();
}

static void exact(uint32_t size)
{
    void *memory = malloc(size);
    struct pbuf *p = pbuf_alloc(PBUF_RAW, (u16_t)size, PBUF_REF);

    CHECK(memory != NULL && p != NULL);
    memcpy(memory, frame, size);
    p->payload = memory;
    CHECK(isthmus_raw_input(p, &netif) == ERR_OK);
    free(memory);
}

/* Hostile lengths, through the channel and in a frame that ends where its memory does. The pattern goes on as it should,
 * so that only the length stops the reader. */
static void raw_frame_reads_within_itself(void)
{
    static const uint32_t lengths[] = {0, 1, 22, 23, 36, 1000, 1498, 1499, 1500, 0x7fffffff, 0xffffffe8, 0xffffffff};

    for (size_t i = 0; i < sizeof lengths / sizeof lengths[0]; i++)
        for (uint32_t size = 60; size <= FRAME_MAX; size += size < 120 ? 1u : 708u) {
            memset(frame, 0, sizeof frame);
            memcpy(frame, "\x02IS\0\0\2\x02IS\0\0\1\x88\xb5", 14);
            put16(frame + 30, lengths[i] >> 16);
            put16(frame + 32, lengths[i]);
            for (uint32_t k = 34; k < size; k++)
                frame[k] = (uint8_t)(k - 34u);
            CHECK(send_frame(size) == IST_V_OK && receive_step(64, 65536, NULL) == 1);
            exact(size);
        }
    for (uint32_t size = 15; size < 60; size++) /* shorter than the channel lets through */
        exact(size);
}

/* Frames that are nearly right: any byte may be wrong, checksums are often right. lwIP must neither fail an assertion
 * nor read beyond the frame, and lose no buffer. */
static void hostile_frames(void)
{
    static const uint16_t ports[] = {7, 80, 5001, 9};
    uint32_t n;

    for (int i = 0; i < 60000; i++) {
        uint32_t kind = (uint32_t)(roll() % 4), body = (uint32_t)(roll() % 200), length;
        uint8_t *l4 = frame + 34;

        for (uint32_t k = 0; k < 8 + body; k++)
            l4[k] = (uint8_t)roll();
        if (kind < 3) {
            put16(l4, 1024 + (uint32_t)(roll() % 8));
            put16(l4 + 2, ports[roll() % 4]);
            if (kind == 0)
                put16(l4 + 4, roll() % 4 ? 8 + body : (uint32_t)roll());
            else if (roll() % 4)
                l4[12] = (uint8_t)((5u + roll() % 4u) << 4);
            if (kind == 1 && roll() % 2)
                l4[13] = 2; /* SYN */
        } else {
            l4[0] = 8; /* echo request */
        }
        length = ipv4(kind == 0 ? 17 : kind == 3 ? 1 : 6, 20 + body);
        for (uint64_t wrong = roll() % 3; wrong > 0; wrong--)
            frame[roll() % (roll() % 2 ? 54 : length)] = (uint8_t)roll();
        if (roll() % 8 == 0)
            length = 60 + (uint32_t)(roll() % (FRAME_MAX - 59));
        send_frame(length);
        receive_step(64, 65536, NULL);
        drain(&n);
        ist_release(&normal);
        now += roll() % 20000000u;
        sys_check_timeouts();
    }
    teach_arp();
    echo_of_every_size();
    now += 600000000000u; /* ten minutes: every half-open connection is given up */
    for (int i = 0; i < 5000; i++) {
        now += 250000000u;
        sys_check_timeouts();
        receive_step(64, 65536, NULL);
        drain(&n);
        ist_release(&normal);
    }
    CHECK(port.buffers[0].pool.available == port.buffers[0].pool.count);
}

/* What the application hears of a channel with lanes: each one's verdicts, and the link as it is in all. */
static void application_hears_of_every_lane(void)
{
    static struct ist_endpoint lane[2];

    lane[0].state = lane[1].state = IST_RUN;
    lane[0].count[IST_V_FILTER] = 3;
    lane[1].count[IST_V_FILTER] = 4;
    critical_init(tasks, flows, lane, 2);
    CHECK(critical_verdicts(IST_V_FILTER) == 7);
    CHECK(critical_verdicts(IST_VERDICT_COUNT) == 0);
    CHECK(critical_link() == IST_RUN);
    lane[1].state = IST_DEAD;
    CHECK(critical_link() == IST_DEAD);
    critical_init(tasks, flows, NULL, 0);
    CHECK(critical_verdicts(IST_V_FILTER) == 0);
    critical_init(tasks, flows, &secure, 1);
    CHECK(critical_link() == ist_link_state(&secure));
}

int main(int argc, char **argv)
{
    static const struct {
        const char *name;
        void (*run)(void);
    } cases[] = {
        {"echo of every size", echo_of_every_size},
        {"a step keeps to its budget", step_keeps_to_its_budget},
        {"the budget over time bounds every window", budget_over_time_bounds_every_window},
        {"no buffer is counted and holds up nothing", no_buffer_is_counted_and_holds_up_nothing},
        {"short frames have buffers of their own", short_frames_have_buffers_of_their_own},
        {"a full ring pushes back and lets go", full_ring_pushes_back_and_lets_go},
        {"the link follows the channel", link_follows_the_channel},
        {"a raw frame is read within itself", raw_frame_reads_within_itself},
        {"the application hears of every lane", application_hears_of_every_lane},
        {"hostile frames", hostile_frames},
    };

    dice = argc > 1 ? strtoull(argv[1], NULL, 0) : 0;
    dice = dice * 2u + 1u; /* never zero */
    start();
    link_up(1);
    teach_arp();
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        cases[i].run();
        printf("%s\n", cases[i].name);
        fflush(stdout);
    }
    return 0;
}
