/* SPDX-License-Identifier: MIT */
/* service.c - a TCP server: one task accepts, a fixed number of workers serves. Nothing is allocated once it runs but
 * what the stack takes for a socket, whose number is bounded by the workers and the backlog. */
#include "freertosapps.h"

#include "FreeRTOS_IP_Private.h"

#define WORDS (configMINIMAL_STACK_SIZE * 2)
#define BACKLOG 4
#define SEND_LIMIT pdMS_TO_TICKS(2000)
/* The stack keeps an acknowledgement back for 20 ms as long as the peer may send two more segments. So the window is one
 * that a peer fills at once: Linux begins with ten segments. */
#define RECEIVE_SEGMENTS 12
#define LOOK pdMS_TO_TICKS(20)
#define CLOSE_LIMIT pdMS_TO_TICKS(2000)

/* Says that we are done and takes what still comes until the peer is, too: a socket that is closed with unread data
 * would be reset, and the peer lose what it had not read. */
static void finish(Socket_t s)
{
    const TickType_t wait = CLOSE_LIMIT, begun = xTaskGetTickCount();
    void *data;
    BaseType_t n = 0;

    FreeRTOS_setsockopt(s, 0, FREERTOS_SO_RCVTIMEO, &wait, sizeof wait);
    FreeRTOS_shutdown(s, FREERTOS_SHUT_RDWR);
    while (n >= 0 && xTaskGetTickCount() - begun < CLOSE_LIMIT) {
        n = FreeRTOS_recv(s, &data, 1u << 16, FREERTOS_ZERO_COPY);
        if (n > 0)
            FreeRTOS_ReleaseTCPPayloadBuffer(s, data, n);
    }
    FreeRTOS_closesocket(s);
}

/* Each worker knows its number: what it needs beside its stack is a static array's. */
static void work(void *of)
{
    struct service *const me = of;
    unsigned number;
    Socket_t s;

    taskENTER_CRITICAL();
    number = me->workers++;
    taskEXIT_CRITICAL();
    for (;;) {
        if (xQueueReceive(me->waiting, &s, portMAX_DELAY) != pdTRUE)
            continue;
        me->serve(s, number);
        finish(s);
    }
}

static Socket_t listener(const struct service *me)
{
    const struct freertos_sockaddr any = {.sin_len = sizeof any, .sin_family = FREERTOS_AF_INET,
                                          .sin_port = FreeRTOS_htons(me->port)};
    const int32_t bytes = (int32_t)me->window;
    const WinProperties_t window = {bytes, SEGMENTS(bytes), bytes, RECEIVE_SEGMENTS};
    const TickType_t for_ever = portMAX_DELAY, limit = SEND_LIMIT;
    const Socket_t s = FreeRTOS_socket(FREERTOS_AF_INET, FREERTOS_SOCK_STREAM, FREERTOS_IPPROTO_TCP);

    if (s == FREERTOS_INVALID_SOCKET)
        return s;
    FreeRTOS_setsockopt(s, 0, FREERTOS_SO_RCVTIMEO, &for_ever, sizeof for_ever);
    FreeRTOS_setsockopt(s, 0, FREERTOS_SO_SNDTIMEO, &limit, sizeof limit);
    FreeRTOS_setsockopt(s, 0, FREERTOS_SO_WIN_PROPERTIES, &window, sizeof window);
    if (FreeRTOS_bind(s, &any, sizeof any) == 0 && FreeRTOS_listen(s, BACKLOG) == 0)
        return s;
    FreeRTOS_closesocket(s);
    return FREERTOS_INVALID_SOCKET;
}

static void listen(void *of)
{
    const struct service *const me = of;
    struct freertos_sockaddr from;
    socklen_t length = sizeof from;
    Socket_t socket = FREERTOS_INVALID_SOCKET;

    for (;;) {
        Socket_t s;

        /* Without a link there is nothing to bind to: until it comes. */
        for (; socket == FREERTOS_INVALID_SOCKET; vTaskDelay(pdMS_TO_TICKS(10)))
            socket = listener(me);
        s = FreeRTOS_accept(socket, &from, &length);
        if (s == NULL || s == FREERTOS_INVALID_SOCKET)
            continue;
        if (xQueueSend(me->waiting, &s, 0) != pdTRUE)
            FreeRTOS_closesocket(s);
    }
}

int service_start(struct service *s)
{
    const unsigned workers = s->workers;

    s->workers = 0; /* they count themselves in again */
    s->waiting = xQueueCreate(BACKLOG, sizeof(Socket_t));
    if (s->waiting == NULL)
        return -1;
    for (unsigned i = 0; i < workers; i++)
        if (xTaskCreate(work, s->name, WORDS, s, s->priority, NULL) != pdPASS)
            return -1;
    return xTaskCreate(listen, s->name, WORDS, s, s->priority, NULL) == pdPASS ? 0 : -1;
}

/* Where a FIN comes while data of ours is on its way, the stack acknowledges it and tells nobody: a reader would wait for
 * ever. So this looks, whenever nothing has come for a while, into what only the stack's own sources should. (A FIN that
 * comes when nothing is on its way is answered by one of the stack's own at once: there are no half-closed connections,
 * and what the application has not read by then it cannot answer any more.) */
static int peer_finished(Socket_t s)
{
    return ((const FreeRTOS_Socket_t *)s)->u.xTCP.bits.bFinRecv != 0;
}

size_t service_receive(Socket_t s, void **data, size_t most, TickType_t idle)
{
    const TickType_t look = LOOK, begun = xTaskGetTickCount();
    BaseType_t n;

    FreeRTOS_setsockopt(s, 0, FREERTOS_SO_RCVTIMEO, &look, sizeof look);
    for (;;) {
        const int finished = peer_finished(s); /* before the last look for data */

        n = FreeRTOS_recv(s, data, most, FREERTOS_ZERO_COPY);
        if (n != 0 || finished || xTaskGetTickCount() - begun >= idle)
            return n > 0 ? (size_t)n : 0;
    }
}

int service_send(Socket_t s, const void *data, size_t bytes)
{
    for (const char *at = data; bytes > 0;) {
        const BaseType_t n = FreeRTOS_send(s, at, bytes, 0);

        if (n <= 0)
            return -1;
        at += n;
        bytes -= (size_t)n;
    }
    return 0;
}
