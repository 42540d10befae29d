/* SPDX-License-Identifier: MIT */
/* datagram.c - a UDP port, served by the task that calls. */
#include "freertosapps.h"

#include "FreeRTOS_IP_Private.h"

void datagram_serve(uint16_t port, datagram_fn serve)
{
    const struct freertos_sockaddr any = {.sin_len = sizeof any, .sin_family = FREERTOS_AF_INET,
                                          .sin_port = FreeRTOS_htons(port)};
    const TickType_t for_ever = portMAX_DELAY, never = 0;
    Socket_t s;

    while (xIPIsNetworkTaskReady() == pdFALSE) /* it may stand below this one */
        vTaskDelay(1);
    s = FreeRTOS_socket(FREERTOS_AF_INET, FREERTOS_SOCK_DGRAM, FREERTOS_IPPROTO_UDP);
    configASSERT(s != FREERTOS_INVALID_SOCKET);
    FreeRTOS_setsockopt(s, 0, FREERTOS_SO_RCVTIMEO, &for_ever, sizeof for_ever);
    FreeRTOS_setsockopt(s, 0, FREERTOS_SO_SNDTIMEO, &never, sizeof never);
    while (FreeRTOS_bind(s, &any, sizeof any) != 0) /* until there is a link */
        vTaskDelay(pdMS_TO_TICKS(10));
    for (;;) {
        struct freertos_sockaddr from;
        socklen_t length = sizeof from;
        void *data;
        const int32_t n = FreeRTOS_recvfrom(s, &data, 0, FREERTOS_ZERO_COPY, &from, &length);

        if (n >= 0)
            serve(s, data, (size_t)n, &from);
    }
}
