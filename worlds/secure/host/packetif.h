/* SPDX-License-Identifier: MIT */
/* packetif.h - the same stack on a plain Ethernet device of Linux's: a TAP (with or without vnet header) or an AF_PACKET
 * socket. The baseline that the channel is measured against: one system call per frame. */
#ifndef ISTHMUS_PACKETIF_H
#define ISTHMUS_PACKETIF_H

#include <stdint.h>

#include "lwip/netif.h"
#include "rxpool.h"

struct packetif {
    struct rxpool pool;
    int fd;          /* as packetfd_open() made it */
    int gone;        /* the device was taken away */
    uint32_t header; /* bytes of vnet header before each frame */
    uint8_t mac[6];
    uint16_t mtu;
};

/* State of the netif is this struct. */
err_t packetif_init(struct netif *netif);
/* Returns how many frames it received, at most `frames`. */
uint32_t packetif_receive(struct netif *netif, uint32_t frames, uint32_t bytes);

#endif
