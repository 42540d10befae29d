/* SPDX-License-Identifier: MIT */
#ifndef DOUBLE_NETWORK_INTERFACE_H
#define DOUBLE_NETWORK_INTERFACE_H

#include "FreeRTOS_IP.h"

size_t uxNetworkInterfaceAllocateRAMToBuffers(
    NetworkBufferDescriptor_t descriptors[ipconfigNUM_NETWORK_BUFFER_DESCRIPTORS]);

#endif
