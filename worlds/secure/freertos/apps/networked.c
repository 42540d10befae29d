/* SPDX-License-Identifier: MIT */
/* networked.c - the task inside the network work: a UDP port whose datagrams the critical application answers. */
#include "freertosapps.h"

#include <string.h>

#include "platform.h"

#define DATAGRAM_MAX 512u /* longer ones are not the application's */

static uint16_t port;

static void answer(Socket_t s, void *data, size_t n, const struct freertos_sockaddr *from)
{
    static uint8_t datagram[DATAGRAM_MAX];

    if (n <= DATAGRAM_MAX)
        memcpy(datagram, data, n);
    FreeRTOS_ReleaseUDPPayloadBuffer(data);
    if (n <= DATAGRAM_MAX && platform_inside_begin()) {
        const uint32_t bytes = application.inside(platform_now(), datagram, (uint32_t)n, DATAGRAM_MAX);

        if (bytes > 0 && bytes <= DATAGRAM_MAX)
            (void)FreeRTOS_sendto(s, datagram, bytes, 0, from, sizeof *from);
        platform_inside_end();
    }
}

static void answer_datagrams(void *unused)
{
    (void)unused;
    datagram_serve(port, answer);
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
