/* SPDX-License-Identifier: MIT OR GPL-2.0 */
/* offload.h - what the kernel leaves to a network device, done by the pump: nothing unfinished enters the channel.
 *
 * Towards the channel a checksum is filled in; segments to be cut pass in one piece, since a frame may be as long as the
 * channel's limit. From the channel a frame of TCP beyond the MTU is described as so many segments, from the pump's
 * private copy of it; its checksum is whole, and the kernel verifies it. */
#ifndef ISTHMUS_OFFLOAD_H
#define ISTHMUS_OFFLOAD_H

#include <linux/virtio_net.h>
#include <stddef.h>
#include <stdint.h>

/* Finishes a frame of the kernel's as its header asks. 0, or -1 where the header asks for what cannot be. */
int offload_complete(const struct virtio_net_hdr *h, uint8_t *frame, size_t length);
/* The header for a frame of the peer's: no offload, or TCP's segments where it is longer than the MTU allows. */
void offload_describe(struct virtio_net_hdr *h, const uint8_t *frame, size_t length, uint32_t mtu);

#endif
