/* SPDX-License-Identifier: MIT */
/* packetfd.h - a TAP or an AF_PACKET socket by its descriptor: a frame a read, a frame a write. */
#ifndef ISTHMUS_PACKETFD_H
#define ISTHMUS_PACKETFD_H

#include <stdint.h>

#define PACKET_HEADER_MAX 32u

/* Makes it non-blocking; *header: bytes that stand before each frame, at most PACKET_HEADER_MAX. 0, or -errno. */
int packetfd_open(int fd, uint32_t *header);

#endif
