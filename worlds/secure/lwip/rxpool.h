/* SPDX-License-Identifier: MIT */
/* rxpool.h - a netif's receive buffers: fixed memory, one contiguous buffer per frame, whatever the MTU.
 *
 * The stack keeps a buffer as long as it likes. When all are out, a frame is dropped and counted; what stands behind
 * it in the ring is not held up. One thread. */
#ifndef ISTHMUS_RXPOOL_H
#define ISTHMUS_RXPOOL_H

#include <stddef.h>
#include <stdint.h>

#include "lwip/pbuf.h"

struct rx_buffer;

struct rxpool {
    struct rx_buffer *free;
    uint32_t room;  /* bytes a buffer holds */
    uint32_t count; /* buffers in all */
    uint32_t available;
    uint32_t lowest; /* fewest that were ever available */
};

/* Cuts `memory` into buffers of `room` bytes (up to 65535: a pbuf's length has 16 bits). Returns how many there are. */
uint32_t rxpool_init(struct rxpool *pool, void *memory, size_t bytes, uint32_t room);
/* A pbuf of exactly `length` bytes in one piece, or NULL. pbuf_free() gives it back. */
struct pbuf *rxpool_get(struct rxpool *pool, uint32_t length);

#endif
