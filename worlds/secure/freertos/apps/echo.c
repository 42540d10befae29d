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

static void echo_datagrams(void *unused)
{
    const struct freertos_sockaddr any = {.sin_len = sizeof any, .sin_family = FREERTOS_AF_INET,
                                          .sin_port = FreeRTOS_htons(PORT)};
    const TickType_t for_ever = portMAX_DELAY, never = 0;
    const Socket_t s = FreeRTOS_socket(FREERTOS_AF_INET, FREERTOS_SOCK_DGRAM, FREERTOS_IPPROTO_UDP);

    (void)unused;
    configASSERT(s != FREERTOS_INVALID_SOCKET);
    FreeRTOS_setsockopt(s, 0, FREERTOS_SO_RCVTIMEO, &for_ever, sizeof for_ever);
    FreeRTOS_setsockopt(s, 0, FREERTOS_SO_SNDTIMEO, &never, sizeof never);
    while (FreeRTOS_bind(s, &any, sizeof any) != 0)
        vTaskDelay(pdMS_TO_TICKS(10));
    for (;;) {
        struct freertos_sockaddr from;
        socklen_t length = sizeof from;
        void *data;
        const int32_t n = FreeRTOS_recvfrom(s, &data, 0, FREERTOS_ZERO_COPY, &from, &length);

        if (n < 0)
            continue;
        if (FreeRTOS_sendto(s, data, (size_t)n, FREERTOS_ZERO_COPY, &from, length) == 0) {
            FreeRTOS_ReleaseUDPPayloadBuffer(data); /* not taken: still ours */
            if (n > 0)
                continue;
        }
        count.datagrams++;
        count.udp_bytes += (uint64_t)n;
    }
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
