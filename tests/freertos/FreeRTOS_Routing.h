/* SPDX-License-Identifier: MIT */
#ifndef DOUBLE_FREERTOS_ROUTING_H
#define DOUBLE_FREERTOS_ROUTING_H

#include "FreeRTOS_IP.h"

typedef struct xNetworkEndPoint {
    uint8_t mac[6];
} NetworkEndPoint_t;

typedef struct xNetworkInterface {
    const char *pcName;
    void *pvArgument;
    BaseType_t (*pfInitialise)(struct xNetworkInterface *interface);
    BaseType_t (*pfOutput)(struct xNetworkInterface *interface, NetworkBufferDescriptor_t *const buffer, BaseType_t release);
    BaseType_t (*pfGetPhyLinkStatus)(struct xNetworkInterface *interface);
} NetworkInterface_t;

NetworkInterface_t *FreeRTOS_AddNetworkInterface(NetworkInterface_t *interface);
/* The end point that a frame is for, by its destination; NULL: none of ours. */
NetworkEndPoint_t *FreeRTOS_MatchingEndpoint(const NetworkInterface_t *interface, const uint8_t *frame);

#endif
