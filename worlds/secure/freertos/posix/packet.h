/* SPDX-License-Identifier: MIT */
/* packet.h - FreeRTOS+TCP on a plain Ethernet device of Linux's (host/packetfd.h): the baseline that the channel is
 * measured against. */
#ifndef ISTHMUS_PACKET_H
#define ISTHMUS_PACKET_H

#include "FreeRTOS.h"
#include "task.h"

#include "FreeRTOS_IP.h"
#include "FreeRTOS_Routing.h"

struct packet {
    int fd;
    uint32_t header; /* bytes before each frame */
    int gone;        /* the device was taken away */
    NetworkInterface_t *nif;
};

/* Takes over the descriptor and adds the interface. 0, or -errno. */
int packet_fill_interface(struct packet *p, NetworkInterface_t *nif, int fd);
/* In the network task: receives at most `frames`; returns how many came. */
unsigned packet_step(struct packet *p, unsigned frames);

#endif
