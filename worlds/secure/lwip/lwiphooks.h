/* SPDX-License-Identifier: MIT */
/* lwiphooks.h - where lwIP calls into the port. */
#ifndef ISTHMUS_LWIPHOOKS_H
#define ISTHMUS_LWIPHOOKS_H

#include "lwip/arch.h"

struct pbuf;
struct netif;
struct ip4_addr;

/* Initial sequence number by RFC 6528: not to be guessed, and never that of an incarnation before a restart. */
u32_t isthmus_tcp_isn(const struct ip4_addr *local, u16_t local_port, const struct ip4_addr *remote, u16_t remote_port);
#define LWIP_HOOK_TCP_ISN isthmus_tcp_isn

/* An EtherType that lwIP does not know: the raw sequenced frames. Takes the pbuf if it returns ERR_OK (0). */
signed char isthmus_raw_input(struct pbuf *p, struct netif *netif);
#define LWIP_HOOK_UNKNOWN_ETH_PROTOCOL(p, netif) isthmus_raw_input((p), (netif))

#endif
