/* SPDX-License-Identifier: MIT */
/* iperf.c - an iperf 2 server: discards what comes, and sends back where a connection's header asks for it, at the same
 * time (-d) or afterwards (-r). */
#include "freertosapps.h"

#include <string.h>

#define PORT 5001u
#define CONNECTIONS 4u
#define WINDOW (128u << 10) /* half of the channel's ring: a full one loses what is sent */
#define CONNECT_LIMIT pdMS_TO_TICKS(5000)
#define IDLE_LIMIT pdMS_TO_TICKS(10000)
#define SECONDS_MAX 3600u
#define ANSWER 0x80000000u
#define NOW 0x00000001u

/* As it is on the wire, in network order. */
struct header {
    uint32_t flags, threads, port, length, window, amount;
};

/* A connection that we open. */
struct job {
    struct freertos_sockaddr to;
    uint64_t bytes;  /* 0: no limit but ... */
    TickType_t time; /* ... this */
};

static QueueHandle_t jobs;
static struct {
    uint64_t sessions, aborted, kbit_s;
} count;

/* ---- out ------------------------------------------------------------------------------------------------------------- */

/* 0, or -1 where it was broken. */
static int send_all(Socket_t s, const struct job *j)
{
    static const char zeros[16u << 10];
    const TickType_t begun = xTaskGetTickCount();
    uint64_t sent = 0;

    while (j->bytes != 0 ? sent < j->bytes : xTaskGetTickCount() - begun < j->time) {
        const uint64_t left = j->bytes - sent;
        const size_t n = j->bytes != 0 && left < sizeof zeros ? (size_t)left : sizeof zeros;

        if (service_send(s, zeros, n) != 0)
            return -1;
        sent += n;
    }
    return 0;
}

static void send_job(const struct job *j)
{
    const WinProperties_t window = {WINDOW, SEGMENTS(WINDOW), 4096, 2};
    const TickType_t limit = CONNECT_LIMIT;
    const Socket_t s = FreeRTOS_socket(FREERTOS_AF_INET, FREERTOS_SOCK_STREAM, FREERTOS_IPPROTO_TCP);
    void *rest;

    if (s == FREERTOS_INVALID_SOCKET)
        return;
    FreeRTOS_setsockopt(s, 0, FREERTOS_SO_RCVTIMEO, &limit, sizeof limit);
    FreeRTOS_setsockopt(s, 0, FREERTOS_SO_SNDTIMEO, &limit, sizeof limit);
    FreeRTOS_setsockopt(s, 0, FREERTOS_SO_WIN_PROPERTIES, &window, sizeof window);
    if (FreeRTOS_connect(s, &j->to, sizeof j->to) != 0 || send_all(s, j) != 0)
        count.aborted++;
    FreeRTOS_shutdown(s, FREERTOS_SHUT_RDWR);
    for (BaseType_t n = 1; n > 0;) { /* until the peer has taken everything and closes */
        n = FreeRTOS_recv(s, &rest, WINDOW, FREERTOS_ZERO_COPY);
        if (n > 0)
            FreeRTOS_ReleaseTCPPayloadBuffer(s, rest, n);
    }
    FreeRTOS_closesocket(s);
}

static void sender(void *unused)
{
    struct job j;

    (void)unused;
    for (;;)
        if (xQueueReceive(jobs, &j, portMAX_DELAY) == pdTRUE)
            send_job(&j);
}

/* To the peer of `s`, as its header asks for. */
static void answer(Socket_t s, const struct header *h)
{
    const int32_t amount = (int32_t)FreeRTOS_ntohl(h->amount);
    struct job j = {.bytes = amount > 0 ? (uint64_t)amount : 0};
    uint64_t centiseconds = amount < 0 ? (uint64_t)-(int64_t)amount : 0;

    if (centiseconds > SECONDS_MAX * 100u)
        centiseconds = SECONDS_MAX * 100u;
    j.time = pdMS_TO_TICKS(centiseconds * 10u);
    FreeRTOS_GetRemoteAddress(s, &j.to);
    j.to.sin_len = sizeof j.to;
    j.to.sin_family = FREERTOS_AF_INET;
    j.to.sin_port = FreeRTOS_htons((uint16_t)FreeRTOS_ntohl(h->port));
    if (xQueueSend(jobs, &j, 0) != pdTRUE)
        count.aborted++;
}

/* ---- in -------------------------------------------------------------------------------------------------------------- */

static void serve(Socket_t s, unsigned worker)
{
    const TickType_t idle = IDLE_LIMIT, begun = xTaskGetTickCount();
    struct header h = {0};
    uint64_t total = 0;
    uint32_t flags;
    size_t got;
    BaseType_t n;

    (void)worker;
    FreeRTOS_setsockopt(s, 0, FREERTOS_SO_RCVTIMEO, &idle, sizeof idle);
    for (size_t have = 0; have < sizeof h; have += (size_t)n) {
        n = FreeRTOS_recv(s, (char *)&h + have, sizeof h - have, 0);
        if (n <= 0)
            return;
    }
    flags = FreeRTOS_ntohl(h.flags);
    if ((flags & (ANSWER | NOW)) == (ANSWER | NOW))
        answer(s, &h);
    for (void *data; (got = service_receive(s, &data, WINDOW, IDLE_LIMIT)) > 0; total += got)
        FreeRTOS_ReleaseTCPPayloadBuffer(s, data, (BaseType_t)got);
    if ((flags & (ANSWER | NOW)) == ANSWER)
        answer(s, &h);
    count.sessions++;
    count.kbit_s = total * 8u / (pdTICKS_TO_MS(xTaskGetTickCount() - begun) + 1u);
}

int iperf_start(void)
{
    static struct service tcp = {.name = "iperf", .port = PORT, .workers = CONNECTIONS, .priority = PRIORITY_BULK,
                                 .window = WINDOW, .serve = serve};

    jobs = xQueueCreate(CONNECTIONS, sizeof(struct job));
    if (jobs == NULL || xTaskCreate(sender, "iperf-out", configMINIMAL_STACK_SIZE * 2, NULL, PRIORITY_BULK, NULL) != pdPASS)
        return -1;
    return service_start(&tcp);
}

void iperf_json(struct text *t)
{
    text_open(t, "iperf");
    text_member(t, "sessions", count.sessions);
    text_member(t, "aborted", count.aborted);
    text_member(t, "last_kbit_s", count.kbit_s);
    text_close(t);
}
