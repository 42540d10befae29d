/* SPDX-License-Identifier: MIT */
/* networked.c - the task inside the network work: a UDP port whose datagrams the critical application answers. */
#include "freertosapps.h"

#include <string.h>

#include "platform.h"

#define DATAGRAM_MAX 512u /* longer ones are not the application's */

static uint16_t port;

static void answer_datagrams(void *unused)
{
    const struct freertos_sockaddr any = {.sin_len = sizeof any, .sin_family = FREERTOS_AF_INET,
                                          .sin_port = FreeRTOS_htons(port)};
    const TickType_t for_ever = portMAX_DELAY, never = 0;
    const Socket_t s = FreeRTOS_socket(FREERTOS_AF_INET, FREERTOS_SOCK_DGRAM, FREERTOS_IPPROTO_UDP);
    static uint8_t datagram[DATAGRAM_MAX];

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
        if ((uint32_t)n <= DATAGRAM_MAX)
            memcpy(datagram, data, (size_t)n);
        FreeRTOS_ReleaseUDPPayloadBuffer(data);
        if ((uint32_t)n <= DATAGRAM_MAX && platform_inside_begin()) {
            const uint32_t answer = application.inside(platform_now(), datagram, (uint32_t)n, DATAGRAM_MAX);

            if (answer > 0 && answer <= DATAGRAM_MAX)
                (void)FreeRTOS_sendto(s, datagram, answer, 0, &from, length);
            platform_inside_end();
        }
    }
}

int networked_start(const struct task_spec *spec, const struct flow *flows)
{
    if (spec->name == NULL)
        return 0;
    while (flows->name != NULL && strcmp(flows->name, spec->flow) != 0)
        flows++;
    if (flows->name == NULL)
        return -1;
    port = (uint16_t)flows->port;
    return xTaskCreate(answer_datagrams, "inside", configMINIMAL_STACK_SIZE * 2, NULL, PRIORITY_INSIDE, NULL) == pdPASS ? 0 : -1;
}
