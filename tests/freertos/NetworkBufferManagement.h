/* SPDX-License-Identifier: MIT */
#ifndef DOUBLE_NETWORK_BUFFER_MANAGEMENT_H
#define DOUBLE_NETWORK_BUFFER_MANAGEMENT_H

#include "FreeRTOS_IP.h"

/* A buffer of at least so many bytes; its length may be rounded up. Never from an interrupt. */
NetworkBufferDescriptor_t *pxGetNetworkBufferWithDescriptor(size_t bytes, TickType_t wait);
void vReleaseNetworkBufferAndDescriptor(NetworkBufferDescriptor_t *buffer);

#endif
