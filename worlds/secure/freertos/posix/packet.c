/* SPDX-License-Identifier: MIT */
#define _GNU_SOURCE
#include "packet.h"

#include <errno.h>
#include <sys/uio.h>

#include "FreeRTOS_IP_Private.h"
#include "NetworkBufferManagement.h"
#include "packetfd.h"

#define FRAME_MAX (ipTOTAL_ETHERNET_FRAME_SIZE)

static BaseType_t is_up(NetworkInterface_t *nif)
{
    const struct packet *p = nif->pvArgument;

    return p->gone ? pdFAIL : pdPASS;
}

static BaseType_t output(NetworkInterface_t *nif, NetworkBufferDescriptor_t *const b, BaseType_t release)
{
    static const uint8_t no_offload[PACKET_HEADER_MAX];
    const struct packet *p = nif->pvArgument;
    const struct iovec v[2] = {{(void *)(uintptr_t)no_offload, p->header}, {b->pucEthernetBuffer, b->xDataLength}};
    ssize_t n;

    do
        n = writev(p->fd, v, 2);
    while (n < 0 && errno == EINTR);
    if (release)
        vReleaseNetworkBufferAndDescriptor(b);
    return n < 0 ? pdFAIL : pdPASS;
}

static void deliver(struct packet *p, NetworkBufferDescriptor_t *b)
{
    const IPStackEvent_t event = {.eEventType = eNetworkRxEvent, .pvData = b};

    b->pxInterface = p->nif;
    b->pxEndPoint = FreeRTOS_MatchingEndpoint(p->nif, b->pucEthernetBuffer);
#if ipconfigUSE_LINKED_RX_MESSAGES
    b->pxNextBuffer = NULL;
#endif
    if (b->pxEndPoint == NULL || eConsiderFrameForProcessing(b->pucEthernetBuffer) != eProcessBuffer ||
        xSendEventStructToIPTask(&event, 0) != pdPASS)
        vReleaseNetworkBufferAndDescriptor(b);
}

unsigned packet_step(struct packet *p, unsigned frames)
{
    static uint8_t frame[FRAME_MAX]; /* its length is known only once it is read */
    uint8_t header[PACKET_HEADER_MAX];
    const struct iovec v[2] = {{header, p->header}, {frame, sizeof frame}};
    unsigned done;

    for (done = 0; done < frames; done++) {
        const ssize_t n = readv(p->fd, v, 2), length = n - (ssize_t)p->header;
        NetworkBufferDescriptor_t *b;

        if (length <= 0) {
            p->gone |= n == 0 || (n < 0 && (errno == EBADFD || errno == EBADF));
            break;
        }
        b = pxGetNetworkBufferWithDescriptor((size_t)length, 0);
        if (b == NULL)
            continue;
        memcpy(b->pucEthernetBuffer, frame, (size_t)length);
        b->xDataLength = (size_t)length;
        deliver(p, b);
    }
    return done;
}

int packet_fill_interface(struct packet *p, NetworkInterface_t *nif, int fd)
{
    const int error = packetfd_open(fd, &p->header);

    if (error != 0)
        return error;
    p->fd = fd;
    *nif = (NetworkInterface_t){.pcName = "packet", .pvArgument = p, .pfInitialise = is_up, .pfGetPhyLinkStatus = is_up,
                                .pfOutput = output};
    p->nif = FreeRTOS_AddNetworkInterface(nif);
    return 0;
}
