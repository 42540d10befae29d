/* SPDX-License-Identifier: MIT */
#ifndef DOUBLE_FREERTOS_ROUTING_H
#define DOUBLE_FREERTOS_ROUTING_H

#include "FreeRTOS_IP.h"

typedef struct {
    void *pvArgument;
} NetworkInterface_t;

typedef struct {
    uint8_t mac[6];
} NetworkEndPoint_t;

void FreeRTOS_FillEndPoint(NetworkInterface_t *interface, NetworkEndPoint_t *point, const uint8_t ip[4], const uint8_t mask[4],
                           const uint8_t gateway[4], const uint8_t dns[4], const uint8_t mac[6]);

#endif
