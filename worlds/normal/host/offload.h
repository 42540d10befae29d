/* SPDX-License-Identifier: MIT OR GPL-2.0 */
/* offload.h - what the kernel leaves to a network device, and what the peer leaves to the kernel.
 *
 * Towards the channel a checksum is filled in, or left out where the peer has agreed and a tag covers the frame; segments to
 * be cut pass in one piece, since a frame may be as long as the channel's limit. From the channel a frame of TCP beyond the
 * MTU is described as so many segments, from the pump's private copy of it; a checksum that is there the kernel verifies,
 * one that was left out it fills in if the frame goes any further. */
#ifndef ISTHMUS_OFFLOAD_H
#define ISTHMUS_OFFLOAD_H

#include <linux/virtio_net.h>
#include <stddef.h>
#include <stdint.h>

#include "isthmus.h"

/* Finishes a frame of the kernel's as its header asks. 0, or -1 where the header asks for what cannot be.
 * `left` not NULL: the checksum of TCP or UDP over IPv4 is left out instead; *left then says so, else it is all zeros. */
int offload_complete(const struct virtio_net_hdr *h, uint8_t *frame, size_t length, struct ist_meta *left);
/* The header for a frame of the peer's, which the guard has accepted with these fields: a checksum to be filled in, and
 * TCP's segments where it is longer than the MTU allows. */
void offload_describe(struct virtio_net_hdr *h, const uint8_t *frame, size_t length, uint32_t mtu, const struct ist_meta *m);

#endif
