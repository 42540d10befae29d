/* SPDX-License-Identifier: MIT OR GPL-2.0 */
#include "offload.h"

#include <string.h>

#define ETHER 14u
#define TYPE_AT 12u
#define IPV4_MIN 20u
#define PROTOCOL_AT (ETHER + 9u)
#define TCP 6u
#define UDP 17u
#define TCP_SUM 16u
#define UDP_SUM 6u
#define TCP_MIN 20u
#define DATA_OFFSET_AT 12u /* in TCP's header; its upper half counts words */

/* The sum of RFC 1071 over `n` bytes, folded, in memory order. The halves of words are added up apart: no carry is lost
 * below 2^32 words. */
static uint16_t internet_sum(const uint8_t *p, size_t n)
{
    uint64_t low = 0, high = 0, word;

    for (; n >= 8; n -= 8, p += 8) {
        memcpy(&word, p, sizeof word);
        low += (uint32_t)word;
        high += word >> 32;
    }
    if (n > 0) {
        word = 0;
        memcpy(&word, p, n);
        low += (uint32_t)word;
        high += word >> 32;
    }
    for (low += high; low > 0xffffu;)
        low = (low & 0xffffu) + (low >> 16);
    return (uint16_t)low;
}

static int is_ipv4(const uint8_t *frame)
{
    return frame[TYPE_AT] == 0x08 && frame[TYPE_AT + 1] == 0x00 && frame[ETHER] >> 4 == 4;
}

/* Is it the checksum that the headers have there? The critical side's filter refuses any other left out. */
static int is_transport(const uint8_t *frame, size_t start, size_t offset)
{
    const uint8_t protocol = frame[PROTOCOL_AT];

    return start == ETHER + IPV4_MIN && is_ipv4(frame) && (frame[ETHER] & 0xfu) * 4u == IPV4_MIN &&
           ((protocol == TCP && offset == TCP_SUM) || (protocol == UDP && offset == UDP_SUM));
}

int offload_complete(const struct virtio_net_hdr *h, uint8_t *frame, size_t length, struct ist_meta *left)
{
    const unsigned type = h->gso_type & ~(unsigned)VIRTIO_NET_HDR_GSO_ECN;
    const size_t start = h->csum_start, at = start + h->csum_offset;
    uint16_t sum;

    if (left)
        *left = (struct ist_meta){0};
    if ((h->flags & ~(VIRTIO_NET_HDR_F_NEEDS_CSUM | VIRTIO_NET_HDR_F_DATA_VALID)) != 0)
        return -1;
    if (type != VIRTIO_NET_HDR_GSO_NONE && type != VIRTIO_NET_HDR_GSO_TCPV4 && type != VIRTIO_NET_HDR_GSO_TCPV6)
        return -1;
    if ((h->flags & VIRTIO_NET_HDR_F_NEEDS_CSUM) == 0)
        return type == VIRTIO_NET_HDR_GSO_NONE ? 0 : -1;
    if (start < ETHER || at + sizeof sum > length)
        return -1;
    if (left && is_transport(frame, start, h->csum_offset)) {
        *left = (struct ist_meta){IST_FLAG_CSUM_PARTIAL, 0, h->csum_start, h->csum_offset};
        return 0;
    }
    sum = (uint16_t)~internet_sum(frame + start, length - start); /* the field holds the pseudo-header's sum already */
    if (sum == 0)
        sum = 0xffff; /* the same number; UDP takes 0 for none */
    memcpy(frame + at, &sum, sizeof sum);
    return 0;
}

void offload_describe(struct virtio_net_hdr *h, const uint8_t *frame, size_t length, uint32_t mtu, const struct ist_meta *m)
{
    size_t headers = ETHER;

    *h = (struct virtio_net_hdr){.gso_type = VIRTIO_NET_HDR_GSO_NONE};
    if ((m->flags & IST_FLAG_CSUM_PARTIAL) != 0) {
        h->flags = VIRTIO_NET_HDR_F_NEEDS_CSUM;
        h->csum_start = m->csum_start;
        h->csum_offset = m->csum_offset;
    }
    if (length <= ETHER + mtu || length < ETHER + IPV4_MIN + TCP_MIN)
        return;
    if (!is_ipv4(frame) || frame[PROTOCOL_AT] != TCP)
        return;
    headers += 4u * (frame[ETHER] & 0xfu);
    if (headers < ETHER + IPV4_MIN || headers + TCP_MIN > length)
        return;
    headers += 4u * (frame[headers + DATA_OFFSET_AT] >> 4);
    if (headers < ETHER + IPV4_MIN + TCP_MIN || headers >= ETHER + mtu)
        return;
    h->gso_type = VIRTIO_NET_HDR_GSO_TCPV4;
    h->hdr_len = (uint16_t)headers;
    h->gso_size = (uint16_t)(ETHER + mtu - headers);
}
