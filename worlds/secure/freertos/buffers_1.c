/* SPDX-License-Identifier: MIT */
/* buffers_1.c - memory of BufferAllocation_1: a buffer of one size for each descriptor. Not for BufferAllocation_2. */
#include "FreeRTOS.h"

#include "FreeRTOS_IP.h"
#include "NetworkInterface.h"

/* An Ethernet frame, and what the stack keeps before it: a pointer back to the descriptor at its very start. */
#define BUFFER (((size_t)ipBUFFER_PADDING + ipTOTAL_ETHERNET_FRAME_SIZE + 15u) & ~(size_t)15u)

size_t uxNetworkInterfaceAllocateRAMToBuffers(NetworkBufferDescriptor_t descriptors[ipconfigNUM_NETWORK_BUFFER_DESCRIPTORS])
{
    static uint8_t memory[ipconfigNUM_NETWORK_BUFFER_DESCRIPTORS][BUFFER] __attribute__((aligned(16)));

    for (size_t n = 0; n < ipconfigNUM_NETWORK_BUFFER_DESCRIPTORS; n++) {
        *(NetworkBufferDescriptor_t **)(void *)memory[n] = &descriptors[n];
        descriptors[n].pucEthernetBuffer = memory[n] + ipBUFFER_PADDING;
    }
    return ipTOTAL_ETHERNET_FRAME_SIZE;
}
