/* SPDX-License-Identifier: MIT */
/* echo.c - RFC 862 over UDP and TCP. A datagram goes back in the buffer that it came in. A TCP connection is read only as
 * far as it is written: a peer that does not read stops being read. */
#include "freertosapps.h"

#define PORT 7u
#define CONNECTIONS 8u
#define WINDOW (64u << 10)
#define PIECE_MAX (16u << 10) /* bytes that are read at once */
#define IDLE_LIMIT pdMS_TO_TICKS(120000)

static struct {
    uint64_t datagrams, udp_bytes, connections, tcp_bytes;
} count;

static void echo_datagram(Socket_t s, void *data, size_t n, const struct freertos_sockaddr *from)
{
    if (n == 0) { /* 0 says both that it was sent and that it was not: a copy leaves no doubt whose the buffer is */
        FreeRTOS_ReleaseUDPPayloadBuffer(data);
        (void)FreeRTOS_sendto(s, "", 0, 0, from, sizeof *from);
    } else if (FreeRTOS_sendto(s, data, n, FREERTOS_ZERO_COPY, from, sizeof *from) == 0) {
        FreeRTOS_ReleaseUDPPayloadBuffer(data); /* not taken: still ours */
        return;
    }
    count.datagrams++;
    count.udp_bytes += n;
}

static void echo_datagrams(void *unused)
{
    (void)unused;
    datagram_serve(PORT, echo_datagram);
}

static void serve(Socket_t s, unsigned worker)
{
    (void)worker;
    count.connections++;
    for (;;) {
        void *data;
        const size_t n = service_receive(s, &data, PIECE_MAX, IDLE_LIMIT);
        int sent;

        if (n == 0)
            return;
        sent = service_send(s, data, n);
        FreeRTOS_ReleaseTCPPayloadBuffer(s, data, (BaseType_t)n);
        if (sent != 0)
            return;
        count.tcp_bytes += n;
    }
}

int echo_start(void)
{
    static struct service tcp = {.name = "echo", .port = PORT, .workers = CONNECTIONS, .priority = PRIORITY_APPS,
                                 .window = WINDOW, .serve = serve};

    if (xTaskCreate(echo_datagrams, "echo-udp", configMINIMAL_STACK_SIZE * 2, NULL, PRIORITY_APPS, NULL) != pdPASS)
        return -1;
    return service_start(&tcp);
}

void echo_json(struct text *t)
{
    text_open(t, "udp_echo");
    text_member(t, "datagrams", count.datagrams);
    text_member(t, "bytes", count.udp_bytes);
    text_close(t);
    text_open(t, "tcp_echo");
    text_member(t, "connections", count.connections);
    text_member(t, "bytes", count.tcp_bytes);
    text_close(t);
}
