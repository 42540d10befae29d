/* SPDX-License-Identifier: MIT */
#ifndef DOUBLE_FREERTOS_IP_H
#define DOUBLE_FREERTOS_IP_H

#include "FreeRTOS.h"

#define ipBUFFER_PADDING 14u
#define ipTOTAL_ETHERNET_FRAME_SIZE (ipconfigNETWORK_MTU + 14u + 4u + 4u)

struct xNetworkInterface;
struct xNetworkEndPoint;

typedef struct xNETWORK_BUFFER {
    uint8_t *pucEthernetBuffer;
    size_t xDataLength;
    struct xNetworkInterface *pxInterface;
    struct xNetworkEndPoint *pxEndPoint;
#if ipconfigUSE_LINKED_RX_MESSAGES
    struct xNETWORK_BUFFER *pxNextBuffer;
#endif
} NetworkBufferDescriptor_t;

void FreeRTOS_NetworkDown(struct xNetworkInterface *interface);

#endif
