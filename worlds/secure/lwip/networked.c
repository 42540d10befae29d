/* SPDX-License-Identifier: MIT */
/* networked.c - the task inside the network work: a UDP port whose datagrams the critical application answers. */
#include <string.h>

#include "apps.h"
#include "lwip/udp.h"
#include "platform.h"

#define DATAGRAM_MAX 512u /* longer ones are not the application's */

static uint8_t datagram[DATAGRAM_MAX];

static void answer(struct udp_pcb *pcb, uint32_t length, const ip_addr_t *to, u16_t port)
{
    struct pbuf *p = length > 0 && length <= DATAGRAM_MAX ? pbuf_alloc(PBUF_TRANSPORT, (u16_t)length, PBUF_RAM) : NULL;

    if (p == NULL)
        return;
    if (pbuf_take(p, datagram, (u16_t)length) == ERR_OK)
        (void)udp_sendto(pcb, p, to, port);
    pbuf_free(p);
}

static void on_datagram(void *arg, struct udp_pcb *pcb, struct pbuf *p, const ip_addr_t *from, u16_t port)
{
    const uint32_t length = p->tot_len;

    (void)arg;
    if (length > DATAGRAM_MAX || pbuf_copy_partial(p, datagram, (u16_t)length, 0) != length || !platform_inside_begin()) {
        pbuf_free(p);
        return;
    }
    answer(pcb, application.inside(platform_now(), datagram, length, DATAGRAM_MAX), from, port);
    pbuf_free(p); /* `from` may lie in it */
    platform_inside_end();
}

int networked_start(const struct task_spec *spec, const struct flow *flows)
{
    struct udp_pcb *pcb;

    if (spec->name == NULL)
        return 0;
    while (flows->name != NULL && strcmp(flows->name, spec->flow) != 0)
        flows++;
    if (flows->name == NULL)
        return -1;
    pcb = udp_new();
    if (pcb == NULL || udp_bind(pcb, IP_ADDR_ANY, (u16_t)flows->port) != ERR_OK)
        return -1;
    udp_recv(pcb, on_datagram, NULL);
    return 0;
}
