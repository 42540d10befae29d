/* SPDX-License-Identifier: MIT */
/* NetworkInterface.c - the interface, after FreeRTOS+TCP V4's contract. With BufferAllocation_1, add buffers_1.c. */
#include "isthmus_freertos.h"

#include "FreeRTOS_IP_Private.h"
#include "NetworkBufferManagement.h"

#if ipconfigDRIVER_INCLUDED_RX_IP_CHECKSUM || ipconfigDRIVER_INCLUDED_TX_IP_CHECKSUM
#error "the channel computes no checksums: ipconfigDRIVER_INCLUDED_RX_IP_CHECKSUM and _TX_IP_CHECKSUM must be 0"
#endif

#if ipconfigUSE_LINKED_RX_MESSAGES
#define NEXT(b) ((b)->pxNextBuffer)
#else /* each frame is handed over by itself */
#define NEXT(b) (*(NetworkBufferDescriptor_t **)&(NetworkBufferDescriptor_t *){NULL})
#endif

/* ---- in ------------------------------------------------------------------------------------------------------------ */

static void *allocate(void *stack, ist_u32 length, void **room)
{
    NetworkBufferDescriptor_t *b = pxGetNetworkBufferWithDescriptor(length, 0);

    (void)stack;
    if (b != NULL) {
        b->xDataLength = length; /* the allocator may have rounded it up */
        *room = b->pucEthernetBuffer;
    }
    return b;
}

static void discard(void *stack, void *buffer)
{
    (void)stack;
    vReleaseNetworkBufferAndDescriptor(buffer);
}

/* What came in goes to the IP task, which owns it from then on, unless its queue is full. */
static void hand_over(struct isthmus_freertos *i)
{
    const IPStackEvent_t event = {.eEventType = eNetworkRxEvent, .pvData = i->first};

    if (i->first != NULL && xSendEventStructToIPTask(&event, 0) != pdPASS)
        for (NetworkBufferDescriptor_t *b = i->first, *next; b != NULL; b = next, i->busy++) {
            next = NEXT(b);
            vReleaseNetworkBufferAndDescriptor(b);
        }
    i->first = i->last = NULL;
}

/* The private copy decides whether, and to which end point, a frame goes. */
static void deliver(void *stack, void *buffer, const struct ist_meta *none __attribute__((unused)))
{
    struct isthmus_freertos *i = stack;
    NetworkBufferDescriptor_t *b = buffer;

    i->valid(b->pucEthernetBuffer, (ist_u32)b->xDataLength);
    b->pxInterface = i->nif;
    b->pxEndPoint = FreeRTOS_MatchingEndpoint(i->nif, b->pucEthernetBuffer);
#if ipconfigETHERNET_DRIVER_FILTERS_FRAME_TYPES
    if (eConsiderFrameForProcessing(b->pucEthernetBuffer) != eProcessBuffer)
        b->pxEndPoint = NULL;
#endif
    if (b->pxEndPoint == NULL) {
        i->unknown++;
        vReleaseNetworkBufferAndDescriptor(b);
        return;
    }
    NEXT(b) = NULL;
    *(i->first != NULL ? &NEXT(i->last) : &i->first) = b;
    i->last = b;
    if (!ipconfigUSE_LINKED_RX_MESSAGES)
        hand_over(i);
}

enum ist_verdict isthmus_step(struct isthmus_freertos *i, ist_u64 now)
{
    static const struct netport_hooks hooks = {allocate, discard, deliver};
    ist_u32 work;

    i->task = xTaskGetCurrentTaskHandle();
    const enum ist_verdict v = netport_receive_lanes(i->lane, i->lanes, &hooks, now, i->frames, i->bytes, &work);
    hand_over(i);
    for (ist_u32 k = 0; k < i->lanes; k++)
        if (ist_rx_bell(i->lane[k].ep)) /* the peer waits for room */
            i->ring(i->of, 1u << k);
    return v;
}

BaseType_t isthmus_wake(struct isthmus_freertos *i)
{
    BaseType_t woken = pdFALSE;

    if (i->task != NULL)
        vTaskNotifyGiveFromISR(i->task, &woken);
    return woken;
}

/* ---- out ----------------------------------------------------------------------------------------------------------- */

/* The buffer is the stack's unless `release` is set; then it goes back whatever became of the frame. A full ring drops:
 * TCP sends again, and the core has counted it. */
static BaseType_t output(NetworkInterface_t *nif, NetworkBufferDescriptor_t *const b, BaseType_t release)
{
    struct isthmus_freertos *i = nif->pvArgument;
    const ist_u32 length = (ist_u32)b->xDataLength,
                  k = netport_lane_of(i->lane, i->lanes, b->pucEthernetBuffer, length, i->now());
    struct ist_endpoint *const ep = i->lane[k].ep;
    const enum ist_verdict v = k > 0 || netport_admits(ep, i->lane[0].out, b->pucEthernetBuffer, length, i->now())
                                   ? ist_send(ep, b->pucEthernetBuffer, length, NULL) : IST_V_EGRESS;

    if (v == IST_V_OK && ist_publish(ep))
        i->ring(i->of, 1u << k);
    if (release)
        vReleaseNetworkBufferAndDescriptor(b);
    return v == IST_V_OK ? pdPASS : pdFAIL;
}

/* ---- the link ------------------------------------------------------------------------------------------------------ */

/* Asked for the state of the link, and as initialisation: by the IP task, at first and again after each
 * FreeRTOS_NetworkDown(), until it says yes. */
static BaseType_t is_up(NetworkInterface_t *nif)
{
    return ist_link_state(((const struct isthmus_freertos *)nif->pvArgument)->lane[0].ep) == IST_RUN ? pdPASS : pdFAIL;
}

void isthmus_link(struct isthmus_freertos *i, enum ist_state state)
{
    if (!netport_link_moved(state, i->up == pdTRUE))
        return;
    i->up = state == IST_RUN;
    /* Down: the end points go down. Up: the stack, which waits a while between two tries, tries now. */
    FreeRTOS_NetworkDown(i->nif);
}

BaseType_t isthmus_fill_interface(struct isthmus_freertos *i, NetworkInterface_t *nif)
{
    for (ist_u32 k = 0; k < i->lanes; i->lane[k++].stack = i)
        if (!netport_fits(&i->lane[k].ep->config, ipconfigNETWORK_MTU))
            return pdFAIL;
    *nif = (NetworkInterface_t){.pcName = "ist", .pvArgument = i, .pfInitialise = is_up, .pfGetPhyLinkStatus = is_up,
                                .pfOutput = output};
    i->nif = FreeRTOS_AddNetworkInterface(nif);
    return pdPASS;
}
