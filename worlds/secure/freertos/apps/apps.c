/* SPDX-License-Identifier: MIT */
/* apps.c - the applications together, and what FreeRTOS+TCP calls of them. */
#include "freertosapps.h"

#include <string.h>

#include "FreeRTOS_IP_Private.h"
#include "FreeRTOS_Routing.h"
#include "NetworkBufferManagement.h"
#include "raw.h"

#define HEADER 14u
#define MAC 6u

int apps_start(const struct status_source *source)
{
    status_use(source);
    return echo_start() == 0 && iperf_start() == 0 && http_start() == 0 ? 0 : -1;
}

void freertos_status(struct stack_status *s)
{
    NetworkEndPoint_t *const ep = FreeRTOS_FirstEndPoint(NULL);

    *s = (struct stack_status){
        .name = "FreeRTOS+TCP",
        .up = ep != NULL && FreeRTOS_IsEndPointUp(ep) == pdTRUE,
        .mtu = ipconfigNETWORK_MTU,
        .buffers = ipconfigNUM_NETWORK_BUFFER_DESCRIPTORS,
        .available = (uint32_t)uxGetNumberOfFreeNetworkBuffers(),
        .lowest = (uint32_t)uxGetMinimumFreeNetworkBuffers(),
    };
    if (ep != NULL)
        memcpy(s->address, &ep->ipv4_settings.ulIPAddress, sizeof s->address);
}

/* ---- what the stack asks for ----------------------------------------------------------------------------------------- */

/* An EtherType that it does not know: the raw sequenced frames. In the IP task, as pfOutput is otherwise. */
eFrameProcessingResult_t eApplicationProcessCustomFrameHook(NetworkBufferDescriptor_t *const b)
{
    uint8_t *const frame = b->pucEthernetBuffer;
    uint8_t from[MAC];

    if (b->xDataLength < HEADER || frame[12] != RAW_ETHERTYPE >> 8 || frame[13] != (RAW_ETHERTYPE & 0xffu))
        return eReleaseBuffer;
    if (raw_judge(frame + HEADER, (uint32_t)b->xDataLength - HEADER)) {
        memcpy(from, frame + MAC, MAC);
        memcpy(frame + MAC, frame, MAC);
        memcpy(frame, from, MAC);
        if (b->pxInterface->pfOutput(b->pxInterface, b, pdFALSE) == pdPASS)
            raw_echoed();
    }
    return eReleaseBuffer;
}

BaseType_t xApplicationGetRandomNumber(uint32_t *number)
{
    *number = platform_random();
    return pdTRUE;
}

/* Initial sequence number by RFC 6528: not to be guessed, and never that of an incarnation before a restart. */
uint32_t ulApplicationGetNextSequenceNumber(uint32_t local, uint16_t local_port, uint32_t remote, uint16_t remote_port)
{
    static ist_u64 key[2]; /* drawn at the first connection of this incarnation */
    const uint32_t flow[3] = {local, remote, (uint32_t)local_port << 16 | remote_port};
    struct ist_tagger t;
    ist_u64 tag[2];

    while (key[0] == 0)
        for (unsigned i = 0; i < 2; i++)
            key[i] = (ist_u64)platform_random() << 32 | platform_random();
    ist_tag_start(&t, IST_TAG_SIPHASH, key);
    ist_tag_feed(&t, flow, sizeof flow);
    ist_tag_finish(&t, tag);
    return (uint32_t)tag[0] + (uint32_t)pdTICKS_TO_MS(xTaskGetTickCount()) * 250u; /* a step every 4 us */
}
