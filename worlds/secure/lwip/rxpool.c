/* SPDX-License-Identifier: MIT */
#include "rxpool.h"

#define ALIGN 64u

struct rx_buffer {
    struct pbuf_custom custom; /* first: lwIP hands back its address */
    struct rxpool *pool;
    struct rx_buffer *next;
    _Alignas(16) uint8_t data[];
};

static void give_back(struct pbuf *p)
{
    struct rx_buffer *b = (struct rx_buffer *)(void *)p;
    b->next = b->pool->free;
    b->pool->free = b;
    b->pool->available++;
}

uint32_t rxpool_init(struct rxpool *pool, void *memory, size_t bytes, uint32_t room)
{
    uint8_t *at = memory;
    size_t skip = (ALIGN - (uintptr_t)at % ALIGN) % ALIGN;
    size_t stride = (sizeof(struct rx_buffer) + room + ALIGN - 1u) / ALIGN * ALIGN;

    *pool = (struct rxpool){.room = room};
    if (room > 0xffffu || bytes < skip)
        return 0;
    at += skip;
    for (bytes -= skip; bytes >= stride; bytes -= stride, at += stride) {
        struct rx_buffer *b = (struct rx_buffer *)(void *)at;
        b->custom.custom_free_function = give_back;
        b->pool = pool;
        b->next = pool->free;
        pool->free = b;
        pool->count++;
    }
    pool->available = pool->lowest = pool->count;
    return pool->count;
}

struct pbuf *rxpool_get(struct rxpool *pool, uint32_t length)
{
    struct rx_buffer *b = pool->free;

    if (b == NULL || length > pool->room)
        return NULL;
    pool->free = b->next;
    if (--pool->available < pool->lowest)
        pool->lowest = pool->available;
    /* PBUF_RAM says that the payload follows the struct in one piece, so lwIP may turn a request into its reply. */
    return pbuf_alloced_custom(PBUF_RAW, (u16_t)length, PBUF_RAM, &b->custom, b->data, (u16_t)pool->room);
}
